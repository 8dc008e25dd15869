// A change of the configuration that may lock people out: the box takes it back unless somebody
// who still reaches it says that it stays.
//
// Owns: asking the box whether one waits, and the answer to it.

import { effect, signal } from '@preact/signals';
import { number, record } from '../logic/json';
import type { Refusal } from '../logic/refusal';
import { get, send } from '../net/request';
import { followed, onNews } from './events';
import { rights } from './session';

const CONFIG = 'api/v1/config';
/** Where the box does not say by itself that something changed. */
const PERIOD_MS = 10_000;
/** The box takes the change back at the end of the time; a moment later it has. */
const GRACE_MS = 1_500;

/** What became of the change that waited last, or that it waits still. */
export type Unconfirmed =
  | { readonly state: 'waits'; readonly left_secs: number }
  | { readonly state: 'kept' }
  | { readonly state: 'taken-back' };

/** Null while there is nothing to say. */
export const unconfirmed = signal<Unconfirmed | null>(null);

let timer = 0;

/** Asks whenever the configuration changed, for as long as the page lives. */
export function watchUnconfirmed(): void {
  onNews((area) => area === 'config' && void ask());
  effect(() => {
    if (rights.value.admin) void ask();
    else unconfirmed.value = null;
  });
}

/** The change stays; null when it does, else why not. */
export async function keepChange(): Promise<Refusal | null> {
  const outcome = await send('POST', `${CONFIG}/confirm`);
  if (!outcome.ok) return outcome.refusal;
  unconfirmed.value = { state: 'kept' };
  return null;
}

/** The notice was read. */
export function dismiss(): void {
  unconfirmed.value = null;
}

async function ask(): Promise<void> {
  clearTimeout(timer);
  if (!rights.peek().admin) return;
  const outcome = await get(CONFIG);
  const left_secs = outcome.ok ? number(record(outcome.value)?.['confirm_within']) : null;
  const waited = unconfirmed.peek()?.state === 'waits';
  if (left_secs !== null) unconfirmed.value = { state: 'waits', left_secs };
  else if (outcome.ok && waited) unconfirmed.value = { state: 'taken-back' };
  // While the box cannot be reached, or is about to take the change back, it is asked again.
  const again_ms = left_secs === null ? PERIOD_MS : left_secs * 1_000 + GRACE_MS;
  const asks = left_secs !== null || !followed.peek() || (waited && !outcome.ok);
  // A page that is seen again hears everything anew.
  if (asks && document.visibilityState === 'visible')
    timer = window.setTimeout(() => void ask(), Math.min(again_ms, PERIOD_MS));
}
