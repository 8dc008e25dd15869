// The page's message when there are no streams to show, and why.

import { clock } from '../logic/format';
import { refreshNow } from '../state/box';
import { homeAddress, viewAddress } from '../state/route';
import { configurable } from '../state/cameras';
import { rights } from '../state/session';
import { Icon } from './icon';
import { Prose } from './prose';

const EXAMPLE = `[stream.gate]
source = { kind = "rtsp_pull", url = "rtsp://10.0.0.7:554/main",
           username = "viewer", password = "…" }
record = { keep_min = "10GiB", max_age = "30d" }`;

/** Nothing is known yet. `lost`: the notice of the outage says enough. */
export function Waiting({ lost }: { lost: boolean }) {
  return (
    <>
      <h1 class="hidden">Streams</h1>
      {!lost && <p class="notice">Loading…</p>}
    </>
  );
}

/** The box cannot be reached; the page keeps asking. */
export function Outage({ since_ms, reason }: { since_ms: number; reason: string | null }) {
  return (
    <div class="notice bad">
      <Icon name="warn" />
      <div>
        {/* Announced once: nothing in it changes while the outage lasts. */}
        <p role="alert">
          <b>Can't reach the box.</b> {reason !== null && <Prose text={reason} />} Retrying…
        </p>
        <p>
          What you see is from before {clock(since_ms)}.{' '}
          <button type="button" onClick={refreshNow}>
            Retry now
          </button>
        </p>
      </div>
    </div>
  );
}

/** An open box: who can see it, and how to change that. */
export function OpenBox() {
  return (
    <div class="notice open">
      <Icon name="person" />
      <div>
        <p>
          Open to this computer only, without a password.{' '}
          <a href={viewAddress('claim')}>Claim it</a> to let other devices in.
        </p>
      </div>
    </div>
  );
}

/** How an open box is claimed: its configuration has to say so first. */
export function HowToClaim() {
  return (
    <section class="notice tall">
      <h1>Claim this box</h1>
      <p>
        This box is open to this computer, because its configuration file says so. To claim it, take
        this line out of the file:
      </p>
      <pre tabIndex={0} aria-label="The line to take out">
        {'claim = "loopback"'}
      </pre>
      <p>
        Then start Holdfast again. This page asks for the claim code, which{' '}
        <code>holdfast claim-code</code> prints, and for the name and the password of the first
        account. From then on everybody has to sign in.
      </p>
      <p>
        <a href={homeAddress()}>Show all streams</a>
      </p>
    </section>
  );
}

/** Nobody has let this account see anything. */
function NothingAllowed() {
  return (
    <section class="notice tall">
      <h1>No cameras for you yet</h1>
      <p>An admin of this box can let you see some, under People.</p>
    </section>
  );
}

/** This account may not do what the address names. */
export function Forbidden() {
  return (
    <section class="notice tall">
      <h1>Not for this account</h1>
      <p>
        Your account has no right to this. An admin of this box can grant it.{' '}
        <a href={homeAddress()}>Show all streams</a>
      </p>
    </section>
  );
}

export function Empty() {
  if (!rights.value.admin) return <NothingAllowed />;
  return (
    <section class="notice tall">
      <h1>No cameras yet</h1>
      {configurable.value && (
        <p>
          <a class="button primary" href={viewAddress('add-camera')}>
            Add a camera
          </a>
        </p>
      )}
      <p>{configurable.value ? 'Or add it' : 'Add one'} to the configuration file, for example:</p>
      <pre tabIndex={0} aria-label="Example of a camera in the configuration file">
        {EXAMPLE}
      </pre>
      <p>
        Check the file with <code>holdfast check-config holdfast.toml</code> and reload it with{' '}
        <code>systemctl reload holdfast</code>, or by sending the daemon <code>SIGHUP</code>. The
        camera then appears here on its own.
      </p>
    </section>
  );
}

/** Nothing is recorded on this box. */
export function NothingRecorded() {
  return (
    <section class="notice tall">
      <h1>No recordings</h1>
      <p>
        None of the streams is recorded. To record one, give it a <code>record</code> line in the
        configuration file. <a href={homeAddress()}>Show all streams</a>
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
