// Single-key shortcuts, which can be switched off (WCAG 2.2, 2.1.4).

import { useEffect, useState } from 'preact/hooks';
import type { Actions } from './actions';

const SETTING = 'holdfast.keys';

export function Shortcuts({ actions }: { actions: Actions }) {
  const [on, setOn] = useShortcuts(actions);
  return (
    <label class="keys quiet">
      <input
        type="checkbox"
        checked={on}
        onChange={(event) => setOn(event.currentTarget.checked)}
      />{' '}
      Keyboard shortcuts: <kbd>Space</kbd> plays and pauses, <kbd>,</kbd> and <kbd>.</kbd> step by
      one frame, <kbd>[</kbd> and <kbd>]</kbd> set start and end, <kbd>+</kbd> and <kbd>-</kbd> zoom
    </label>
  );
}

function useShortcuts(actions: Actions): [boolean, (on: boolean) => void] {
  const [on, setOn] = useState(() => localStorage.getItem(SETTING) !== 'off');
  useEffect(() => {
    localStorage.setItem(SETTING, on ? 'on' : 'off');
    if (!on) return;
    const keys: Record<string, () => void> = {
      ',': () => actions.step(-1),
      '.': () => actions.step(1),
      '[': actions.setStart,
      ']': actions.setEnd,
      '+': () => actions.zoom(0.5),
      '-': () => actions.zoom(2),
      ' ': actions.toggle,
    };
    const press = (event: KeyboardEvent) => {
      const target = event.target as Element;
      if (event.ctrlKey || event.altKey || event.metaKey || target.closest('input, select')) return;
      // Space presses the button that has the focus.
      if (event.key === ' ' && target.closest('button, a, summary')) return;
      const action = keys[event.key];
      if (action === undefined) return;
      event.preventDefault();
      action();
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, [on, actions]);
  return [on, setOn];
}
