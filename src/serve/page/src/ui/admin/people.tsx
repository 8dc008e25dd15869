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
import { Field, PasswordField, Refused } from '../door/field';
import { Confirm, SendForm } from '../door/form';
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
      {opened === 'remove' && (
        <Confirm
          words={`Remove ${person.name}`}
          action={() => removePerson(person.name)}
          keep={() => setOpened('nothing')}
        >
          {person.name} is signed out at once and cannot sign in any more, and neither can the
          players that belong to them. Recordings and exports stay.
        </Confirm>
      )}
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
  const send = async () => {
    const { role, streams, past } = grant;
    const refused = await changePerson(person.name, { role, streams, past }, password);
    if (refused === null) done();
    return refused;
  };
  return (
    <SendForm words={['Save', 'Saving…']} send={send} cancel={done}>
      {(refusal) => (
        <>
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
        </>
      )}
    </SendForm>
  );
}

function AddPerson() {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [grant, setGrant] = useState<Grant>(LEAST);
  const [added, setAdded] = useState<string | null>(null);
  const send = async () => {
    const wanted = { name: name.trim(), ...grant };
    const refused = await addPerson(wanted, password);
    setAdded(refused === null ? wanted.name : null);
    if (refused !== null) return refused;
    setName('');
    setPassword('');
    setGrant(LEAST);
    return null;
  };
  return (
    <SendForm
      title="Add a person"
      words={['Add', 'Adding…']}
      send={send}
      status={added !== null && `${added} can sign in now.`}
    >
      {(refusal) => (
        <>
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
        </>
      )}
    </SendForm>
  );
}
