// The update of the box, asked for while its view is open.
//
// Owns: the poll, and asking the box to take, install or forget one.

import { signal } from '@preact/signals';
import type { Refusal } from '../logic/refusal';
import { readResettable, readUpdate, type Update } from '../logic/update';
import { get, type Outcome, send, upload } from '../net/request';

const PATH = 'api/v1/update';
const PERIOD_MS = 2_000;

/** Null until the first answer, and on a box that is not updated here. */
export const update = signal<Update | null>(null);
/** Why there is none. */
export const no_update = signal<Refusal | null>(null);

/** Polls until the returned function is called. */
export function pollUpdate(): () => void {
  const ask = () => {
    if (document.visibilityState === 'visible') void refresh();
  };
  ask();
  const timer = setInterval(ask, PERIOD_MS);
  return () => clearInterval(timer);
}

/** Sends the file; null when all of it is there, else why not. */
export function sendUpdate(file: File): Promise<Refusal | null> {
  return refreshed(upload(PATH, file));
}

/** Has the box install what is ready, and restart into it. */
export function installUpdate(): Promise<Refusal | null> {
  return refreshed(send('POST', `${PATH}/install`));
}

/** Has the box forget it. */
export function discardUpdate(): Promise<Refusal | null> {
  return refreshed(send('DELETE', PATH));
}

/** What a factory reset needs: the box's name, and whether it can be reset at all. */
export async function resettable(): Promise<string | null> {
  const outcome = await get('api/v1/system');
  return outcome.ok ? readResettable(outcome.value) : null;
}

/** Deletes everything on the box; null when it will. */
export async function factoryReset(host: string): Promise<Refusal | null> {
  const outcome = await send('POST', 'api/v1/system/factory-reset', { host });
  return outcome.ok ? null : outcome.refusal;
}

async function refreshed(asked: Promise<Outcome>): Promise<Refusal | null> {
  const outcome = await asked;
  await refresh();
  return outcome.ok ? null : outcome.refusal;
}

async function refresh(): Promise<void> {
  const outcome = await get(PATH);
  if (outcome.ok) {
    update.value = readUpdate(outcome.value) ?? update.value;
    no_update.value = null;
    // While the box restarts it does not answer; what was said before holds.
  } else if (outcome.refusal.status !== 0) no_update.value = outcome.refusal;
}
