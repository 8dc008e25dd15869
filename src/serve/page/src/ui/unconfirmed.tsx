// The notice of a change that goes back by itself unless somebody keeps it.

import { useState } from 'preact/hooks';
import type { Refusal } from '../logic/refusal';
import { dismiss, keepChange, unconfirmed } from '../state/unconfirmed';
import { Refused, useCountdown } from './door/field';
import { Icon } from './icon';

export function Unconfirmed() {
  const now = unconfirmed.value;
  if (now === null) return null;
  if (now.state === 'waits') return <Waits left_secs={now.left_secs} />;
  return (
    <div class="notice">
      <div>
        <p role="status">
          {now.state === 'kept'
            ? 'The change of the configuration stays.'
            : 'Nobody kept the change of the configuration, so the old one is back.'}
        </p>
        <p>
          <button type="button" onClick={dismiss}>
            OK
          </button>
        </p>
      </div>
    </div>
  );
}

function Waits({ left_secs }: { left_secs: number }) {
  const left = useCountdown(left_secs, unconfirmed.value);
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const keep = async () => {
    setBusy(true);
    const refused = await keepChange();
    setBusy(false);
    setRefusal(refused);
  };
  return (
    <div class="notice open">
      <Icon name="warn" />
      <div>
        {/* Announced once: the seconds are beside it. */}
        <p role="alert">
          <b>The configuration was changed in a way that may lock people out.</b> It goes back by
          itself unless you keep it.
        </p>
        <Refused refusal={refusal} />
        <p>
          <button type="button" class="primary" disabled={busy} onClick={() => void keep()}>
            Keep this change
          </button>{' '}
          <span class="quiet">{left > 0 ? `Goes back in ${left} s` : 'Going back…'}</span>
        </p>
      </div>
    </div>
  );
}
