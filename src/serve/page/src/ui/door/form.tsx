// The frame of whatever is sent to the box: a form that is busy, is refused and waits; a question
// before something is taken away; and what is shown once.

import type { ComponentChildren, RefObject } from 'preact';
import { useId, useState } from 'preact/hooks';
import type { Refusal } from '../../logic/refusal';
import { Refused, Submit, useCountdown } from './field';

interface SendFormProps {
  /** The heading, which names the form. */
  readonly title?: string;
  /** On the button, and while it is sent: "Add", "Adding…". */
  readonly words: readonly [string, string];
  /** Sends what is typed; null when the box took it. */
  readonly send: () => Promise<Refusal | null>;
  /** Whether what is typed may be sent. */
  readonly check?: () => boolean;
  /** The fields; each says what of the refusal is about it. */
  readonly children: (refusal: Refusal | null) => ComponentChildren;
  /** Paths of faults that are said at a field of this form. */
  readonly at?: readonly string[];
  /** What is refused already, before anything is sent. */
  readonly extra?: string | null;
  /** Seconds until the box takes anything, as it said before anything was sent. */
  readonly locked_secs?: number | null;
  /** What is said once it was sent. */
  readonly status?: ComponentChildren;
  readonly cancel?: () => void;
  readonly class?: string;
  /** Whether something is taken away. */
  readonly danger?: boolean;
  readonly form?: RefObject<HTMLFormElement | null>;
}

/** A form that is sent once at a time, and says why it was refused. */
export function SendForm({ words, send, children, locked_secs = null, ...rest }: SendFormProps) {
  const id = useId();
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const wait_secs = useCountdown(refusal?.retry_secs ?? locked_secs, refusal ?? locked_secs);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (busy || wait_secs > 0 || rest.check?.() === false) return;
    setBusy(true);
    const refused = await send();
    setBusy(false);
    setRefusal(refused);
  };
  return (
    <form
      ref={rest.form ?? null}
      class={rest.class ?? (rest.title === undefined ? 'form' : 'form card-form')}
      aria-labelledby={rest.title === undefined ? undefined : id}
      onSubmit={(event) => void submit(event)}
    >
      {rest.title !== undefined && <h2 id={id}>{rest.title}</h2>}
      {children(refusal)}
      <Refused refusal={refusal} extra={rest.extra} at={rest.at} />
      {rest.status !== undefined && <div role="status">{rest.status}</div>}
      <div class="buttons">
        <Submit
          words={words[0]}
          busy={busy}
          busy_words={words[1]}
          wait_secs={wait_secs}
          danger={rest.danger}
        />
        {rest.cancel && (
          <button type="button" onClick={rest.cancel}>
            Cancel
          </button>
        )}
      </div>
    </form>
  );
}

interface ConfirmProps {
  /** What is done: "Remove gate". */
  readonly words: string;
  readonly action: () => Promise<Refusal | null>;
  readonly keep: () => void;
  /** What follows from it. */
  readonly children: ComponentChildren;
}

/** The question before something is taken away. */
export function Confirm({ words, action, keep, children }: ConfirmProps) {
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  return (
    <div class="form" role="group" aria-label={words}>
      <p>{children}</p>
      <Refused refusal={refusal} />
      <div class="buttons">
        <button type="button" class="danger" onClick={() => void action().then(setRefusal)}>
          {words}
        </button>
        <button type="button" onClick={keep}>
          Keep
        </button>
      </div>
    </div>
  );
}

interface OnceProps {
  /** "The token of Prometheus". */
  readonly title: string;
  /** "The token". */
  readonly label: string;
  readonly text: string;
  readonly done: () => void;
  readonly children?: ComponentChildren;
}

/** A secret, the only time it is seen. */
export function Once({ title, label, text, done, children }: OnceProps) {
  return (
    <div class="made">
      <p>
        <b>{title}.</b> It is shown only now: copy it before you leave this page.
      </p>
      <pre tabIndex={0} aria-label={label}>
        {text}
      </pre>
      {children}
      <button type="button" onClick={done}>
        I have copied it
      </button>
    </div>
  );
}
