// The accounts of players and recorders: the list, and a form for another one, whose password is shown
// once.

import { useEffect, useId, useState } from 'preact/hooks';
import { type Credential, credentialWords, type MadeCredential } from '../../logic/credential';
import { moment } from '../../logic/format';
import { faultOf, type Refusal } from '../../logic/refusal';
import {
  type CredentialForm,
  credentials,
  hasPassword,
  loadCredentials,
  makeCredential,
  removeCredential,
  rotateCredential,
} from '../../state/credentials';
import { now_ms } from '../../state/box';
import { loadPeople, people } from '../../state/people';
import { Field, Refused } from '../door/field';
import { Confirm, Once, SendForm } from '../door/form';
import { Secure } from '../door/secure';
import { StreamBoxes, StreamChoice } from './grant';
import '../../style/admin.css';

const NEW: CredentialForm = { name: '', read: '*', publish: [], owner: null };

export function Credentials() {
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  useEffect(() => {
    void loadCredentials().then(setRefusal);
    void loadPeople();
  }, []);
  const list = credentials.value;
  return (
    <section class="admin" aria-labelledby="credentials-name">
      <h1 id="credentials-name">Players and recorders</h1>
      <p class="quiet">What programs sign in with to watch or send streams over RTSP and HLS.</p>
      <Refused refusal={refusal} />
      {list !== null && list.length === 0 && <p>None yet.</p>}
      {list !== null && list.length > 0 && (
        <ul class="rows">
          {list.map((one) => (
            <Row key={one.name} credential={one} />
          ))}
        </ul>
      )}
      <Make />
      <Secure />
    </section>
  );
}

type Opened = 'nothing' | 'rotate' | 'remove';

function Row({ credential }: { credential: Credential }) {
  const { name, active, last_used_ms } = credential;
  const [opened, setOpened] = useState<Opened>('nothing');
  const [made, setMade] = useState<MadeCredential | null>(null);
  const toggle = (what: Opened) => setOpened(opened === what ? 'nothing' : what);
  const rotate = async () => {
    const outcome = await rotateCredential(name);
    if (!hasPassword(outcome)) return outcome;
    setMade(outcome);
    setOpened('nothing');
    return null;
  };
  const used =
    last_used_ms === null
      ? 'not used since the box began'
      : `last used ${moment(last_used_ms, now_ms.value)}`;
  return (
    <li>
      <div class="row">
        <p>
          <b>{name}</b>
          <br />
          <span class="quiet">
            {credentialWords(credential)} · {used}
          </span>
          {!active && (
            <span class="part">
              Lets nobody in: the person whose it was has no account any more.
            </span>
          )}
        </p>
        <button
          type="button"
          aria-expanded={opened === 'rotate'}
          aria-label={`New password for ${name}`}
          onClick={() => toggle('rotate')}
        >
          New password
        </button>
        <button
          type="button"
          aria-expanded={opened === 'remove'}
          aria-label={`Remove ${name}`}
          onClick={() => toggle('remove')}
        >
          Remove
        </button>
      </div>
      {opened === 'rotate' && (
        <Confirm
          words={`Change the password of ${name}`}
          action={rotate}
          keep={() => setOpened('nothing')}
        >
          Whatever uses the present password is shut out at once.
        </Confirm>
      )}
      {opened === 'remove' && (
        <Confirm
          words={`Remove ${name}`}
          action={() => removeCredential(name)}
          keep={() => setOpened('nothing')}
        >
          Whatever uses it is shut out at once. Recordings stay.
        </Confirm>
      )}
      <div role="status">
        {made !== null && <Password made={made} done={() => setMade(null)} />}
      </div>
    </li>
  );
}

function Make() {
  const id = useId();
  const [form, setForm] = useState(NEW);
  const [made, setMade] = useState<MadeCredential | null>(null);
  const change = (changed: Partial<CredentialForm>) => setForm({ ...form, ...changed });
  const send = async () => {
    setMade(null);
    const outcome = await makeCredential({ ...form, name: form.name.trim() });
    if (!hasPassword(outcome)) return outcome;
    setMade(outcome);
    setForm(NEW);
    return null;
  };
  return (
    <SendForm
      title="Add a player or recorder"
      words={['Add', 'Adding…']}
      send={send}
      at={['name']}
      status={made !== null && <Password made={made} done={() => setMade(null)} />}
    >
      {(refusal) => (
        <>
          <Field
            label="Name"
            name="name"
            value={form.name}
            onValue={(name) => change({ name })}
            fault={faultOf(refusal, 'name', 'exists')}
            hint="It signs in with it: nvr, wall-tablet."
            input={{
              autocomplete: 'off',
              autocapitalize: 'none',
              spellcheck: false,
              required: true,
              maxLength: 32,
            }}
          />
          <StreamChoice
            legend="Watches"
            name={`${id}read`}
            value={form.read}
            onValue={(read) => change({ read })}
          />
          <fieldset class="choice">
            <legend>Sends</legend>
            <StreamBoxes
              value={form.publish === '*' ? [] : form.publish}
              onValue={(publish) => change({ publish })}
            />
          </fieldset>
          <div class="field">
            <label for={`${id}owner`}>Belongs to</label>
            <select
              id={`${id}owner`}
              value={form.owner ?? ''}
              aria-describedby={`${id}hint`}
              onChange={(event) => change({ owner: event.currentTarget.value || null })}
            >
              <option value="">The box</option>
              {(people.value ?? []).map(({ name }) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </select>
            <p class="quiet" id={`${id}hint`}>
              What belongs to a person may no more than they, and ends with their account.
            </p>
          </div>
        </>
      )}
    </SendForm>
  );
}

/** The password, with the address that it opens. */
function Password({ made, done }: { made: MadeCredential; done: () => void }) {
  return (
    <Once
      title={`The password of ${made.name}`}
      label="The password"
      text={made.password}
      done={done}
    >
      {made.url !== null && (
        <p>
          The address, which asks for the password: <code>{made.url}</code>
        </p>
      )}
    </Once>
  );
}
