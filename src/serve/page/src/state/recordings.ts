// What is recorded of a stream, asked again and again: the newest footage grows.
//
// Owns: the poll.

import { useEffect, useState } from 'preact/hooks';
import { readRecordings, type Recordings } from '../logic/api';
import { getJson } from '../net/request';

const PERIOD_MS = 3_000;

/** What is recorded of `name`; null until that is known. What was known stays when asking fails. */
export function useRecordings(name: string): Recordings | null {
  const [held, setHeld] = useState<Recordings | null>(null);
  useEffect(() => {
    const ask = () => {
      if (document.visibilityState !== 'visible') return;
      getJson(`api/v1/recordings/${encodeURIComponent(name)}`).then(
        (value) => setHeld((before) => readRecordings(value) ?? before),
        () => undefined,
      );
    };
    ask();
    const timer = setInterval(ask, PERIOD_MS);
    return () => clearInterval(timer);
  }, [name]);
  return held;
}
