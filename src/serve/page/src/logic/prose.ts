// Turns the box's sentences into what the page shows of them.
//
// Owns: names between back-ticks, which become code, and dates as computers write them, which
// become times of day like all others on the page.

import { moment } from './format';

export interface ProsePart {
  readonly text: string;
  readonly code: boolean;
}

const DATE = /\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)/g;

/** The parts of a sentence, in order. A back-tick without its pair is left out. */
export function proseParts(sentence: string, now_ms: number): ProsePart[] {
  const pieces = sentence.split('`');
  return pieces
    .map((piece, at) => {
      const code = at % 2 === 1 && at < pieces.length - 1;
      return { text: code ? piece : dated(piece, now_ms), code };
    })
    .filter(({ text }) => text !== '');
}

/** The same as plain text, for where there is no markup. */
export function plain(sentence: string, now_ms: number): string {
  return proseParts(sentence, now_ms)
    .map(({ text }) => text)
    .join('');
}

function dated(text: string, now_ms: number): string {
  return text.replace(DATE, (date) => moment(Date.parse(date), now_ms));
}
