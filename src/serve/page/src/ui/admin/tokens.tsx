// The API tokens: the list, and a form for another one, whose text is shown once.

import { useEffect, useState } from 'preact/hooks';
import { grantWords } from '../../logic/access';
import { faultOf, type Refusal } from '../../logic/refusal';
import { LIFETIMES, type MadeToken, type Scope, type Token } from '../../logic/token';
import type { Grant } from '../../state/people';
import { isMade, loadTokens, makeToken, revokeToken, tokens } from '../../state/tokens';
import { Field, Refused } from '../door/field';
import { Confirm, Once, SendForm } from '../door/form';
import { Secure } from '../door/secure';
import { GrantFields } from './grant';
import '../../style/admin.css';

/** What a new token may do unless somebody says otherwise. */
const LEAST: Grant = { role: 'viewer', streams: '*', past: true };

export function Tokens() {
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  useEffect(() => void loadTokens().then(setRefusal), []);
  const list = tokens.value;
  return (
    <section class="admin" aria-labelledby="tokens-name">
      <h1 id="tokens-name">API tokens</h1>
      <p class="quiet">
        What a program shows instead of a password, such as Home Assistant or Prometheus:{' '}
        <code>Authorization: Bearer hft_…</code>
      </p>
      <Refused refusal={refusal} />
      {list !== null && list.length === 0 && <p>No tokens yet.</p>}
      {list !== null && list.length > 0 && (
        <ul class="rows">
          {list.map((one) => (
            <Row key={one.id} token={one} />
          ))}
        </ul>
      )}
      <MakeToken />
      <Secure />
    </section>
  );
}

function Row({ token }: { token: Token }) {
  const [asks, setAsks] = useState(false);
  const { id, name, maker, expires_ms } = token;
  return (
    <li>
      <div class="row">
        <p>
          <b>{name}</b>
          <br />
          <span class="quiet">
            {tokenWords(token)} · {maker === null ? 'by the command line' : `by ${maker}`} ·{' '}
            {expires_ms === null ? 'until it is revoked' : `until ${date(expires_ms)}`}
          </span>
        </p>
        <button
          type="button"
          aria-expanded={asks}
          aria-label={`Revoke ${name}`}
          onClick={() => setAsks(!asks)}
        >
          Revoke
        </button>
      </div>
      {asks && (
        <Confirm
          words={`Revoke ${name}`}
          action={() => revokeToken(id)}
          keep={() => setAsks(false)}
        >
          Whatever uses this token is shut out at once. It cannot be brought back.
        </Confirm>
      )}
    </li>
  );
}

function tokenWords(token: Token): string {
  return token.scope === 'metrics' ? 'Figures only (/metrics)' : grantWords(token);
}

/** "1 Jan 2027", in the order of the browser's language. */
function date(ms: number): string {
  return new Date(ms).toLocaleDateString([], { day: 'numeric', month: 'short', year: 'numeric' });
}

function MakeToken() {
  const [label, setLabel] = useState('');
  const [scope, setScope] = useState<Scope>('api');
  const [grant, setGrant] = useState<Grant>(LEAST);
  const [days, setDays] = useState<number | null>(365);
  const [made, setMade] = useState<MadeToken | null>(null);
  const send = async () => {
    setMade(null);
    const outcome = await makeToken({ label: label.trim(), scope, grant, days });
    if (!isMade(outcome)) return outcome;
    setMade(outcome);
    setLabel('');
    setGrant(LEAST);
    return null;
  };
  return (
    <SendForm
      title="Make a token"
      words={['Make', 'Making…']}
      send={send}
      status={
        made !== null && (
          <Once
            title={`The token of ${made.name}`}
            label="The token"
            text={made.text}
            done={() => setMade(null)}
          />
        )
      }
    >
      {(refusal) => (
        <>
          <Field
            label="What is it for?"
            name="label"
            value={label}
            onValue={setLabel}
            fault={faultOf(refusal, 'label', 'label_wrong')}
            input={{ autocomplete: 'off', required: true, maxLength: 64 }}
          />
          <ScopeFields value={scope} onValue={setScope} />
          {scope === 'api' && <GrantFields value={grant} onValue={setGrant} />}
          <LifetimeFields value={days} onValue={setDays} />
        </>
      )}
    </SendForm>
  );
}

interface Choice<T> {
  readonly value: T;
  readonly onValue: (value: T) => void;
}

function ScopeFields({ value, onValue }: Choice<Scope>) {
  const option = (scope: Scope, words: string, more: string) => (
    <label>
      <input type="radio" name="scope" checked={value === scope} onChange={() => onValue(scope)} />
      <span>
        {words} <span class="quiet">{more}</span>
      </span>
    </label>
  );
  return (
    <fieldset class="choice">
      <legend>Good for</legend>
      {option('api', 'The API', 'cameras, pictures, recordings, as far as its role goes')}
      {option('metrics', 'Figures only', '/metrics, for Prometheus')}
    </fieldset>
  );
}

function LifetimeFields({ value, onValue }: Choice<number | null>) {
  return (
    <fieldset class="choice">
      <legend>Good for how long</legend>
      {LIFETIMES.map(({ days, words }) => (
        <label key={words}>
          <input
            type="radio"
            name="lifetime"
            checked={value === days}
            onChange={() => onValue(days)}
          />
          {words}
        </label>
      ))}
    </fieldset>
  );
}
