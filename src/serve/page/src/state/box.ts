// What the box says about itself, asked while the page is visible: when its events say that something
// changed, and every few seconds for its figures; once a second where there are no events.
//
// Owns: the poll and the signals the components read. Does not own: media; each tile has its own.

import { computed, effect, signal } from '@preact/signals';
import { type Health, readHealth, readStreams, type StreamInfo } from '../logic/api';
import { Backoff } from '../logic/backoff';
import { instant } from '../logic/json';
import { Rates } from '../logic/rate';
import { AnswerError, getJson, reason, request } from '../net/request';
import { followed, onNews } from './events';
import { ask as askDoor, door, inside } from './session';

const PERIOD_MS = 1_000;
/** While events say when something changed. */
const FOLLOWED_PERIOD_MS = 3_000;
/** A single lost answer is not worth a notice. */
const FAILURES_SHOWN = 2;
const STRANGE = 'This page does not understand its answer; reload the page.';

/** The streams; null until the first answer. */
export const streams = signal<readonly StreamInfo[] | null>(null);
export const health = signal<Health | null>(null);
/** The box cannot be reached: since when (Unix ms), and what it answered instead of what was asked
 * for, if it answered at all. Null when it can be reached. */
export const outage = signal<{ since_ms: number; reason: string | null } | null>(null);
/** Media bits per second of each stream, over the last seconds. */
export const bitrates = signal<ReadonlyMap<string, number>>(new Map());
/** Access units (pictures, and audio frames) per second of each stream. */
export const unit_rates = signal<ReadonlyMap<string, number>>(new Map());
/** The clock of the box, in Unix milliseconds; it advances once a second. */
export const now_ms = signal<number>(Date.now());

export const live_count = computed(
  () => streams.value?.filter((one) => one.state === 'live').length ?? 0,
);
export const recorded_count = computed(
  () => streams.value?.filter((one) => one.recording !== null).length ?? 0,
);
export const recording_count = computed(
  () => streams.value?.filter((one) => one.recording?.state === 'recording').length ?? 0,
);

const backoff = new Backoff({ first_ms: 1_000, max_ms: 4_000 });
const byte_counts = new Rates();
const unit_counts = new Rates();
let failures = 0;
let timer = 0;
let busy = false;
/** Clock of the box minus our monotonic clock, in milliseconds. */
let offset_ms = Date.now() - performance.now();

/** Starts asking, for as long as the page lives. */
export function startPolling(): void {
  setInterval(() => (now_ms.value = performance.now() + offset_ms), 1_000);
  document.addEventListener('visibilitychange', refreshNow);
  window.addEventListener('online', refreshNow);
  onNews((area) => area === 'box' && refreshNow());
  // A box that is gone is noticed as soon as its socket is.
  effect(() => void (followed.value || refreshNow()));
  effect(() => {
    // What one person saw is not left to the next.
    if (!inside.value) forget();
    refreshNow();
  });
}

/** Asks now instead of at the end of the second. */
export function refreshNow(): void {
  clearTimeout(timer);
  if (!busy && document.visibilityState === 'visible') void ask();
}

async function ask(): Promise<void> {
  busy = true;
  try {
    if (!inside.peek()) await askDoor();
    if (inside.peek()) await askStreams();
    else reached();
  } catch (error) {
    failed(error instanceof AnswerError ? error.message : null);
  } finally {
    busy = false;
    // While a person has to sign in first, nothing waits for the box.
    const waits = door.peek() === 'signed-out' && failures === 0;
    const pause_ms = followed.peek() ? FOLLOWED_PERIOD_MS : PERIOD_MS;
    if (!waits) timer = window.setTimeout(refreshNow, failures === 0 ? pause_ms : backoff.next());
  }
}

async function askStreams(): Promise<void> {
  try {
    const [list, state] = await Promise.all([getJson('api/v1/streams'), askHealth()]);
    if (inside.peek()) apply(readStreams(list), state);
  } catch (error) {
    if (!(error instanceof AnswerError) || (error.status !== 401 && error.status !== 403))
      throw error;
    await askDoor();
    if (inside.peek()) throw error;
  }
}

/** The health of the box. Those who may not see all of it get a word, and the date of the answer. */
function askHealth(): Promise<Health> {
  return request('api/v1/health', async (answer) => {
    // 503 says that the box has failed, and that is an answer too.
    if (!answer.ok && answer.status !== 503)
      throw new AnswerError(await reason(answer), answer.status);
    const state = readHealth(await answer.json());
    if (state === null) throw new AnswerError(STRANGE);
    return { ...state, time_ms: state.time_ms ?? instant(answer.headers.get('date')) };
  });
}

function reached(): void {
  failures = 0;
  backoff.reset();
  outage.value = null;
}

function forget(): void {
  streams.value = null;
  health.value = null;
}

function apply(list: StreamInfo[] | null, state: Health): void {
  if (list === null) throw new AnswerError(STRANGE);
  reached();
  if (state.time_ms !== null) offset_ms = state.time_ms - performance.now();
  const local_ms = performance.now();
  bitrates.value = rated(list, (one) => byte_counts.add(one.name, one.totals.bytes, local_ms) * 8);
  unit_rates.value = rated(list, (one) => unit_counts.add(one.name, one.totals.units, local_ms));
  streams.value = list;
  health.value = state;
}

function failed(reason: string | null): void {
  failures += 1;
  if (failures < FAILURES_SHOWN) return;
  outage.value = { since_ms: outage.value?.since_ms ?? now_ms.value, reason };
}

function rated(
  list: readonly StreamInfo[],
  rate: (one: StreamInfo) => number,
): ReadonlyMap<string, number> {
  return new Map(list.map((one) => [one.name, rate(one)]));
}
