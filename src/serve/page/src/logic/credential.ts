// The accounts of players and recorders, as the box lists them.

import { instant, list, record, string } from './json';

/** Streams and patterns of streams; `*` is all. */
export type Streams = '*' | readonly string[];

export interface Credential {
  readonly name: string;
  /** What it watches. */
  readonly read: Streams;
  /** What it sends. */
  readonly publish: Streams;
  /** The person whose it is; null is the box's own. */
  readonly owner: string | null;
  /** Whether it lets anybody in: not when its owner is gone. */
  readonly active: boolean;
  /** When it signed in last, since the box began. */
  readonly last_used_ms: number | null;
  /** The address of one of its streams, without the password. */
  readonly url: string | null;
}

/** One whose password the box has just chosen: the only answer that has it. */
export interface MadeCredential extends Credential {
  readonly password: string;
}

/** Reads `GET /api/v1/credentials`; null when the answer is something else. */
export function readCredentials(value: unknown): Credential[] | null {
  const credentials = record(value)?.['credentials'];
  if (!Array.isArray(credentials)) return null;
  return credentials.map(readCredential).filter((one) => one !== null);
}

/** Reads the answer that has a password; null when it is something else. */
export function readMadeCredential(value: unknown): MadeCredential | null {
  const credential = readCredential(value);
  const password = string(record(value)?.['password']);
  return credential === null || password === null ? null : { ...credential, password };
}

function readCredential(value: unknown): Credential | null {
  const fields = record(value);
  const name = string(fields?.['name']);
  if (fields === null || name === null) return null;
  return {
    name,
    read: streams(fields['read']),
    publish: streams(fields['publish']),
    owner: string(fields['owner']),
    active: fields['active'] === true,
    last_used_ms: instant(fields['last_used']),
    url: string(fields['url']),
  };
}

function streams(value: unknown): Streams {
  return value === '*' ? '*' : list(value).filter((one) => typeof one === 'string');
}

/** "Watches all streams · sends roof · Anna's". */
export function credentialWords({ read, publish, owner }: Credential): string {
  const named = (streams: Streams) => (streams === '*' ? 'all streams' : streams.join(', '));
  const watches = read.length === 0 ? [] : [`watches ${named(read)}`];
  const sends = publish.length === 0 ? [] : [`sends ${named(publish)}`];
  const whose = owner === null ? [] : [`belongs to ${owner}`];
  const words = [...watches, ...sends, ...whose].join(' · ');
  return words === '' ? 'No streams' : words.charAt(0).toUpperCase() + words.slice(1);
}
