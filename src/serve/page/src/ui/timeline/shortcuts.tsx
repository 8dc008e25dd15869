// Single-key shortcuts, and the list of them.
//
// Owns: which key does what. They can be switched off (WCAG 2.2, 2.1.4): speech input types them by
// accident.

import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { rights } from '../../state/session';
import { type Actions, JUMP_MS } from './actions';

const SETTING = 'holdfast.keys';

interface Shortcut {
  readonly keys: readonly string[];
  readonly words: string;
  /** Only for those who may export. */
  readonly clip?: boolean;
  readonly act: (actions: Actions, key: string) => void;
}

const SHORTCUTS: readonly Shortcut[] = [
  { keys: ['Space', 'k'], words: 'Play or pause', act: (actions) => actions.toggle() },
  {
    keys: [',', '.'],
    words: 'Previous or next frame',
    act: (actions, key) => actions.step(key === ',' ? -1 : 1),
  },
  {
    keys: ['j', 'l'],
    words: '10 seconds back or forward',
    act: (actions, key) => actions.jump(key === 'j' ? -JUMP_MS : JUMP_MS),
  },
  {
    keys: ['[', ']'],
    words: 'Set start or end of the clip',
    clip: true,
    act: (actions, key) => (key === '[' ? actions.setStart() : actions.setEnd()),
  },
  {
    keys: ['+', '-'],
    words: 'Zoom in or out',
    act: (actions, key) => actions.zoom(key === '+' ? 0.5 : 2),
  },
];

/** What works without being a shortcut: the focused ruler takes these keys. */
const RULER_KEYS: readonly (readonly [readonly string[], string])[] = [
  [['←', '→'], 'On a time ruler: one step back or forward'],
  [['Page Down', 'Page Up'], 'On a time ruler: ten steps back or forward'],
  [['Home', 'End'], 'On a time ruler: first or latest footage'],
];

function offered(): readonly Shortcut[] {
  return SHORTCUTS.filter(({ clip }) => clip !== true || rights.peek().exports);
}

export function Shortcuts({ actions }: { actions: Actions }) {
  const list = useRef<HTMLDetailsElement>(null);
  const [on, setOn] = useState(() => localStorage.getItem(SETTING) !== 'off');
  useEffect(() => localStorage.setItem(SETTING, on ? 'on' : 'off'), [on]);
  useKeys(on, actions, list);
  return (
    <details class="shortcuts" ref={list}>
      <summary>Keyboard shortcuts {on ? <kbd>?</kbd> : <span class="quiet">(off)</span>}</summary>
      <dl>
        {offered().map(({ keys, words }) => (
          <Row key={words} keys={keys} words={words} />
        ))}
        <Row keys={['?']} words="Show or hide this list" />
        {RULER_KEYS.map(([keys, words]) => (
          <Row key={words} keys={keys} words={words} />
        ))}
      </dl>
      <label>
        <input
          type="checkbox"
          checked={on}
          onChange={(event) => setOn(event.currentTarget.checked)}
        />{' '}
        Single-key shortcuts
      </label>
    </details>
  );
}

function Row({ keys, words }: { keys: readonly string[]; words: string }) {
  return (
    <div>
      <dt>
        {keys.map((key) => (
          <kbd key={key}>{key}</kbd>
        ))}
      </dt>
      <dd>{words}</dd>
    </div>
  );
}

function useKeys(on: boolean, actions: Actions, list: RefObject<HTMLDetailsElement | null>): void {
  useEffect(() => {
    if (!on) return;
    const press = (event: KeyboardEvent) => {
      const target = event.target as Element;
      if (event.ctrlKey || event.altKey || event.metaKey || target.closest('input, select')) return;
      // Space presses the button that has the focus.
      if (event.key === ' ' && target.closest('button, a, summary')) return;
      const key = event.key === ' ' ? 'Space' : event.key;
      const shortcut = offered().find(({ keys }) => keys.includes(key));
      if (shortcut !== undefined) shortcut.act(actions, key);
      else if (key === '?' && list.current !== null) list.current.open = !list.current.open;
      else return;
      event.preventDefault();
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, [on, actions]);
}
