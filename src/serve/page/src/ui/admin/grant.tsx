// What an account may do: its role, its streams, and whether it may see recordings.

import { useId } from 'preact/hooks';
import { ROLE_WORDS, ROLES } from '../../logic/access';
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
  const all = value.streams === '*';
  const chosen = value.streams === '*' ? [] : value.streams;
  const titles = new Map(streams.value?.map((one) => [one.name, one.title]));
  // One that the account may see and that is away at the moment stays in the list.
  const names = [...new Set([...(streams.value ?? []).map((one) => one.name), ...chosen])];
  const toggle = (stream: string) => {
    const rest = chosen.filter((one) => one !== stream);
    onValue({ ...value, streams: rest.length < chosen.length ? rest : [...chosen, stream] });
  };
  return (
    <fieldset class="choice">
      <legend>May see</legend>
      <label>
        <input
          type="radio"
          name={`${name}streams`}
          checked={all}
          onChange={() => onValue({ ...value, streams: '*' })}
        />
        <span>
          All streams <span class="quiet">those added later too</span>
        </span>
      </label>
      <label>
        <input
          type="radio"
          name={`${name}streams`}
          checked={!all}
          onChange={() => onValue({ ...value, streams: names })}
        />
        Only these
      </label>
      {!all &&
        names.map((stream) => (
          <label key={stream} class="inner">
            <input
              type="checkbox"
              checked={chosen.includes(stream)}
              onChange={() => toggle(stream)}
            />
            {titles.get(stream) ?? stream}
          </label>
        ))}
      <label>
        <input
          type="checkbox"
          checked={value.past}
          onChange={(event) => onValue({ ...value, past: event.currentTarget.checked })}
        />
        Recordings of them too
      </label>
    </fieldset>
  );
}
