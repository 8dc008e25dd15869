// What is recorded of a stream, asked for repeatedly: the newest footage grows.
//
// Owns: the poll.

import { useEffect, useState } from 'preact/hooks';
import { readRecordings, type Recordings } from '../logic/api';
import { AnswerError, getJson } from '../net/request';
import { onNews } from './events';

const PERIOD_MS = 3_000;

export interface RecordingsState {
  /** Null until it is known. What was known stays when a request fails. */
  readonly recordings: Recordings | null;
  /** The box's own words for why it does not tell. */
  readonly refused: string | null;
}

/** What is recorded of `name`, as long as the component lives. */
export function useRecordings(name: string, period_ms = PERIOD_MS): RecordingsState {
  const [known, setKnown] = useState<RecordingsState>({ recordings: null, refused: null });
  useEffect(() => {
    const ask = () => {
      if (document.visibilityState !== 'visible') return;
      getJson(`api/v1/recordings/${encodeURIComponent(name)}`).then(
        (value) => {
          const recordings = readRecordings(value);
          setKnown((before) => ({ recordings: recordings ?? before.recordings, refused: null }));
        },
        (error: unknown) => {
          // The poll of the streams reports a box that does not answer.
          if (!(error instanceof AnswerError)) return;
          setKnown((before) => ({ ...before, refused: error.message }));
        },
      );
    };
    ask();
    const timer = setInterval(ask, period_ms);
    const deaf = onNews((area) => area === 'recordings' && ask());
    return () => {
      deaf();
      clearInterval(timer);
    };
  }, [name, period_ms]);
  return known;
}
