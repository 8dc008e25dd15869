// The settings of a stream, or of the box: one form for whatever its section of the configuration has.

import { useEffect, useId, useState } from 'preact/hooks';
import { faultOf, type Refusal } from '../../logic/refusal';
import {
  BOX_SETTINGS,
  isSet,
  keyOf,
  patchOf,
  type Setting,
  settingsOf,
  STREAM_SETTINGS,
  type Typed,
  valueOf,
} from '../../logic/setting';
import { streams } from '../../state/box';
import { homeAddress, selectedSection, settingsAddress } from '../../state/route';
import {
  type DisabledStream,
  isLoaded,
  type Loaded,
  loadDisabled,
  loadSection,
  removeStream,
  saveSection,
  takeBack,
} from '../../state/settings';
import { Field, PasswordField, Refused } from '../door/field';
import { Confirm, SendForm } from '../door/form';
import { Secure } from '../door/secure';
import '../../style/admin.css';

export function Settings() {
  const stream = selectedSection.value;
  return <Section key={stream ?? ''} stream={stream} />;
}

function Section({ stream }: { stream: string | null }) {
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const take = (outcome: Loaded | Refusal) => {
    if (isLoaded(outcome)) setLoaded(outcome);
    setRefusal(isLoaded(outcome) ? null : outcome);
  };
  const load = () => loadSection(stream).then(take);
  useEffect(() => void load(), []);
  const title = streams.value?.find((one) => one.name === stream)?.title ?? stream;
  return (
    <section class="admin" aria-labelledby="settings-name">
      <h1 id="settings-name">{title === null ? 'Settings' : `Settings of ${title}`}</h1>
      {stream === null && <StreamList />}
      <Refused refusal={refusal} />
      {loaded !== null && (
        <Editor key={loaded.etag} stream={stream} loaded={loaded} take={take} load={load} />
      )}
      {stream !== null && loaded !== null && <Remove stream={stream} etag={loaded.etag} />}
      <Secure />
    </section>
  );
}

/** The way to the settings of each stream, those that are switched off too. */
function StreamList() {
  const [disabled, setDisabled] = useState<readonly DisabledStream[]>([]);
  useEffect(() => void loadDisabled().then(setDisabled), []);
  const running = (streams.value ?? []).map(({ name, title }) => ({ name, title, off: false }));
  const all = [...running, ...disabled.map((one) => ({ ...one, off: true }))];
  return (
    <ul class="rows" aria-label="Streams">
      {all.map(({ name, title, off }) => (
        <li key={name} class="row">
          <p>
            <b>{title}</b> {off && <span class="quiet">switched off</span>}
          </p>
          <a class="button" href={settingsAddress(name)} aria-label={`Settings of ${title}`}>
            Settings
          </a>
        </li>
      ))}
    </ul>
  );
}

interface EditorProps {
  readonly stream: string | null;
  readonly loaded: Loaded;
  readonly take: (outcome: Loaded | Refusal) => void;
  readonly load: () => Promise<void>;
}

/** Whether the last change can be taken back; it outlives the form, which is made anew with each text. */
let saved_etag: string | null = null;

function Editor({ stream, loaded, take, load }: EditorProps) {
  const { section, etag } = loaded;
  const settings = settingsOf(section, stream === null ? BOX_SETTINGS : STREAM_SETTINGS);
  const [typed, setTyped] = useState<Readonly<Record<string, Typed>>>({});
  const [outdated, setOutdated] = useState(false);
  const patch = patchOf(section, settings, typed);
  const changed = Object.keys(patch).length > 0;
  const undoable = saved_etag === etag && !changed;
  const send = async () => {
    if (!changed) return null;
    const outcome = await saveSection(stream, etag, patch);
    if (!isLoaded(outcome)) {
      setOutdated(outcome.status === 412);
      return outcome;
    }
    saved_etag = outcome.etag;
    take(outcome);
    return null;
  };
  const undo = async () => {
    saved_etag = null;
    take(await takeBack(stream, etag));
  };
  return (
    <SendForm
      title={stream === null ? 'The box' : 'The stream'}
      words={['Save', 'Saving…']}
      send={send}
      at={settings.map(keyOf)}
      status={
        undoable && (
          <p>
            Saved.{' '}
            <button type="button" onClick={() => void undo()}>
              Take it back
            </button>
          </p>
        )
      }
    >
      {(refusal) => (
        <>
          {settings.map((setting) => (
            <Input
              key={keyOf(setting)}
              setting={setting}
              section={section}
              value={typed[keyOf(setting)] ?? valueOf(section, setting)}
              onValue={(value) => setTyped({ ...typed, [keyOf(setting)]: value })}
              fault={faultOf(refusal, keyOf(setting))}
            />
          ))}
          {outdated && (
            <button type="button" onClick={() => void load()}>
              Show what is there now
            </button>
          )}
        </>
      )}
    </SendForm>
  );
}

interface InputProps {
  readonly setting: Setting;
  readonly section: Loaded['section'];
  readonly value: Typed;
  readonly onValue: (value: Typed) => void;
  readonly fault: string | null;
}

function Input({ setting, section, value, onValue, fault }: InputProps) {
  const { label, kind, hint } = setting;
  const name = keyOf(setting);
  switch (kind) {
    case 'switch':
      return <Switch label={label} on={value === true} onValue={onValue} fault={fault} />;
    case 'choice':
      return <Choice setting={setting} value={String(value)} onValue={onValue} />;
    case 'secret':
      return (
        <PasswordField
          label={label}
          name={name}
          value={String(value)}
          onValue={onValue}
          autocomplete="off"
          optional
          fault={fault}
          hint={isSet(section, setting) ? 'Leave it empty to keep the present one.' : undefined}
        />
      );
    case 'text':
    case 'number':
    case 'list':
      return (
        <Field
          label={label}
          name={name}
          value={String(value)}
          onValue={onValue}
          fault={fault}
          hint={hint}
          input={{ autocomplete: 'off', autocapitalize: 'none', spellcheck: false }}
        />
      );
  }
}

interface SwitchProps {
  readonly label: string;
  readonly on: boolean;
  readonly onValue: (value: boolean) => void;
  readonly fault: string | null;
}

function Switch({ label, on, onValue, fault }: SwitchProps) {
  return (
    <div class="field">
      <label class="check">
        <input
          type="checkbox"
          checked={on}
          onChange={(event) => onValue(event.currentTarget.checked)}
        />
        {label}
      </label>
      {fault !== null && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
    </div>
  );
}

interface ChoiceProps {
  readonly setting: Setting;
  readonly value: string;
  readonly onValue: (value: string) => void;
}

function Choice({ setting, value, onValue }: ChoiceProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{setting.label}</label>
      <select id={id} value={value} onChange={(event) => onValue(event.currentTarget.value)}>
        {setting.options?.map(([option, words]) => (
          <option key={option} value={option}>
            {words}
          </option>
        ))}
      </select>
    </div>
  );
}

function Remove({ stream, etag }: { stream: string; etag: string }) {
  const [asks, setAsks] = useState(false);
  const remove = async () => {
    const refused = await removeStream(stream, etag);
    if (refused === null) location.assign(homeAddress());
    return refused;
  };
  return (
    <div class="card-form">
      <button type="button" aria-expanded={asks} onClick={() => setAsks(!asks)}>
        Remove this stream
      </button>
      {asks && (
        <Confirm words={`Remove ${stream}`} action={remove} keep={() => setAsks(false)}>
          It is neither shown nor recorded any more. What is recorded stays until its space is
          needed.
        </Confirm>
      )}
    </div>
  );
}
