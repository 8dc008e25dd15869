// The export jobs, asked for while somebody looks.
//
// Owns: the poll, and asking the box to startExport, cancel or remove one.

import { signal } from '@preact/signals';
import { readError } from '../logic/api';
import { type Job, readJobs } from '../logic/exports';
import { get } from './box';

const PATH = '/api/v1/exports';
const PERIOD_MS = 2_000;

/** The jobs, the oldest first; null until the first answer. */
export const jobs = signal<readonly Job[] | null>(null);

/** Keeps asking until the returned function is called. */
export function pollExports(): () => void {
  const ask = () => {
    if (document.visibilityState === 'visible') void refresh();
  };
  ask();
  const timer = setInterval(ask, PERIOD_MS);
  return () => clearInterval(timer);
}

/** Asks for an export; null when the box took it, else its words for why not. */
export function startExport(
  streams: readonly string[],
  start: Date,
  end: Date,
): Promise<string | null> {
  const wish = { streams, start: start.toISOString(), end: end.toISOString() };
  return send(PATH, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(wish),
  });
}

/** Cancels a job, or removes its file; null when that is done. */
export function remove(id: string): Promise<string | null> {
  return send(`${PATH}/${encodeURIComponent(id)}`, { method: 'DELETE' });
}

async function send(path: string, request: RequestInit): Promise<string | null> {
  try {
    const answer = await fetch(path, request);
    const said = answer.ok ? null : await answer.json().then(readError, () => null);
    if (!answer.ok) return said ?? `The box answers with error ${answer.status}.`;
  } catch {
    return 'The box does not answer.';
  }
  await refresh();
  return null;
}

async function refresh(): Promise<void> {
  // A lost answer is told by the poll of the streams.
  const answer = await get(PATH).catch(() => null);
  jobs.value = readJobs(answer) ?? jobs.value;
}
