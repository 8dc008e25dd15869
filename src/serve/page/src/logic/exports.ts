// Reads what the box says about its export jobs.
//
// Owns: the shape and its checks, and the words for each state.

import { instant, number, record, string } from './json';

export type JobState = 'queued' | 'running' | 'done' | 'failed';

export interface Job {
  readonly id: string;
  readonly state: JobState;
  readonly reason: string | null;
  /** 0 to 100; 100 when the file is there. */
  readonly percent: number;
  /** Length of the file, once it is there. */
  readonly bytes: number | null;
  readonly streams: readonly string[];
  readonly start_ms: number;
  readonly end_ms: number;
  /** Where the file is, once it is there. */
  readonly file: string | null;
}

const STATES: readonly string[] = ['queued', 'running', 'done', 'failed'];

/** Reads `GET /api/v1/exports`; null when the answer is something else. */
export function readJobs(value: unknown): Job[] | null {
  const jobs = record(value)?.['exports'];
  return Array.isArray(jobs) ? jobs.map(job).filter((one) => one !== null) : null;
}

function job(value: unknown): Job | null {
  const fields = record(value);
  const id = string(fields?.['id']);
  const state = string(fields?.['state']);
  const [start_ms, end_ms] = [instant(fields?.['start']), instant(fields?.['end'])];
  if (fields === null || id === null || start_ms === null || end_ms === null) return null;
  if (state === null || !STATES.includes(state)) return null;
  const streams: unknown = fields['streams'];
  return {
    id,
    state: state as JobState,
    reason: string(fields['reason']),
    percent: Math.min(100, Math.max(0, number(fields['percent']) ?? 0)),
    bytes: number(fields['bytes']),
    streams: Array.isArray(streams) ? streams.filter((one) => typeof one === 'string') : [],
    start_ms,
    end_ms,
    // Only ever a place on this box.
    file: string(fields['file'])?.startsWith('/api/') ? string(fields['file']) : null,
  };
}

/** A local date and time as an `<input type="datetime-local">` has it, to the second. */
export function localInput(ms: number): string {
  const local_ms = ms - new Date(ms).getTimezoneOffset() * 60_000;
  return new Date(local_ms).toISOString().slice(0, 19);
}
