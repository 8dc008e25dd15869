// The log-in view.

import { useState } from 'preact/hooks';
import type { Refusal } from '../../logic/refusal';
import { ended, signIn } from '../../state/session';
import { Field, PasswordField, Refused, Submit, useCountdown, useFirstField } from './field';
import { Secure } from './secure';

export function SignIn() {
  const [name, setName] = useState(ended.value ?? '');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const wait_secs = useCountdown(refusal?.retry_secs ?? null, refusal);
  const form = useFirstField();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (busy || wait_secs > 0) return;
    setBusy(true);
    const refused = await signIn(name.trim(), password);
    if (refused === null) return;
    setBusy(false);
    setRefusal(refused);
    // A mistyped password is typed again; after a failure to reach the box it need not be.
    if (refused.status !== 0) setPassword('');
    form.current?.querySelector<HTMLInputElement>('[name=password]')?.focus();
  };
  return (
    <section class="door" aria-labelledby="door-name">
      <h1 id="door-name">Sign in</h1>
      {ended.value !== null && (
        <p role="status">Your session has ended. Sign in to go on where you were.</p>
      )}
      <form ref={form} onSubmit={(event) => void submit(event)}>
        <Field
          label="Name"
          name="username"
          value={name}
          onValue={setName}
          input={{
            autocomplete: 'username',
            autocapitalize: 'none',
            spellcheck: false,
            required: true,
          }}
        />
        <PasswordField
          label="Password"
          name="password"
          value={password}
          onValue={setPassword}
          autocomplete="current-password"
        />
        <Refused refusal={refusal} />
        <Submit words="Sign in" busy={busy} busy_words="Signing in…" wait_secs={wait_secs} />
      </form>
      <details>
        <summary>Forgot your password?</summary>
        <p>
          An admin can set a new one under People. On the box itself,{' '}
          <code>holdfast account password</code> does.
        </p>
      </details>
      <Secure />
    </section>
  );
}
