// The export jobs, asked for while the page is visible.
//
// Owns: the poll, and asking the box to startExport, cancel or remove one.

import { signal } from '@preact/signals';
import { type Job, readJobs } from '../logic/exports';
import { change, type ChangeMethod, getJson } from '../net/request';
import { followed, onNews } from './events';

const PATH = 'api/v1/exports';
const PERIOD_MS = 2_000;

/** The jobs, the oldest first; null until the first answer. */
export const jobs = signal<readonly Job[] | null>(null);

/** Polls until the returned function is called. */
export function pollExports(): () => void {
  const ask = () => {
    if (document.visibilityState === 'visible') void refresh();
  };
  ask();
  const timer = setInterval(() => {
    // The box says when a job ends; how far one is has to be asked.
    const runs = jobs.peek()?.some((job) => job.state === 'queued' || job.state === 'running');
    if (!followed.peek() || (runs ?? true)) ask();
  }, PERIOD_MS);
  const deaf = onNews((area) => area === 'exports' && ask());
  return () => {
    deaf();
    clearInterval(timer);
  };
}

/** Asks for an export; null when the box accepted it, else why not. */
export function startExport(
  streams: readonly string[],
  start: Date,
  end: Date,
): Promise<string | null> {
  const wanted = { streams, start: start.toISOString(), end: end.toISOString() };
  return changeAndRefresh('POST', PATH, wanted);
}

/** Cancels a job, or removes its file; null when that is done, else why not. */
export function remove(id: string): Promise<string | null> {
  return changeAndRefresh('DELETE', `${PATH}/${encodeURIComponent(id)}`);
}

async function changeAndRefresh(
  method: ChangeMethod,
  path: string,
  body?: unknown,
): Promise<string | null> {
  const refused = await change(method, path, body);
  if (refused === null) await refresh();
  return refused;
}

async function refresh(): Promise<void> {
  // The poll of the streams reports a box that does not answer.
  const answer = await getJson(PATH).catch(() => null);
  jobs.value = readJobs(answer) ?? jobs.value;
}
