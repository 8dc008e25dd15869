// Reads how far an update of the box is.
//
// Owns: the shape of the answer, and what is said of each state.

import { number, oneOf, record, string } from './json';

const STATES = [
  'none',
  'uploading',
  'checking',
  'ready',
  'installing',
  'installed',
  'refused',
] as const;
export type UpdateState = (typeof STATES)[number];

export interface Update {
  readonly state: UpdateState;
  readonly version: string | null;
  /** How much is uploaded, or installed. */
  readonly percent: number | null;
  /** Why it was refused. */
  readonly message: string | null;
  /** The version that runs. */
  readonly running: string | null;
  /** Whether that has yet to be found healthy. */
  readonly on_trial: boolean;
}

/** Reads `GET /api/v1/update`; null when the answer is something else. */
export function readUpdate(value: unknown): Update | null {
  const fields = record(value);
  const state = oneOf(fields?.['state'], STATES);
  if (fields === null || state === null) return null;
  const running = record(fields['running']);
  return {
    state,
    version: string(fields['version']),
    percent: number(fields['percent']),
    message: string(fields['message']),
    running: string(running?.['version']),
    on_trial: running?.['on_trial'] === true,
  };
}

/** The name of a box that a factory reset makes new, of `GET /api/v1/system`; null on any other. */
export function readResettable(value: unknown): string | null {
  const fields = record(value);
  return fields?.['can_reset'] === true ? string(fields['host']) : null;
}

/** What goes on, for states in which there is nothing to do but wait; null in the others. */
export function waitWords({ state, version }: Update): string | null {
  switch (state) {
    case 'uploading':
      return 'Uploading. Keep this page open.';
    case 'checking':
      return 'Checking the signature.';
    case 'installing':
      return `Installing ${version ?? 'it'}. Recording goes on.`;
    case 'installed':
      return 'The box restarts. It is back in about a minute.';
    case 'none':
    case 'ready':
    case 'refused':
      return null;
  }
}
