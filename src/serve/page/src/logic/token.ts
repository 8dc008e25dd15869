// API tokens, as the box lists them.

import { type Account, readAccount } from './access';
import { instant, oneOf, record, string } from './json';

/** What a token is good for: everything that its role may do, or the figures alone. */
export const SCOPES = ['api', 'metrics'] as const;
export type Scope = (typeof SCOPES)[number];

export interface Token extends Account {
  readonly id: string;
  /** The account that made it; null is the command line. */
  readonly maker: string | null;
  readonly scope: Scope;
  /** Until when it is good; null is for ever. */
  readonly expires_ms: number | null;
}

/** A token that was just made: the only answer that has its text. */
export interface MadeToken extends Token {
  readonly text: string;
}

/** How long a token may be good for, in days; null is for ever. */
export const LIFETIMES = [
  { days: 30, words: '30 days' },
  { days: 90, words: '90 days' },
  { days: 365, words: 'A year' },
  { days: null, words: 'Until it is revoked' },
] as const;

/** Reads `GET /api/v1/tokens`; null when the answer is something else. */
export function readTokens(value: unknown): Token[] | null {
  const tokens = record(value)?.['tokens'];
  if (!Array.isArray(tokens)) return null;
  return tokens.map(readToken).filter((one) => one !== null);
}

/** Reads the answer to `POST /api/v1/tokens`; null when it is something else. */
export function readMade(value: unknown): MadeToken | null {
  const token = readToken(value);
  const text = string(record(value)?.['token']);
  return token === null || text === null ? null : { ...token, text };
}

function readToken(value: unknown): Token | null {
  const fields = record(value);
  const id = string(fields?.['id']);
  const scope = oneOf(fields?.['scope'], SCOPES);
  const grant = readAccount({ ...fields, name: fields?.['label'] });
  if (id === null || scope === null || grant === null) return null;
  const maker = string(fields?.['maker']);
  return { ...grant, id, scope, maker, expires_ms: instant(fields?.['expires']) };
}

/** The date at which a token of `days` ends, as the box takes it; null is never. */
export function expiry(days: number | null, now_ms: number): string | null {
  return days === null ? null : new Date(now_ms + days * 86_400_000).toISOString();
}
