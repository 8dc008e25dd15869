// Reads what the box found at the address of a camera, and checks what is typed before it is sent.
//
// Owns: the shape of a trial, and the rules for names and addresses.

import { list, number, record, string } from './json';

/** What a camera sent while it was tried. What is not known is null. */
export interface Trial {
  readonly codec: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly fps: number | null;
  /** From one key frame to the next, in seconds. */
  readonly gop_secs: number | null;
  readonly bitrate_bps: number | null;
  /** A JPEG of what it sees, as a URL. */
  readonly picture: string | null;
  readonly warnings: readonly string[];
}

/** The ways of a camera's media, with the words for people; the first is the box's own choice. */
export const TRANSPORTS = [
  ['auto', 'The box chooses'],
  ['tcp', 'TCP'],
  ['udp', 'UDP'],
  ['multicast', 'Multicast'],
  ['http', 'HTTP'],
] as const;

export type Transport = (typeof TRANSPORTS)[number][0];

/** What is typed about a camera. */
export interface CameraForm {
  readonly name: string;
  /** What people call it; empty for its name. */
  readonly title: string;
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly transport: Transport;
  readonly record: boolean;
}

/** The names that the configuration takes. */
const NAME = /^[a-z0-9-]{1,32}$/;
const BASE64 = /^[A-Za-z0-9+/]+=*$/;

/** Reads `POST /api/v1/streams/try`; null when the answer is something else. */
export function readTrial(value: unknown): Trial | null {
  const fields = record(value);
  if (fields === null) return null;
  return {
    codec: string(fields['codec']),
    width: number(fields['width']),
    height: number(fields['height']),
    fps: number(fields['fps']),
    gop_secs: number(fields['gop']),
    bitrate_bps: number(fields['bitrate']),
    picture: picture(fields['picture']),
    warnings: list(fields['warnings'])
      .map((one) => string(one) ?? string(record(one)?.['message']))
      .filter((one) => one !== null),
  };
}

/** What is wrong with a new camera's name; null when nothing is. */
export function nameFault(name: string, taken: readonly string[]): string | null {
  if (!NAME.test(name)) return 'Use 1 to 32 of a to z, 0 to 9 and -.';
  return taken.includes(name) ? 'There is a camera of this name already.' : null;
}

/** What is wrong with a camera's address; null when nothing is. */
export function addressFault(address: string): string | null {
  const url = parsed(address);
  if (url === null)
    return 'An address begins with rtsp:// or http://, then comes the host: rtsp://10.0.0.7/main.';
  if (url.username !== '' || url.password !== '')
    return 'Put the user name and the password into their own fields.';
  return null;
}

/** A name out of an address: its host's first part, if that is one. */
export function suggestName(address: string): string {
  const host = parsed(address)?.hostname ?? '';
  const first = /^\d|:/.test(host) ? host.replace(/[.:]+/g, '-') : (host.split('.')[0] ?? '');
  const name = first
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, '')
    .slice(0, 32);
  return name === '' || /^\d/.test(name) ? (name === '' ? '' : `camera-${name}`) : name;
}

/** Whether the media of a camera at this address has more than one way. */
export function hasTransports(address: string): boolean {
  return /^rtsps?:/i.test(address);
}

/** What the box needs to reach a camera. */
export function accessOf({ url, username, password, transport }: CameraForm): object {
  const credentials = username === '' ? {} : { username, password };
  const way = hasTransports(url) && transport !== 'auto' ? { transport } : {};
  return { url, ...credentials, ...way };
}

/** The section of the configuration for a camera. */
export function sectionOf(form: CameraForm): Record<string, unknown> {
  const { title, url, record } = form;
  const kind = /^https?:/i.test(url) ? 'mjpeg' : 'rtsp_pull';
  const source = { kind, ...accessOf(form) };
  const named = title === '' ? {} : { title };
  return record ? { ...named, source } : { ...named, source, record: false };
}

function parsed(address: string): URL | null {
  // Browsers know no host in a scheme that is not their own; http's rules are the same.
  const known = /^(rtsp|http)s?:\/\/(?=[^/])/i.test(address);
  const http = known ? address.replace(/^(rtsp|http)s?/i, 'http') : '';
  try {
    return new URL(http);
  } catch {
    return null;
  }
}

/** A picture as a data URL; the box sends it as one or as bare base64. */
function picture(value: unknown): string | null {
  const text = string(value);
  if (text === null) return null;
  if (text.startsWith('data:image/')) return text;
  return BASE64.test(text) ? `data:image/jpeg;base64,${text}` : null;
}
