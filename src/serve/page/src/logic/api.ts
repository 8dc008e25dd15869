// Reads what the box's HTTP API says.
//
// Owns: the shapes and their checks. A missing or odd field becomes null or a plain default, so
// that a page older or newer than the daemon still shows what it can.

import { counts, instant, list, number, oneOf, record, string } from './json';

export type StreamState = 'live' | 'starting' | 'offline';

export interface Track {
  readonly kind: 'video' | 'audio';
  /** Name as the daemon writes it: H264, H265, AAC, PCMA, PCMU. */
  readonly codec: string;
  /** RFC 6381 name, for MediaSource. */
  readonly codecs: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly frame_rate: number | null;
  readonly sample_rate: number | null;
  readonly channels: number | null;
  /** Why no still pictures can be made of it, for people; null where they can. */
  readonly undrawable: string | null;
}

export interface RecordingStatus {
  readonly state: 'recording' | 'waiting' | 'failed';
  readonly reason: string | null;
  /** Since when nothing of it became durable; null while it does. */
  readonly since: string | null;
  readonly durable_until: string | null;
  readonly bytes: number;
  readonly lost: number;
}

export interface StreamInfo {
  /** Its part of addresses. */
  readonly name: string;
  /** What people call it; its name where nobody said. */
  readonly title: string;
  readonly state: StreamState;
  readonly reason: string | null;
  readonly since: string | null;
  readonly source: string;
  readonly tracks: readonly Track[];
  readonly last_frame_age_ms: number | null;
  readonly recording: RecordingStatus | null;
  /** How the box encodes it; null where it comes encoded. */
  readonly encoding: Encoding | null;
  /** Tracks that the camera offers and the box leaves out, such as "audio L16". */
  readonly not_carried: readonly string[];
  /** Where players can begin: "closed", "open", "gradual", "intra", or "none". */
  readonly entry: string | null;
  /** How the announced sound does: "playing", "silent" or "stopped". */
  readonly sound: string | null;
  readonly readers: { readonly rtsp: number; readonly hls: number; readonly mse: number };
  readonly totals: {
    readonly units: number;
    readonly bytes: number;
    readonly lost: number;
    readonly restarts: number;
  };
  readonly urls: {
    readonly rtsp: string;
    readonly hls: string;
    readonly snapshot: string;
    readonly mse: string;
  };
}

export interface Encoding {
  /** Why the board's own encoder is not used, where it was to be. */
  readonly instead: string | null;
  /** One frame in so many is encoded. */
  readonly one_in: number;
}

export interface Check {
  readonly name: string;
  readonly status: HealthStatus;
  readonly message: string;
}

export type HealthStatus = 'ok' | 'degraded' | 'failed';

export interface Health {
  readonly status: HealthStatus;
  /** The clock of the box, in Unix milliseconds. */
  readonly time_ms: number | null;
  readonly version: string | null;
  readonly checks: readonly Check[];
}

/** A range of footage, or of none. */
export interface TimeRange {
  readonly start_ms: number;
  readonly end_ms: number;
  readonly bytes: number | null;
}

/** A range without footage, and why. */
export interface Gap extends TimeRange {
  readonly message: string;
}

/** A marked moment. */
export interface Mark {
  readonly at_ms: number;
  readonly text: string;
}

/** A range that is kept from being overwritten. */
export interface Pin extends TimeRange {
  readonly id: string;
  readonly reason: string;
}

export interface Recordings {
  readonly runs: readonly TimeRange[];
  readonly gaps: readonly Gap[];
  readonly marks: readonly Mark[];
  readonly pins: readonly Pin[];
}

/** Reads `GET /api/v1/streams`; null when the answer is something else. */
export function readStreams(value: unknown): StreamInfo[] | null {
  const streams = record(value)?.['streams'];
  if (!Array.isArray(streams)) return null;
  // The sort is stable: what has no place keeps the box's order, behind what has one.
  return streams
    .map((one) => ({ order: number(record(one)?.['order']) ?? Infinity, stream: stream(one) }))
    .sort((a, b) => (a.order === b.order ? 0 : a.order - b.order))
    .map((one) => one.stream)
    .filter((one) => one !== null);
}

/** Reads `GET /api/v1/health`; null when the answer is something else. */
export function readHealth(value: unknown): Health | null {
  const fields = record(value);
  const status = oneOf(fields?.['status'], ['ok', 'degraded', 'failed'] as const);
  if (fields === null || status === null) return null;
  return {
    status,
    time_ms: instant(fields['time']),
    version: string(fields['version']),
    checks: list(fields['checks'])
      .map(check)
      .filter((one) => one !== null),
  };
}

