// Changing your own password.

import { useState } from 'preact/hooks';
import { passwordFault } from '../../logic/access';
import { faultOf, type Refusal } from '../../logic/refusal';
import { account, changePassword } from '../../state/session';
import { homeAddress } from '../../state/route';
import { Secure } from './secure';
import { NewPassword, PasswordField, Refused, Submit, useCountdown, useFirstField } from './field';

export function Password() {
  const [before, setBefore] = useState('');
  const [after, setAfter] = useState('');
  const [repeated, setRepeated] = useState('');
  const [busy, setBusy] = useState(false);
  const [done, setDone] = useState(false);
  const [tried, setTried] = useState(false);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const wait_secs = useCountdown(refusal?.retry_secs ?? null, refusal);
  const form = useFirstField();
  const own = tried ? passwordFault(after, repeated) : null;
  const mistyped = refusal?.code === 'wrong_password';
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setTried(true);
    if (busy || wait_secs > 0 || passwordFault(after, repeated) !== null) return;
    setBusy(true);
    const refused = await changePassword(before, after);
    setBusy(false);
    setRefusal(refused);
    setDone(refused === null);
  };
  return (
    <section class="door" aria-labelledby="door-name">
      <h1 id="door-name">Change password</h1>
      {done ? (
        <p role="status">
          The password of {account.value?.name} is changed. Everywhere else you have to sign in
          again.
        </p>
      ) : (
        <form ref={form} onSubmit={(event) => void submit(event)}>
          <input
            class="hidden"
            tabIndex={-1}
            aria-hidden="true"
            name="username"
            autocomplete="username"
            value={account.value?.name ?? ''}
            readOnly
          />
          <PasswordField
            label="Present password"
            name="old"
            value={before}
            onValue={setBefore}
            autocomplete="current-password"
            fault={mistyped ? 'This is not your present password.' : null}
          />
          <NewPassword
            label="New password"
            value={after}
            onValue={setAfter}
            repeated={repeated}
            onRepeated={setRepeated}
            own={own}
            refused={faultOf(refusal, 'new', 'password_weak')}
          />
          <Refused refusal={mistyped ? null : refusal} />
          <div class="buttons">
            <Submit words="Change" busy={busy} busy_words="Changing…" wait_secs={wait_secs} />
          </div>
        </form>
      )}
      <p>
        <a href={homeAddress()}>Show all streams</a>
      </p>
      <Secure />
    </section>
  );
}
