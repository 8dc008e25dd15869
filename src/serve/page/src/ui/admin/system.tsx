// The box itself: which version runs, and a form for another one.

import { useEffect, useState } from 'preact/hooks';
import type { Refusal } from '../../logic/refusal';
import { type Update, waitWords } from '../../logic/update';
import {
  discardUpdate,
  factoryReset,
  installUpdate,
  no_update,
  pollUpdate,
  resettable,
  sendUpdate,
  update,
} from '../../state/update';
import { Field, Refused, Submit } from '../door/field';
import { SendForm } from '../door/form';
import { Secure } from '../door/secure';
import '../../style/admin.css';

export function System() {
  useEffect(pollUpdate, []);
  const now = update.value;
  return (
    <section class="admin" aria-labelledby="system-name">
      <h1 id="system-name">System</h1>
      {now?.running !== undefined && now.running !== null && (
        <p>
          Version {now.running} runs.
          {now.on_trial && ' It was started for the first time and is being checked.'}
        </p>
      )}
      {no_update.value !== null ? <Refused refusal={no_update.value} /> : now && <Form now={now} />}
      <Secure />
      <Reset />
    </section>
  );
}

/** A factory reset, where an image runs: the name proves that this box is meant. */
function Reset() {
  const [host, setHost] = useState<string | null>(null);
  const [typed, setTyped] = useState('');
  const [asked, setAsked] = useState(false);
  useEffect(() => void resettable().then(setHost), []);
  if (host === null) return null;
  if (asked)
    return <p role="status">The box deletes everything and starts again. Claim it then.</p>;
  const send = async () => {
    const refusal = await factoryReset(typed.trim());
    setAsked(refusal === null);
    return refusal;
  };
  return (
    <SendForm danger title="Factory reset" words={['Delete everything', 'Deleting…']} send={send}>
      {() => (
        <Field
          label="Name of this box"
          name="host"
          value={typed}
          onValue={setTyped}
          hint={`Deletes the recordings, the cameras and all accounts. To confirm, type ${host}.`}
          input={{ required: true, autocomplete: 'off', autocapitalize: 'none', spellcheck: false }}
        />
      )}
    </SendForm>
  );
}

function Form({ now }: { now: Update }) {
  const [sending, setSending] = useState(false);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const waiting = waitWords(now) ?? (sending ? 'Uploading. Keep this page open.' : null);
  const ask = async (asked: Promise<Refusal | null>) => setRefusal(await asked);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const file = new FormData(form).get('file');
    if (!(file instanceof File) || sending) return;
    setSending(true);
    await ask(sendUpdate(file));
    setSending(false);
  };
  return (
    <form class="form card-form" onSubmit={(event) => void submit(event)}>
      <h2>Update</h2>
      <div role="status">
        {waiting !== null && (
          <p class="trying">
            <progress aria-label="Update" max={100} value={now.percent ?? undefined} />
            {waiting}
          </p>
        )}
        {now.state === 'ready' && <p>Version {now.version} is ready. The box restarts into it.</p>}
      </div>
      {now.state === 'refused' && <p role="alert">{now.message}</p>}
      {waiting === null && now.state !== 'ready' && (
        <label>
          Update file (.raucb)
          <input type="file" name="file" accept=".raucb" required />
        </label>
      )}
      <Refused refusal={refusal} />
      <div class="buttons">
        {now.state === 'ready' ? (
          <>
            <button type="button" class="primary" onClick={() => void ask(installUpdate())}>
              Install and restart
            </button>
            <button type="button" onClick={() => void ask(discardUpdate())}>
              Discard
            </button>
          </>
        ) : (
          waiting === null && <Submit words="Upload" busy={sending} busy_words="Uploading…" />
        )}
      </div>
    </form>
  );
}
