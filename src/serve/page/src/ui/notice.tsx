// What the page says when there are no streams to show, and why.

import { age } from '../logic/format';
import { refreshNow, now_ms } from '../state/box';
import { homeAddress } from '../state/route';
import { Icon } from './icon';

const EXAMPLE = `[stream.gate]
source = { kind = "rtsp_pull", url = "rtsp://10.0.0.7:554/main",
           username = "viewer", password = "…" }
record = { keep_min = "10GiB", max_age = "30d" }`;

/** Nothing is known yet. `lost`: the outage is told already. */
export function Waiting({ lost }: { lost: boolean }) {
  return (
    <>
      <h1 class="hidden">Streams</h1>
      {!lost && <p class="notice">Asking the box for its streams…</p>}
    </>
  );
}

/** The box cannot be reached; the page keeps asking. */
export function Outage({ since_ms, reason }: { since_ms: number; reason: string }) {
  return (
    <div class="notice bad">
      <Icon name="warn" />
      <div>
        {/* The words are spoken once; the seconds that run beside them are not. */}
        <p role="alert">
          <b>The box cannot be reached:</b> {reason}. Trying again by itself.
        </p>
        <p>
          Since {age((now_ms.value - since_ms) / 1000)}. What is shown below is the last that was
          known.{' '}
          <button type="button" onClick={refreshNow}>
            Try now
          </button>
        </p>
      </div>
    </div>
  );
}

export function Empty() {
  return (
    <section class="notice tall">
      <h1>No streams yet</h1>
      <p>Add a camera to the box's configuration file, for example:</p>
      <pre tabIndex={0} aria-label="Example of a camera in the configuration file">
        {EXAMPLE}
      </pre>
      <p>
        Check it with <code>holdfast check-config holdfast.toml</code>, then tell the running daemon
        to read it with <code>kill -HUP</code>. This page shows the camera by itself.
      </p>
    </section>
  );
}

export function Unknown({ name }: { name: string }) {
  return (
    <section class="notice tall">
      <h1>No stream named “{name}”</h1>
      <p>
        It may have been renamed or removed. <a href={homeAddress()}>Show all streams</a>
      </p>
    </section>
  );
}
