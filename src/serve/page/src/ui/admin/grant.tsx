// What an account may do: its role, its streams, and whether it may see recordings.

import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { ROLE_WORDS, ROLES } from '../../logic/access';
import type { Streams } from '../../logic/credential';
import { streams } from '../../state/box';
import type { Grant } from '../../state/people';

interface GrantFieldsProps {
  readonly value: Grant;
  readonly onValue: (value: Grant) => void;
}

export function GrantFields({ value, onValue }: GrantFieldsProps) {
  const name = useId();
  return (
    <>
      <fieldset class="choice">
        <legend>Role</legend>
        {ROLES.map((role) => (
          <label key={role}>
            <input
              type="radio"
              name={`${name}role`}
              checked={value.role === role}
              onChange={() => onValue({ ...value, role })}
            />
            <span>
              <b>{role}</b> <span class="quiet">{ROLE_WORDS[role]}</span>
            </span>
          </label>
        ))}
      </fieldset>
      {value.role !== 'admin' && <Seen value={value} onValue={onValue} name={name} />}
    </>
  );
}

/** What it may see. An admin may see everything. */
function Seen({ value, onValue, name }: GrantFieldsProps & { name: string }) {
  return (
    <StreamChoice
      legend="May see"
      name={`${name}streams`}
      value={value.streams}
      onValue={(streams) => onValue({ ...value, streams })}
    >
      <label>
        <input
          type="checkbox"
          checked={value.past}
          onChange={(event) => onValue({ ...value, past: event.currentTarget.checked })}
        />
        Recordings of them too
      </label>
    </StreamChoice>
  );
}

interface StreamChoiceProps {
  readonly legend: string;
  /** Of the inputs; another one for each choice of a page. */
  readonly name: string;
  readonly value: Streams;
  readonly onValue: (value: Streams) => void;
  readonly children?: ComponentChildren;
}

/** All streams, or some of them. */
export function StreamChoice({ legend, name, value, onValue, children }: StreamChoiceProps) {
  const all = value === '*';
  const chosen = value === '*' ? [] : value;
  const names = useStreamNames(chosen);
  return (
    <fieldset class="choice">
      <legend>{legend}</legend>
      <label>
        <input type="radio" name={name} checked={all} onChange={() => onValue('*')} />
        <span>
          All streams <span class="quiet">those added later too</span>
        </span>
      </label>
      <label>
        <input type="radio" name={name} checked={!all} onChange={() => onValue(names)} />
        Only these
      </label>
      {!all && <StreamBoxes value={chosen} onValue={onValue} />}
      {children}
    </fieldset>
  );
}

interface StreamBoxesProps {
  readonly value: readonly string[];
  readonly onValue: (value: readonly string[]) => void;
}

/** A box for each stream. */
export function StreamBoxes({ value, onValue }: StreamBoxesProps) {
  const titles = new Map(streams.value?.map((one) => [one.name, one.title]));
  const toggle = (stream: string) => {
    const rest = value.filter((one) => one !== stream);
    onValue(rest.length < value.length ? rest : [...value, stream]);
  };
  return (
    <>
      {useStreamNames(value).map((stream) => (
        <label key={stream} class="inner">
          <input type="checkbox" checked={value.includes(stream)} onChange={() => toggle(stream)} />
          {titles.get(stream) ?? stream}
        </label>
      ))}
    </>
  );
}

/** The streams of the box; one that was chosen and is away at the moment stays in the list. */
function useStreamNames(chosen: readonly string[]): readonly string[] {
  return [...new Set([...(streams.value ?? []).map((one) => one.name), ...chosen])];
}
