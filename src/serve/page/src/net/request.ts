// Requests to the box's API.
//
// Owns: the time limit, and the header that marks a change as the page's own.

import { readError } from '../logic/api';
import { boxUrl } from './url';

const TIMEOUT_MS = 4_000;
/** A page of another site cannot send this header, so the box can tell our changes from theirs. */
const CHANGE_HEADER = 'X-Holdfast-CSRF';

export type ChangeMethod = 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** The box answered, but not with what was asked for; the message is for people. */
export class AnswerError extends Error {}

/**
 * Fetches `path` and reads the answer with `read`, both within four seconds. `stop` aborts it
 * early.
 */
export async function request<T>(
  path: string,
  read: (answer: Response) => Promise<T>,
  init: RequestInit = {},
  stop?: AbortSignal,
): Promise<T> {
  const attempt = new AbortController();
  const abort = () => attempt.abort();
  const timer = setTimeout(abort, TIMEOUT_MS);
  stop?.addEventListener('abort', abort);
  try {
    const options = { cache: 'no-store', ...init, signal: attempt.signal } as const;
    return await read(await fetch(boxUrl(path), options));
  } finally {
    clearTimeout(timer);
    stop?.removeEventListener('abort', abort);
  }
}

/** The JSON at `path`. Health answers 503 when the box has failed, and that is an answer too. */
export function getJson(path: string): Promise<unknown> {
  return request(path, async (answer) => {
    if (answer.ok || answer.status === 503) return answer.json();
    throw new AnswerError(await reason(answer));
  });
}

/** Changes something on the box; null when it did, else why not, in words. */
export async function change(
  method: ChangeMethod,
  path: string,
  body?: unknown,
): Promise<string | null> {
  const headers = new Headers({ [CHANGE_HEADER]: '1' });
  const init: RequestInit = { method, headers };
  if (body !== undefined) {
    headers.set('Content-Type', 'application/json');
    init.body = JSON.stringify(body);
  }
  const read = async (answer: Response) => (answer.ok ? null : reason(answer));
  return request(path, read, init).catch(() => 'The box did not answer. Try again.');
}

/** Why the box did not do what it was asked for: its own words, if it sent any. */
export async function reason(answer: Response): Promise<string> {
  const words = await answer.json().then(readError, () => null);
  return words ?? `The box answered with error ${answer.status}.`;
}
