// Reads the text messages of the socket of recordings (`/play/NAME/ws`).
//
// Owns: their shapes and their checks. What does not fit is `null`, never an exception.

import { record, number, string } from './json';

/** What follows; an init segment is the next binary message. */
export interface RecordedHello {
  readonly serial: number;
  readonly mime: string;
  readonly codecs: string;
  readonly audio: boolean;
  readonly audio_dropped: string | null;
}

/** What the next binary message holds. */
export interface Part {
  readonly serial: number;
  /** When its first picture is shown and its last one was, in seconds of the media timeline. */
  readonly media_secs: number;
  readonly end_secs: number;
  /** The date of the first picture, in Unix milliseconds. */
  readonly wall_ms: number;
  /** Which way dates run: 1, or -1. */
  readonly way: 1 | -1;
  /** When each picture is shown, in ascending order. */
  readonly pictures: readonly number[];
}

/** A gap that is skipped before the next part. */
export interface SkippedGap {
  readonly start_ms: number;
  readonly end_ms: number;
  readonly message: string;
}

export type RecordedMessage =
  | { readonly kind: 'hello'; readonly hello: RecordedHello }
  | { readonly kind: 'part'; readonly part: Part }
  | { readonly kind: 'gap'; readonly gap: SkippedGap }
  | { readonly kind: 'speed'; readonly speed: number }
  | { readonly kind: 'error'; readonly message: string }
  | { readonly kind: 'edge' | 'live' | 'over' };

/** A part of ten seconds at 100 pictures a second is far shorter. */
const TEXT_CHARS_MAX = 262_144;

/** Reads one text message; null when it is not one of ours. */
export function parseRecorded(text: string): RecordedMessage | null {
  if (text.length > TEXT_CHARS_MAX) return null;
  let fields: Record<string, unknown> | null;
  try {
    fields = record(JSON.parse(text));
  } catch {
    return null;
  }
  if (fields === null) return null;
  for (const kind of ['edge', 'live', 'over'] as const) if (kind in fields) return { kind };
  const speed = number(fields['speed']);
  if (speed !== null) return { kind: 'speed', speed };
  const error = record(fields['error']);
  if (error !== null) return { kind: 'error', message: string(error['message']) ?? 'unknown' };
  return hello(fields['hello']) ?? part(fields['part']) ?? gap(fields['gap']);
}

function hello(value: unknown): RecordedMessage | null {
  const fields = record(value);
  const mime = fields && string(fields['mime']);
  if (!fields || !mime) return null;
  return {
    kind: 'hello',
    hello: {
      serial: number(fields['serial']) ?? 0,
      mime,
      codecs: string(fields['codecs']) ?? '',
      audio: fields['audio'] === true,
      audio_dropped: string(fields['audio_dropped']),
    },
  };
}

function part(value: unknown): RecordedMessage | null {
  const fields = record(value);
  const serial = number(fields?.['serial']);
  const media_secs = number(fields?.['media_secs']);
  const end_secs = number(fields?.['end_secs']);
  const wall_ms = number(fields?.['wall_ms']);
  const given = fields?.['pictures'];
  if (serial === null || media_secs === null || end_secs === null || wall_ms === null) return null;
  if (!Array.isArray(given)) return null;
  const pictures = given.map(number).filter((one) => one !== null);
  const way = fields?.['way'] === -1 ? -1 : 1;
  return { kind: 'part', part: { serial, media_secs, end_secs, wall_ms, way, pictures } };
}

function gap(value: unknown): RecordedMessage | null {
  const fields = record(value);
  const start_ms = Date.parse(string(fields?.['start']) ?? '');
  const end_ms = Date.parse(string(fields?.['end']) ?? '');
  if (Number.isNaN(start_ms) || Number.isNaN(end_ms)) return null;
  return { kind: 'gap', gap: { start_ms, end_ms, message: string(fields?.['message']) ?? '' } };
}
