// Whether the page may be used, and by whom.
//
// Owns: what the box says about its claim and our session, log-in and log-out. Whatever makes it
// doubtful that we are still signed in (an answer 401, a socket that was closed) asks anew.

import { computed, signal } from '@preact/signals';
import { type Account, readAccount, readClaim, type Rights, rightsOf } from '../logic/access';
import type { Refusal } from '../logic/refusal';
import { onDoubt } from '../net/doubt';
import { AnswerError, get, send } from '../net/request';

/**
 * `asking`: not known yet; `open`: nobody is asked who they are; `unclaimed`, `window` (its button
 * was held: no code is needed) and `locked`: the box has no owner; else whether somebody is signed in.
 */
export type Door =
  'asking' | 'open' | 'unclaimed' | 'window' | 'locked' | 'signed-out' | 'signed-in';

const CLAIM = 'api/v1/claim';
const SESSION = 'api/v1/session';
/** A box that closes socket after socket is not asked more often than this. */
const DOUBT_MS_MIN = 2_000;

export const door = signal<Door>('asking');
/** Who is signed in. */
export const account = signal<Account | null>(null);
/** An open box that could be claimed. */
export const claimable = signal(false);
/** For how long a locked box takes no code, in seconds, as of the last answer. */
export const locked_secs = signal<number | null>(null);
/** Whose session ended without a log-out; null when nobody's did. */
export const ended = signal<string | null>(null);

/** The streams and what goes with them may be asked for. */
export const inside = computed(() => door.value === 'open' || door.value === 'signed-in');
export const rights = computed<Rights>(() => rightsOf(account.value, door.value === 'open'));

let asking: Promise<void> | null = null;
let doubted_ms = -Infinity;

onDoubt(() => {
  if (!inside.peek() || performance.now() - doubted_ms < DOUBT_MS_MIN) return;
  doubted_ms = performance.now();
  // The poll of the streams reports a box that does not answer.
  ask().catch(() => undefined);
});

/** Asks the box how things are; throws when it does not answer. */
export function ask(): Promise<void> {
  asking ??= find().finally(() => (asking = null));
  return asking;
}

/** Signs in; null when that is done, else why not. */
export async function signIn(name: string, password: string): Promise<Refusal | null> {
  const outcome = await send('POST', SESSION, { name, password });
  if (!outcome.ok) return outcome.refusal;
  const read = readAccount(outcome.value);
  if (read === null) await ask();
  else enter(read);
  return null;
}

/** Makes the first account, with the code of the box; null when that is done, else why not. */
export async function claim(code: string, name: string, password: string): Promise<Refusal | null> {
  const outcome = await send('POST', CLAIM, { code, name, password });
  // Another person was faster: the log-in view follows.
  if (!outcome.ok && outcome.refusal.code !== 'claimed') return outcome.refusal;
  await ask();
  return null;
}

/** Ends the session; null when that is done, else why not. */
export async function signOut(): Promise<Refusal | null> {
  const outcome = await send('DELETE', SESSION);
  // 401: it has ended already.
  if (!outcome.ok && outcome.refusal.status !== 401) return outcome.refusal;
  leave('signed-out', null);
  return null;
}

/** Changes the password of whoever is signed in; null when that is done, else why not. */
export async function changePassword(before: string, after: string): Promise<Refusal | null> {
  const outcome = await send('PUT', `${SESSION}/password`, { old: before, new: after });
  if (!outcome.ok) return outcome.refusal;
  // The box may end every session with the old password, ours too.
  await ask().catch(() => undefined);
  return null;
}

async function find(): Promise<void> {
  const answer = await get(CLAIM);
  if (!answer.ok) {
    // A box without a claim asks for no log-in.
    if (answer.refusal.status !== 404) throw failure(answer.refusal);
    claimable.value = false;
    door.value = 'open';
    return;
  }
  const claim = readClaim(answer.value);
  if (claim === null) throw new AnswerError('This page does not understand its answer; reload it.');
  claimable.value = claim.state === 'open';
  locked_secs.value = claim.state === 'locked' ? claim.retry_secs : null;
  if (claim.state === 'claimed') await findSession();
  else if (claim.state === 'open') door.value = 'open';
  else leave(claim.state, null);
}

async function findSession(): Promise<void> {
  const answer = await get(SESSION);
  const read = answer.ok ? readAccount(answer.value) : null;
  if (read !== null) enter(read);
  else if (!answer.ok && answer.refusal.status !== 401) throw failure(answer.refusal);
  else leave('signed-out', account.peek()?.name ?? ended.peek());
}

function enter(who: Account): void {
  ended.value = null;
  // The same account anew would draw everything again.
  if (JSON.stringify(account.peek()) !== JSON.stringify(who)) account.value = who;
  door.value = 'signed-in';
}

function leave(to: Door, whose: string | null): void {
  ended.value = whose;
  account.value = null;
  door.value = to;
}

function failure(refusal: Refusal): Error {
  return refusal.status === 0
    ? new Error(refusal.message)
    : new AnswerError(refusal.message, refusal.status);
}
