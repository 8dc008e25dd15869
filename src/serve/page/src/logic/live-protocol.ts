// Reads the text messages of the media socket (`/live/NAME/ws`).
//
// Owns: their shapes and their checks. What does not fit is `null`, never an exception: one odd
// message must not stop the picture.

import { number, record, string } from './json';

/** Ties the media timeline to the wall clock of the box. */
export interface ClockMark {
  /** Presentation time of one unit, in seconds of the media timeline. */
  readonly media_secs: number;
  /** When that unit was captured, in Unix milliseconds. */
  readonly wall_ms: number;
  /** The clock of the box when the message was sent, in Unix milliseconds. */
  readonly now_ms: number;
}

/** What follows on this socket; an init segment is the next binary message. */
export interface LiveHello {
  readonly codecs: string;
  readonly mime: string;
  readonly width: number;
  readonly height: number;
  readonly gop_ms: number;
  readonly audio: boolean;
  /** Why the sound is not sent, in words; null when nothing was dropped. */
  readonly audio_dropped: string | null;
  readonly clock: ClockMark | null;
}

export type LiveMessage =
  | { readonly kind: 'hello'; readonly hello: LiveHello }
  | { readonly kind: 'clock'; readonly clock: ClockMark }
  | { readonly kind: 'drop'; readonly units: number }
  | { readonly kind: 'state'; readonly state: string; readonly reason: string | null };

/** Longer than any message of ours; what is longer is not read. */
const TEXT_CHARS_MAX = 16_384;

/** Reads one text message; null when it is not one of ours. */
export function parse(text: string): LiveMessage | null {
  if (text.length > TEXT_CHARS_MAX) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const fields = record(value);
  if (fields === null) return null;
  if ('hello' in fields) return hello(fields['hello']);
  if ('clock' in fields) {
    const mark = clock(fields['clock']);
    return mark && { kind: 'clock', clock: mark };
  }
  if ('drop' in fields) return { kind: 'drop', units: number(fields['drop']) ?? 0 };
  if ('state' in fields) return state(fields['state']);
  return null;
}

function hello(value: unknown): LiveMessage | null {
  const fields = record(value);
  const mime = fields && string(fields['mime']);
  if (!fields || !mime) return null;
  return {
    kind: 'hello',
    hello: {
      mime,
      codecs: string(fields['codecs']) ?? '',
      width: number(fields['width']) ?? 0,
      height: number(fields['height']) ?? 0,
      gop_ms: number(fields['gop_ms']) ?? 0,
      audio: fields['audio'] === true,
      audio_dropped: string(fields['audio_dropped']),
      clock: clock(fields['clock']),
    },
  };
}

function clock(value: unknown): ClockMark | null {
  const fields = record(value);
  if (fields === null) return null;
  const media_secs = number(fields['media_secs']);
  const wall_ms = number(fields['wall_ms']);
  const now_ms = number(fields['now_ms']);
  if (media_secs === null || wall_ms === null || now_ms === null) return null;
  return { media_secs, wall_ms, now_ms };
}

function state(value: unknown): LiveMessage | null {
  const fields = record(value);
  const name = fields && string(fields['state']);
  return name ? { kind: 'state', state: name, reason: string(fields?.['reason']) } : null;
}
