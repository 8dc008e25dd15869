// Speaks state changes to screen readers.
//
// Owns: the page's one polite live region. Delays and ages change all the time and are not spoken.

import { useEffect, useRef, useState } from 'preact/hooks';
import { stateWords } from './state';
import { streams } from '../state/box';

export function Announcer() {
  const told = useRef<ReadonlyMap<string, string> | null>(null);
  const [text, setText] = useState('');
  const all = streams.value;
  useEffect(() => {
    if (all === null) return;
    const states = new Map(all.map((one) => [one.name, one.state as string]));
    const changed = all.filter((one) => told.current?.get(one.name) !== one.state);
    if (told.current !== null && changed.length > 0) {
      setText(changed.map((one) => `${one.name}: ${stateWords(one)}`).join('. '));
    }
    told.current = states;
  }, [all]);
  return (
    <p class="hidden" role="status" aria-live="polite">
      {text}
    </p>
  );
}
