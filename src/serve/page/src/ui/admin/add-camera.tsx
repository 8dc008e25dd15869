// Adding a camera by its address: it is tried, its picture is shown, and then it is saved.

import { useEffect, useId, useRef, useState } from 'preact/hooks';
import {
  accessOf,
  addressFault,
  type CameraForm,
  hasTransports,
  nameFault,
  suggestName,
  TRANSPORTS,
  type Transport,
  type Trial,
} from '../../logic/camera';
import { faultOf, type Refusal } from '../../logic/refusal';
import { streams } from '../../state/box';
import { addCamera, tryCamera } from '../../state/cameras';
import { streamAddress } from '../../state/route';
import { Field, PasswordField, Refused, Submit, useFirstField } from '../door/field';
import { Secure } from '../door/secure';
import { Found } from './found';
import '../../style/admin.css';

const EMPTY: CameraForm = {
  name: '',
  title: '',
  url: '',
  username: '',
  password: '',
  transport: 'auto',
  record: true,
};

/** Whether what is shown as found is of what is typed. */
function sameSource(a: CameraForm | null, b: CameraForm): boolean {
  return a !== null && JSON.stringify(accessOf(a)) === JSON.stringify(accessOf(b));
}

export function AddCamera() {
  const [form, setForm] = useState<CameraForm>(EMPTY);
  const [tried, setTried] = useState<{ form: CameraForm; trial: Trial } | null>(null);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const attempt = useRef<AbortController | null>(null);
  const [trying, setTrying] = useState(false);
  useEffect(() => () => attempt.current?.abort(), []);
  const shown = tried !== null && sameSource(tried.form, form) ? tried.trial : null;

  const change = (changed: Partial<CameraForm>) => setForm({ ...form, ...changed });
  const test = async () => {
    attempt.current?.abort();
    const mine = new AbortController();
    attempt.current = mine;
    setTrying(true);
    setRefusal(null);
    const found = await tryCamera(form, mine.signal);
    if (mine.signal.aborted) return;
    setTrying(false);
    if ('message' in found) setRefusal(found);
    else {
      setTried({ form, trial: found });
      if (form.name === '') change({ name: suggestName(form.url) });
    }
  };
  const cancel = () => {
    attempt.current?.abort();
    setTrying(false);
  };
  return (
    <section class="admin" aria-labelledby="camera-name">
      <h1 id="camera-name">Add camera</h1>
      <Source
        form={form}
        change={change}
        trying={trying}
        test={() => void test()}
        cancel={cancel}
        refusal={refusal}
      />
      <div role="status">{trying && <Trying />}</div>
      {shown !== null && !trying && (
        <>
          <Found trial={shown} />
          <Save form={form} change={change} />
        </>
      )}
      <Secure />
    </section>
  );
}

interface SourceProps {
  readonly form: CameraForm;
  readonly change: (changed: Partial<CameraForm>) => void;
  readonly trying: boolean;
  readonly test: () => void;
  readonly cancel: () => void;
  readonly refusal: Refusal | null;
}

function Source({ form, change, trying, test, cancel, refusal }: SourceProps) {
  const [checked, setChecked] = useState(false);
  const fields = useFirstField();
  const fault = checked ? addressFault(form.url.trim()) : null;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    setChecked(true);
    if (!trying && addressFault(form.url.trim()) === null) test();
  };
  return (
    <form ref={fields} class="form card-form" onSubmit={submit}>
      <Field
        label="Address of the camera"
        name="url"
        value={form.url}
        onValue={(url) => change({ url: url.trim() })}
        fault={fault ?? faultOf(refusal, 'url')}
        hint="Its RTSP address, as its manual or its own page gives it."
        input={{
          autocomplete: 'off',
          autocapitalize: 'none',
          spellcheck: false,
          required: true,
          maxLength: 1024,
          placeholder: 'rtsp://10.0.0.7:554/main',
        }}
      />
      <Field
        label="User name of the camera"
        name="camera-user"
        value={form.username}
        onValue={(username) => change({ username })}
        fault={faultOf(refusal, 'username')}
        hint="Leave it empty if the camera asks for none."
        input={{ autocomplete: 'off', autocapitalize: 'none', spellcheck: false }}
      />
      <PasswordField
        label="Password of the camera"
        name="camera-password"
        value={form.password}
        onValue={(password) => change({ password })}
        autocomplete="off"
        optional
        fault={faultOf(refusal, 'password')}
      />
      {hasTransports(form.url) && <TransportField form={form} change={change} />}
      <Refused refusal={refusal} />
      <div class="buttons">
        <Submit words="Try" busy={trying} busy_words="Trying…" />
        {trying && (
          <button type="button" onClick={cancel}>
            Cancel
          </button>
        )}
      </div>
    </form>
  );
}

/** By which way the camera's pictures come. */
function TransportField({ form, change }: Pick<SourceProps, 'form' | 'change'>) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>Transport</label>
      <select
        id={id}
        name="transport"
        value={form.transport}
        aria-describedby={`${id}h`}
        onChange={(event) => change({ transport: event.currentTarget.value as Transport })}
      >
        {TRANSPORTS.map(([transport, words]) => (
          <option key={transport} value={transport}>
            {words}
          </option>
        ))}
      </select>
      <p class="quiet" id={`${id}h`}>
        The box tries TCP, then UDP, then multicast. HTTP goes through what lets nothing else pass.
      </p>
    </div>
  );
}

/** The camera is given 10 s; meanwhile the page says that something happens. */
function Trying() {
  return (
    <p class="trying">
      <progress aria-label="Trying the camera" />
      Waiting for a picture, for at most 10 s.
    </p>
  );
}

type SaveProps = Pick<SourceProps, 'form' | 'change'>;

function Save({ form, change }: SaveProps) {
  const [busy, setBusy] = useState(false);
  const [checked, setChecked] = useState(false);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const fault = () =>
    nameFault(
      form.name,
      (streams.value ?? []).map((one) => one.name),
    );
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setChecked(true);
    if (busy || fault() !== null) return;
    setBusy(true);
    const refused = await addCamera({ ...form, title: form.title.trim() });
    setBusy(false);
    setRefusal(refused);
    if (refused === null) location.assign(streamAddress(form.name));
  };
  return (
    <form class="form card-form" onSubmit={(event) => void submit(event)}>
      <Field
        label="Name"
        name="stream"
        value={form.name}
        onValue={(name) => change({ name: name.toLowerCase() })}
        fault={(checked ? fault() : null) ?? faultOf(refusal, 'name')}
        hint="It is part of the addresses of the stream. Letters a to z, digits and -."
        input={{
          autocomplete: 'off',
          autocapitalize: 'none',
          spellcheck: false,
          required: true,
          maxLength: 32,
        }}
      />
      <Field
        label="Title"
        name="title"
        value={form.title}
        onValue={(title) => change({ title })}
        hint="What people call it. Leave it empty to show the name."
        input={{ autocomplete: 'off', maxLength: 64 }}
      />
      <label class="check">
        <input
          type="checkbox"
          checked={form.record}
          onChange={(event) => change({ record: event.currentTarget.checked })}
        />
        Record it
      </label>
      <Refused refusal={refusal} />
      <div class="buttons">
        <Submit words="Save camera" busy={busy} busy_words="Saving…" />
      </div>
    </form>
  );
}