/** Reads `GET /api/v1/recordings/NAME`; null when the answer is something else. */
export function readRecordings(value: unknown): Recordings | null {
  const fields = record(value);
  if (!Array.isArray(fields?.['runs'])) return null;
  const all = <T>(name: string, read: (value: unknown) => T | null) =>
    list(fields[name])
      .map(read)
      .filter((one) => one !== null);
  return {
    runs: all('runs', stretch),
    gaps: all('gaps', gap),
    marks: all('marks', mark),
    pins: all('pins', pin),
  };
}

function stream(value: unknown): StreamInfo | null {
  const fields = record(value);
  const name = fields && string(fields['name']);
  if (!fields || !name) return null;
  const path = encodeURIComponent(name);
  const urls = record(fields['urls']);
  return {
    name,
    title: string(fields['title']) ?? name,
    state: oneOf(fields['state'], ['live', 'starting', 'offline'] as const) ?? 'offline',
    reason: string(fields['reason']),
    since: string(fields['since']),
    source: string(fields['source']) ?? '',
    tracks: list(fields['tracks'])
      .map(track)
      .filter((one) => one !== null),
    last_frame_age_ms: number(fields['last_frame_age_ms']),
    recording: recording(fields['recording']),
    encoding: encoding(fields['encoding']),
    not_carried: list(fields['not_carried'])
      .map(string)
      .filter((one) => one !== null),
    entry: string(fields['entry']),
    sound: string(record(fields['audio'])?.['state']),
    readers: counts(fields['readers'], ['rtsp', 'hls', 'mse']),
    totals: counts(fields['totals'], ['units', 'bytes', 'lost', 'restarts']),
    urls: {
      rtsp: string(urls?.['rtsp']) ?? '',
      hls: string(urls?.['hls']) ?? `live/${path}/index.m3u8`,
      snapshot: string(urls?.['snapshot']) ?? `snap/${path}.jpg`,
      mse: string(urls?.['mse']) ?? `live/${path}/ws`,
    },
  };
}

function track(value: unknown): Track | null {
  const fields = record(value);
  const kind = oneOf(fields?.['kind'], ['video', 'audio'] as const);
  if (fields === null || kind === null) return null;
  return {
    kind,
    codec: string(fields['codec']) ?? '?',
    codecs: string(fields['codecs']),
    width: number(fields['width']),
    height: number(fields['height']),
    frame_rate: number(fields['frame_rate']),
    sample_rate: number(fields['sample_rate']),
    channels: number(fields['channels']),
    undrawable: string(fields['undrawable']),
  };
}

function recording(value: unknown): RecordingStatus | null {
  const fields = record(value);
  if (fields === null) return null;
  return {
    state: oneOf(fields['state'], ['recording', 'waiting', 'failed'] as const) ?? 'waiting',
    reason: string(fields['reason']),
    since: string(fields['since']),
    durable_until: string(fields['durable_until']),
    bytes: number(fields['bytes']) ?? 0,
    lost: number(fields['lost']) ?? 0,
  };
}

function encoding(value: unknown): Encoding | null {
  const fields = record(value);
  if (fields === null) return null;
  return {
    instead: string(fields['instead']),
    one_in: Math.max(1, number(fields['one_in']) ?? 1),
  };
}

function check(value: unknown): Check | null {
  const fields = record(value);
  const name = fields && string(fields['name']);
  if (!fields || !name) return null;
  const status = oneOf(fields['status'], ['ok', 'degraded', 'failed'] as const) ?? 'degraded';
  return { name, status, message: string(fields['message']) ?? '' };
}

function stretch(value: unknown): TimeRange | null {
  const fields = record(value);
  const start_ms = instant(fields?.['start']);
  const end_ms = instant(fields?.['end']);
  if (fields === null || start_ms === null || end_ms === null) return null;
  return { start_ms, end_ms, bytes: number(fields['bytes']) };
}

function gap(value: unknown): Gap | null {
  const where = stretch(value);
  return where && { ...where, message: string(record(value)?.['message']) ?? '' };
}

function mark(value: unknown): Mark | null {
  const fields = record(value);
  const at_ms = instant(fields?.['at']);
  return at_ms === null ? null : { at_ms, text: string(fields?.['text']) ?? '' };
}

function pin(value: unknown): Pin | null {
  const fields = record(value);
  const id = string(fields?.['id']);
  const start_ms = instant(fields?.['start'] ?? fields?.['from']);
  const end_ms = instant(fields?.['end'] ?? fields?.['to']);
  if (fields === null || id === null || start_ms === null || end_ms === null) return null;
  return { id, start_ms, end_ms, bytes: null, reason: string(fields['reason']) ?? '' };
}
