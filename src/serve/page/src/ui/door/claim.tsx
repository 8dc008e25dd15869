// The claim view: who holds the box's code makes the first account.

import { useState } from 'preact/hooks';
import { passwordFault } from '../../logic/access';
import { faultOf } from '../../logic/refusal';
import { claim, door, locked_secs } from '../../state/session';
import { claimCode } from '../../state/route';
import { Preview } from './preview';
import { Field, NewPassword, useFirstField } from './field';
import { SendForm } from './form';
import { Secure } from './secure';

export function Claim() {
  const [code, setCode] = useState(claimCode);
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [repeated, setRepeated] = useState('');
  const [tried, setTried] = useState(false);
  const form = useFirstField();
  const own = tried ? passwordFault(password, repeated) : null;
  const locked = door.value === 'locked' ? locked_secs.value : null;
  const check = () => {
    setTried(true);
    const sound = passwordFault(password, repeated) === null;
    if (!sound) focusOn(form.current, password === repeated ? 'new' : 'repeat');
    return sound;
  };
  const send = async () => {
    const refused = await claim(code.trim(), name.trim(), password);
    if (refused === null) location.hash = '#/';
    if (refused?.code === 'wrong_code') focusOn(form.current, 'code');
    return refused;
  };
  return (
    <section class="door" aria-labelledby="door-name">
      <h1 id="door-name">Claim this box</h1>
      <p>Nobody owns this box yet. It lets nobody in until somebody claims it.</p>
      <SendForm
        form={form}
        class=""
        words={['Claim', 'Claiming…']}
        check={check}
        send={send}
        extra={locked !== null ? 'Too many wrong codes. The box takes another one later.' : null}
        locked_secs={locked}
      >
        {(refusal) => (
          <>
            {door.value === 'window' ? (
              <p>The button of the box was held: for a few minutes no code is needed.</p>
            ) : (
              <Field
                label="Code of the box"
                name="code"
                value={code}
                onValue={setCode}
                fault={refusal?.code === 'wrong_code' ? 'This is not the code of this box.' : null}
                hint={
                  <>
                    It proves that the box is yours. You find it on the label and on the console of
                    the box; on a computer, <code>holdfast claim-code</code> prints it.
                  </>
                }
                input={{
                  autocomplete: 'off',
                  autocapitalize: 'characters',
                  spellcheck: false,
                  required: true,
                  maxLength: 32,
                  class: 'code',
                }}
              />
            )}
            <Field
              label="Your name"
              name="username"
              value={name}
              onValue={setName}
              fault={faultOf(refusal, 'name', 'name_wrong')}
              hint="You sign in with it. It gets all rights, and can let others in."
              input={{
                autocomplete: 'username',
                autocapitalize: 'none',
                spellcheck: false,
                required: true,
              }}
            />
            <NewPassword
              label="Password"
              value={password}
              onValue={setPassword}
              repeated={repeated}
              onRepeated={setRepeated}
              own={own}
              refused={faultOf(refusal, 'password', 'password_weak')}
            />
          </>
        )}
      </SendForm>
      <Preview />
      <Secure />
    </section>
  );
}

function focusOn(form: HTMLFormElement | null, name: string): void {
  form?.querySelector<HTMLInputElement>(`[name=${name}]`)?.focus();
}
