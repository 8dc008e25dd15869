// The configuration of a stream, or of the box, for admins.
//
// Owns: reading a section with its tag, changing it, and taking the change back. The tag of what was read
// goes with the change, so that another person's is not overwritten.

import { list, number, record, string } from '../logic/json';
import type { Refusal } from '../logic/refusal';
import { get, type Outcome, send } from '../net/request';
import { refreshNow } from './box';
import { STRANGE } from './strange';

const CONFIG = 'api/v1/config';
/** A change is written to the disk and applied before the answer. */
const SAVE_MS = 15_000;

/** What the file says of a stream, or of the box. */
export interface Loaded {
  readonly section: Readonly<Record<string, unknown>>;
  readonly etag: string;
}

/** A stream that is switched off. */
export interface DisabledStream {
  readonly name: string;
  readonly title: string;
}

function pathOf(stream: string | null): string {
  return stream === null ? `${CONFIG}/settings` : `${CONFIG}/streams/${encodeURIComponent(stream)}`;
}

/** The section of `stream`; null is the box's own. */
export async function loadSection(stream: string | null): Promise<Loaded | Refusal> {
  return read(await get(pathOf(stream)), stream);
}

/** Changes what `patch` says, of the text that has `etag`. */
export async function saveSection(
  stream: string | null,
  etag: string,
  patch: object,
): Promise<Loaded | Refusal> {
  const options = { headers: { 'If-Match': etag }, timeout_ms: SAVE_MS };
  const outcome = await send('PATCH', pathOf(stream), patch, options);
  if (!outcome.ok) return forForm(outcome.refusal, stream);
  refreshNow();
  return loadSection(stream);
}

/** Takes a stream out of the configuration; null when it is gone, else why not. */
export async function removeStream(stream: string, etag: string): Promise<Refusal | null> {
  const options = { headers: { 'If-Match': etag }, timeout_ms: SAVE_MS };
  const outcome = await send('DELETE', pathOf(stream), undefined, options);
  if (!outcome.ok) return outcome.refusal;
  refreshNow();
  return null;
}

/** Puts the text of before the last change back. */
export async function takeBack(stream: string | null, etag: string): Promise<Loaded | Refusal> {
  const history = await get(`${CONFIG}/history`);
  if (!history.ok) return history.refusal;
  // The newest comes first.
  const id = number(record(list(record(history.value)?.['texts'])[0])?.['id']);
  if (id === null) return STRANGE;
  const options = { headers: { 'If-Match': etag }, timeout_ms: SAVE_MS };
  const outcome = await send('POST', `${CONFIG}/restore`, { id }, options);
  if (!outcome.ok) return outcome.refusal;
  refreshNow();
  return loadSection(stream);
}

/** The streams that are switched off, which no list of pictures has. */
export async function loadDisabled(): Promise<readonly DisabledStream[]> {
  const outcome = await get('api/v1/streams');
  const disabled = outcome.ok ? list(record(outcome.value)?.['disabled']) : [];
  return disabled.flatMap((one) => {
    const name = string(record(one)?.['name']);
    return name === null ? [] : [{ name, title: string(record(one)?.['title']) ?? name }];
  });
}

/** Whether `outcome` is a section, and not a refusal. */
export function isLoaded(outcome: Loaded | Refusal): outcome is Loaded {
  return 'section' in outcome;
}

function read(outcome: Outcome, stream: string | null): Loaded | Refusal {
  if (!outcome.ok) return outcome.refusal;
  const fields = record(outcome.value);
  const section = stream === null ? fields : record(fields?.['section']);
  if (section === null || outcome.etag === null) return STRANGE;
  return { section, etag: outcome.etag };
}

/** Faults are at `stream.gate.source.url`; the form has a field `source.url`. */
function forForm(refusal: Refusal, stream: string | null): Refusal {
  const prefix = stream === null ? '' : `stream.${stream}.`;
  const faults = refusal.faults.map((fault) =>
    fault.path.startsWith(prefix) ? { ...fault, path: fault.path.slice(prefix.length) } : fault,
  );
  return { ...refusal, faults };
}
