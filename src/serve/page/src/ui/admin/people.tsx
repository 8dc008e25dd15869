// The people who may sign in: the list, and a form for another one.

import { useEffect, useState } from 'preact/hooks';
import { type Account, grantWords } from '../../logic/access';
import { faultOf, type Refusal } from '../../logic/refusal';
import {
  addPerson,
  changePerson,
  type Grant,
  loadPeople,
  people,
  removePerson,
} from '../../state/people';
import { account } from '../../state/session';
import { Field, PasswordField, Refused, Submit } from '../door/field';
import { Secure } from '../door/secure';
import { GrantFields } from './grant';
import '../../style/admin.css';

/** What a new account may do unless somebody says otherwise. */
const LEAST: Grant = { role: 'viewer', streams: '*', past: true };

export function People() {
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  useEffect(() => void loadPeople().then(setRefusal), []);
  const list = people.value;
  return (
    <section class="admin" aria-labelledby="people-name">
      <h1 id="people-name">People</h1>
      <Refused refusal={refusal} />
      {list !== null && (
        <ul class="rows">
          {list.map((one) => (
            <Person key={one.name} person={one} />
          ))}
        </ul>
      )}
      <AddPerson />
      <Secure />
    </section>
  );
}

type Opened = 'nothing' | 'change' | 'remove';

function Person({ person }: { person: Account }) {
  const [opened, setOpened] = useState<Opened>('nothing');
  const own = account.value?.name === person.name;
  const toggle = (what: Opened) => setOpened(opened === what ? 'nothing' : what);
  return (
    <li>
      <div class="row">
        <p>
          <b>{person.name}</b>
          {own && <span class="quiet"> (you)</span>}
          <br />
          <span class="quiet">{grantWords(person)}</span>
        </p>
        <button
          type="button"
          aria-expanded={opened === 'change'}
          aria-label={`Change ${person.name}`}
          onClick={() => toggle('change')}
        >
          Change
        </button>
        {!own && (
          <button
            type="button"
            aria-expanded={opened === 'remove'}
            aria-label={`Remove ${person.name}`}
            onClick={() => toggle('remove')}
          >
            Remove
          </button>
        )}
      </div>
      {opened === 'change' && (
        <ChangePerson person={person} own={own} done={() => setOpened('nothing')} />
      )}
      {opened === 'remove' && <RemovePerson name={person.name} keep={() => setOpened('nothing')} />}
    </li>
  );
}

interface ChangeProps {
  readonly person: Account;
  readonly own: boolean;
  readonly done: () => void;
}

function ChangePerson({ person, own, done }: ChangeProps) {
  const [grant, setGrant] = useState<Grant>(person);
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    const { role, streams, past } = grant;
    const refused = await changePerson(person.name, { role, streams, past }, password);
    setBusy(false);
    setRefusal(refused);
    if (refused === null) done();
  };
  return (
    <form class="form" onSubmit={(event) => void submit(event)}>
      <GrantFields value={grant} onValue={setGrant} />
      <PasswordField
        label="New password"
        name="password"
        value={password}
        onValue={setPassword}
        autocomplete="new-password"
        optional
        fault={faultOf(refusal, 'password', 'password_weak')}
        hint="Leave it empty to keep the present one."
      />
      <p class="quiet">
        {own
          ? 'You have to sign in again afterwards.'
          : `${person.name} has to sign in again afterwards.`}
      </p>
      <Refused refusal={refusal} />
      <div class="buttons">
        <Submit words="Save" busy={busy} busy_words="Saving…" />
        <button type="button" onClick={done}>
          Cancel
        </button>
      </div>
    </form>
  );
}

function RemovePerson({ name, keep }: { name: string; keep: () => void }) {
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  return (
    <div class="form" role="group" aria-label={`Remove ${name}`}>
      <p>{name} is signed out at once and cannot sign in any more. Recordings and exports stay.</p>
      <Refused refusal={refusal} />
      <div class="buttons">
        <button
          type="button"
          class="danger"
          onClick={() => void removePerson(name).then(setRefusal)}
        >
          Remove {name}
        </button>
        <button type="button" onClick={keep}>
          Keep
        </button>
      </div>
    </div>
  );
}

function AddPerson() {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [grant, setGrant] = useState<Grant>(LEAST);
  const [busy, setBusy] = useState(false);
  const [added, setAdded] = useState<string | null>(null);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    const wanted = { name: name.trim(), ...grant };
    const refused = await addPerson(wanted, password);
    setBusy(false);
    setRefusal(refused);
    setAdded(refused === null ? wanted.name : null);
    if (refused !== null) return;
    setName('');
    setPassword('');
    setGrant(LEAST);
  };
  return (
    <form
      class="form card-form"
      aria-labelledby="add-name"
      onSubmit={(event) => void submit(event)}
    >
      <h2 id="add-name">Add a person</h2>
      <Field
        label="Name"
        name="name"
        value={name}
        onValue={setName}
        fault={faultOf(refusal, 'name', 'name_wrong')}
        input={{
          autocomplete: 'off',
          autocapitalize: 'none',
          spellcheck: false,
          required: true,
          maxLength: 32,
        }}
      />
      <PasswordField
        label="First password"
        name="password"
        value={password}
        onValue={setPassword}
        autocomplete="new-password"
        fault={faultOf(refusal, 'password', 'password_weak')}
        hint="At least 12 characters. They can change it once they are in."
      />
      <GrantFields value={grant} onValue={setGrant} />
      <Refused refusal={refusal} />
      <p role="status">{added !== null && `${added} can sign in now.`}</p>
      <div class="buttons">
        <Submit words="Add" busy={busy} busy_words="Adding…" />
      </div>
    </form>
  );
}
