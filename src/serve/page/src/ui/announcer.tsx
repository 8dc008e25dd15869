// Announces changes of state to screen readers.
//
// Owns: the page's one polite live region. Delays and ages change all the time and stay silent.

import { useEffect, useRef, useState } from 'preact/hooks';
import { plain } from '../logic/prose';
import { now_ms, streams } from '../state/box';
import { stateWords } from './state';

export function Announcer() {
  const announced = useRef<ReadonlyMap<string, string> | null>(null);
  const [text, setText] = useState('');
  const all = streams.value;
  useEffect(() => {
    if (all === null) return;
    const states = new Map(all.map((one) => [one.name, one.state as string]));
    const changed = all.filter((one) => announced.current?.get(one.name) !== one.state);
    if (announced.current !== null && changed.length > 0) {
      const words = changed.map((one) => `${one.title}: ${stateWords(one)}`).join('. ');
      setText(plain(words, now_ms.peek()));
    }
    announced.current = states;
  }, [all]);
  return (
    <p class="hidden" role="status" aria-live="polite">
      {text}
    </p>
  );
}
