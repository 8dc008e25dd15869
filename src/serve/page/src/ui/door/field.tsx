// Fields of a form: label, hint and fault belong to the input, for the eye and for the ear.

import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { PASSWORD_CHARS_MIN } from '../../logic/access';
import type { Refusal } from '../../logic/refusal';
import { Icon } from '../icon';
import { Prose } from '../prose';

/** What a field leaves to the browser. */
interface InputOptions {
  readonly type?: 'text' | 'password' | 'url' | 'number';
  readonly disabled?: boolean;
  readonly autocomplete?: string;
  readonly autocapitalize?: 'none' | 'characters';
  readonly spellcheck?: boolean;
  readonly required?: boolean;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly placeholder?: string;
  readonly class?: string;
}

interface FieldProps {
  readonly label: string;
  readonly name: string;
  readonly value: string;
  readonly onValue: (value: string) => void;
  readonly hint?: ComponentChildren;
  /** What is wrong with the value, in words. */
  readonly fault?: string | null;
  readonly input?: InputOptions;
  /** What is beside the input, such as a button. */
  readonly beside?: ComponentChildren;
}

export function Field({ label, name, value, onValue, hint, fault, input, beside }: FieldProps) {
  const id = useId();
  const described = [hint ? `${id}h` : '', fault ? `${id}f` : ''].join(' ').trim();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="entry">
        <input
          id={id}
          name={name}
          value={value}
          onInput={(event) => onValue(event.currentTarget.value)}
          aria-invalid={fault ? true : undefined}
          aria-describedby={described || undefined}
          {...(input as object)}
        />
        {beside}
      </div>
      {fault && (
        <p class="fault" id={`${id}f`} role="alert">
          <Prose text={fault} />
        </p>
      )}
      {hint && (
        <p class="quiet" id={`${id}h`}>
          {hint}
        </p>
      )}
    </div>
  );
}

interface PasswordProps extends Pick<FieldProps, 'label' | 'name' | 'value' | 'onValue'> {
  readonly autocomplete: 'current-password' | 'new-password' | 'off';
  readonly optional?: boolean;
  readonly hint?: ComponentChildren;
  readonly fault?: string | null;
}

/** A password, which can be shown. */
export function PasswordField({ autocomplete, optional = false, ...field }: PasswordProps) {
  const [shown, setShown] = useState(false);
  return (
    <Field
      {...field}
      input={{
        type: shown ? 'text' : 'password',
        autocomplete,
        required: !optional,
        autocapitalize: 'none',
        spellcheck: false,
      }}
      beside={
        <button
          type="button"
          aria-pressed={shown}
          aria-label={`Show: ${field.label}`}
          onClick={() => setShown(!shown)}
        >
          {shown ? 'Hide' : 'Show'}
        </button>
      }
    />
  );
}

interface NewPasswordProps {
  /** "Password", or "New password". */
  readonly label: string;
  readonly value: string;
  readonly onValue: (value: string) => void;
  readonly repeated: string;
  readonly onRepeated: (value: string) => void;
  /** What is wrong with the two once they were sent; null when nothing is. */
  readonly own: string | null;
  /** What the box finds wrong with it. */
  readonly refused: string | null;
}

/** A new password and its repetition; the fault is at the input that has it. */
export function NewPassword({ label, own, refused, ...fields }: NewPasswordProps) {
  const short = own !== null && fields.value.length < PASSWORD_CHARS_MIN;
  return (
    <>
      <PasswordField
        label={label}
        name="new"
        value={fields.value}
        onValue={fields.onValue}
        autocomplete="new-password"
        fault={short ? own : refused}
        hint={short ? null : `At least ${PASSWORD_CHARS_MIN} characters.`}
      />
      <PasswordField
        label={`${label} again`}
        name="repeat"
        value={fields.repeated}
        onValue={fields.onRepeated}
        autocomplete="new-password"
        fault={short ? null : own}
      />
    </>
  );
}

/** Codes of refusals that are about one field, where they are shown. */
const AT_FIELD = ['wrong_code', 'name_wrong', 'label_wrong', 'password_weak', 'exists'];
/** Paths of faults that have a field here. */
const WITH_FIELD = ['code', 'name', 'label', 'password', 'old', 'new'];

/** Why the box refused a form; what is about one field is said at the field. */
export function Refused({
  refusal,
  extra = null,
  at = WITH_FIELD,
}: {
  refusal: Refusal | null;
  extra?: string | null | undefined;
  /** Paths of faults that are said at a field. */
  at?: readonly string[] | undefined;
}) {
  const all = refusal?.faults ?? [];
  const faults = all.filter(({ path }) => !at.includes(path));
  const at_fields = AT_FIELD.includes(refusal?.code ?? '');
  const told = all.length > 0 && faults.length === 0 ? 'See the fields that are marked.' : null;
  const words = at_fields ? null : (told ?? refusal?.message ?? extra);
  return (
    <div role="alert">
      {words !== null && (
        <p class="refused">
          <Icon name="warn" />
          <span>
            <Prose text={words} />
            {faults.map(({ path, text }) => (
              <span key={path} class="part">
                <code>{path}</code> <Prose text={text} />
              </span>
            ))}
          </span>
        </p>
      )}
      {refusal?.paste && (
        <pre tabIndex={0} aria-label="What to add to the file">
          {refusal.paste}
        </pre>
      )}
    </div>
  );
}

/** Counts `secs` down from each new `cause` on; 0 when the waiting is over. */
export function useCountdown(secs: number | null, cause: unknown): number {
  const [left, setLeft] = useState(secs ?? 0);
  useEffect(() => {
    setLeft(secs ?? 0);
    if (secs === null) return;
    const until_ms = performance.now() + secs * 1000;
    const timer = setInterval(() => {
      const rest = Math.ceil((until_ms - performance.now()) / 1000);
      setLeft(Math.max(0, rest));
      if (rest <= 0) clearInterval(timer);
    }, 500);
    return () => clearInterval(timer);
  }, [secs, cause]);
  return left;
}

interface SubmitProps {
  /** Whether it takes something away. */
  readonly danger?: boolean | undefined;
  readonly words: string;
  readonly busy: boolean;
  readonly busy_words: string;
  /** Seconds until another attempt is taken. */
  readonly wait_secs?: number;
}

/** The button that sends a form. While it waits it says for how long. */
export function Submit({ words, busy, busy_words, wait_secs = 0, danger }: SubmitProps) {
  const rest = `${Math.floor(wait_secs / 60)}:${String(wait_secs % 60).padStart(2, '0')}`;
  return (
    <button type="submit" class={danger ? 'danger' : 'primary'} disabled={busy || wait_secs > 0}>
      {busy ? busy_words : wait_secs > 0 ? `Try again in ${rest}` : words}
    </button>
  );
}

/** Puts the focus into the first input of the form that is empty. */
export function useFirstField() {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    const inputs = [...(form.current?.querySelectorAll('input') ?? [])];
    (inputs.find((one) => one.value === '') ?? inputs[0])?.focus();
  }, []);
  return form;
}
