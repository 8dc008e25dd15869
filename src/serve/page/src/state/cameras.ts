// Trying and adding cameras, for admins.
//
// Owns: the requests. Each change asks for the tag of the configuration just before, so that
// another person's change is not overwritten.

import { effect, signal } from '@preact/signals';
import { accessOf, type CameraForm, readTrial, sectionOf, type Trial } from '../logic/camera';
import type { Refusal } from '../logic/refusal';
import { get, send } from '../net/request';
import { refreshNow } from './box';
import { rights } from './session';
import { STRANGE } from './strange';

const CONFIG = 'api/v1/config';
/** The box gives a camera 10 s. */
const TRIAL_MS = 15_000;
/** A change is written to the disk and applied before the answer. */
const SAVE_MS = 15_000;

/** Whether the box takes changes of its configuration from this account. */
export const configurable = signal(false);

/** Keeps `configurable` up to date, for as long as the page lives. */
export function watchConfigurable(): void {
  effect(() => {
    configurable.value = false;
    if (!rights.value.admin) return;
    void get(CONFIG).then((outcome) => {
      configurable.value = rights.peek().admin && outcome.ok;
    });
  });
}

/** What the box finds at an address, or why it finds nothing. `stop` gives up. */
export async function tryCamera(form: CameraForm, stop: AbortSignal): Promise<Trial | Refusal> {
  const options = { timeout_ms: TRIAL_MS, stop };
  const outcome = await send('POST', 'api/v1/streams/try', accessOf(form), options);
  if (!outcome.ok) return outcome.refusal;
  return readTrial(outcome.value) ?? STRANGE;
}

/** Adds a camera to the configuration; null when it is there, else why not. */
export async function addCamera(form: CameraForm): Promise<Refusal | null> {
  const config = await get(CONFIG);
  if (!config.ok) return config.refusal;
  const headers = { 'If-Match': config.etag ?? '*' };
  const path = `${CONFIG}/streams/${encodeURIComponent(form.name)}`;
  const options = { headers, timeout_ms: SAVE_MS };
  const outcome = await send('PUT', path, sectionOf(form), options);
  if (!outcome.ok) return outcome.refusal;
  refreshNow();
  return null;
}
