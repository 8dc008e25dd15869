// The API tokens, for admins.
//
// Owns: the list, and asking the box to change it. The text of a new token goes to whoever asked for
// it and is kept nowhere.

import { signal } from '@preact/signals';
import type { Refusal } from '../logic/refusal';
import {
  expiry,
  type MadeToken,
  readMade,
  readTokens,
  type Scope,
  type Token,
} from '../logic/token';
import { get, send } from '../net/request';
import { now_ms } from './box';
import type { Grant } from './people';
import { STRANGE } from './strange';

const PATH = 'api/v1/tokens';

/** Null until the first answer. */
export const tokens = signal<readonly Token[] | null>(null);

/** What a token is to be. */
export interface TokenForm {
  readonly label: string;
  readonly scope: Scope;
  readonly grant: Grant;
  /** For how many days; null is until it is revoked. */
  readonly days: number | null;
}

/** Asks for the list; null when it is there, else why not. */
export async function loadTokens(): Promise<Refusal | null> {
  const outcome = await get(PATH);
  if (!outcome.ok) return outcome.refusal;
  tokens.value = readTokens(outcome.value) ?? tokens.value;
  return null;
}

/** Makes a token, or says why not. */
export async function makeToken({ label, scope, grant, days }: TokenForm) {
  const expires = expiry(days, now_ms.peek());
  const wanted = { label, scope, ...grant, ...(expires === null ? {} : { expires }) };
  const outcome = await send('POST', PATH, wanted);
  if (!outcome.ok) return outcome.refusal;
  await loadTokens();
  return readMade(outcome.value) ?? STRANGE;
}

/** Revokes a token; what runs with it ends. */
export async function revokeToken(id: string): Promise<Refusal | null> {
  const outcome = await send('DELETE', `${PATH}/${encodeURIComponent(id)}`);
  if (!outcome.ok) return outcome.refusal;
  await loadTokens();
  return null;
}

/** Whether `outcome` is a token, and not a refusal. */
export function isMade(outcome: MadeToken | Refusal): outcome is MadeToken {
  return 'text' in outcome;
}
