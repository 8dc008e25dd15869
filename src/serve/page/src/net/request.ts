// Requests to the box's API.
//
// Owns: the time limit, and the header that marks a change as the page's own.

import { readRefusal, type Refusal } from '../logic/refusal';
import { doubt } from './doubt';
import { boxUrl } from './url';

const TIMEOUT_MS = 4_000;
const UPLOAD_TIMEOUT_MS = 3_600_000;
/** A page of another site cannot send this header, so the box can tell our changes from theirs. */
const CHANGE_HEADER = 'X-Holdfast-CSRF';
const SILENT: Refusal = {
  status: 0,
  code: null,
  message: 'The box did not answer. Try again.',
  faults: [],
  retry_secs: null,
  paste: null,
};

export type ChangeMethod = 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** The box answered, but not with what was asked for; the message is for people. */
export class AnswerError extends Error {
  constructor(
    message: string,
    /** The HTTP status; 0 when it is of no interest. */
    readonly status = 0,
  ) {
    super(message);
  }
}

/** What became of a request: the JSON of the answer (null if it has none), or why not. */
export type Outcome =
  | { readonly ok: true; readonly value: unknown; readonly etag: string | null }
  | { readonly ok: false; readonly refusal: Refusal };

/** Bounds and headers of a request that are not the usual ones. */
export interface SendOptions {
  readonly headers?: Record<string, string>;
  readonly timeout_ms?: number;
  readonly stop?: AbortSignal;
}

/**
 * Fetches `path` and reads the answer with `read`, both within `timeout_ms`. `stop` aborts it
 * early.
 */
export async function request<T>(
  path: string,
  read: (answer: Response) => Promise<T>,
  init: RequestInit = {},
  stop?: AbortSignal,
  timeout_ms = TIMEOUT_MS,
): Promise<T> {
  const attempt = new AbortController();
  const abort = () => attempt.abort();
  const timer = setTimeout(abort, timeout_ms);
  stop?.addEventListener('abort', abort);
  try {
    const options = { cache: 'no-store', ...init, signal: attempt.signal } as const;
    const answer = await fetch(boxUrl(path), options);
    if (answer.status === 401 || answer.status === 403) doubt();
    return await read(answer);
  } finally {
    clearTimeout(timer);
    stop?.removeEventListener('abort', abort);
  }
}

/** The JSON at `path`. */
export function getJson(path: string): Promise<unknown> {
  return request(path, async (answer) => {
    if (answer.ok) return answer.json();
    throw new AnswerError(await reason(answer), answer.status);
  });
}

/** Asks for what is at `path`; never throws. */
export function get(path: string, options: SendOptions = {}): Promise<Outcome> {
  return outcomeOf(path, { headers: new Headers(options.headers) }, options);
}

/** Changes something on the box; never throws. */
export function send(
  method: ChangeMethod,
  path: string,
  body?: unknown,
  options: SendOptions = {},
): Promise<Outcome> {
  const headers = new Headers({ ...options.headers, [CHANGE_HEADER]: '1' });
  const init: RequestInit = { method, headers };
  if (body !== undefined) {
    headers.set('Content-Type', 'application/json');
    init.body = JSON.stringify(body);
  }
  return outcomeOf(path, init, options);
}

/** Sends a file, however long that takes; never throws. */
export function upload(path: string, file: Blob, options: SendOptions = {}): Promise<Outcome> {
  const headers = { [CHANGE_HEADER]: '1', 'Content-Type': 'application/octet-stream' };
  const init: RequestInit = { method: 'POST', headers, body: file };
  return outcomeOf(path, init, { timeout_ms: UPLOAD_TIMEOUT_MS, ...options });
}

/** Changes something on the box; null when it did, else why not, in words. */
export async function change(
  method: ChangeMethod,
  path: string,
  body?: unknown,
): Promise<string | null> {
  const outcome = await send(method, path, body);
  return outcome.ok ? null : outcome.refusal.message;
}

/** Why the box did not do what it was asked for: its own words, if it sent any. */
export async function reason(answer: Response): Promise<string> {
  return (await refusalOf(answer)).message;
}

async function outcomeOf(path: string, init: RequestInit, options: SendOptions): Promise<Outcome> {
  const read = async (answer: Response): Promise<Outcome> => {
    if (!answer.ok) return { ok: false, refusal: await refusalOf(answer) };
    const value: unknown = await answer.json().catch(() => null);
    return { ok: true, value, etag: answer.headers.get('etag') };
  };
  try {
    return await request(path, read, init, options.stop, options.timeout_ms);
  } catch {
    return { ok: false, refusal: SILENT };
  }
}

async function refusalOf(answer: Response): Promise<Refusal> {
  const value: unknown = await answer.json().catch(() => null);
  return readRefusal(value, answer.status, answer.headers.get('retry-after'));
}
