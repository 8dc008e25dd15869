// Reads why the box did not do what it was asked for.
//
// Owns: the shape of an error answer and its checks.

import { sentence } from './format';
import { list, number, record, string } from './json';

/** What is wrong with one field of what was sent. */
export interface Fault {
  /** The field, as the API names it; a path such as `source.url`. */
  readonly path: string;
  /** What is wrong and what would be right, for people. */
  readonly text: string;
}

export interface Refusal {
  /** The HTTP status; 0 when there was no answer. */
  readonly status: number;
  readonly code: string | null;
  /** For people. */
  readonly message: string;
  readonly faults: readonly Fault[];
  /** When another attempt is worth it, in seconds from now; null when the box does not say. */
  readonly retry_secs: number | null;
  /** What to add to the configuration by hand, where the box cannot write it. */
  readonly paste: string | null;
}

/** A box that is shut for longer says so again when it is asked again. */
const RETRY_SECS_MAX = 3_600;

/** Reads an error answer with the status `status` and the header `Retry-After`. */
export function readRefusal(value: unknown, status: number, retry_after: string | null): Refusal {
  const error = record(record(value)?.['error']);
  const secs = number(error?.['retry_after']) ?? number(Number(retry_after ?? NaN));
  return {
    status,
    code: string(error?.['code']),
    message: string(error?.['message']) ?? `The box answered with error ${status}.`,
    faults: list(error?.['faults'])
      .map(fault)
      .filter((one) => one !== null),
    retry_secs: secs === null ? null : Math.min(RETRY_SECS_MAX, Math.max(1, Math.ceil(secs))),
    paste: string(error?.['paste']),
  };
}

/**
 * What the refusal says about the field `path`, also if it says it by its code `code`; null when it
 * says nothing.
 */
export function faultOf(refusal: Refusal | null, path: string, code?: string): string | null {
  if (refusal === null) return null;
  const fault = refusal.faults.find((one) => one.path === path);
  return fault?.text ?? (refusal.code === code ? refusal.message : null);
}

function fault(value: unknown): Fault | null {
  const fields = record(value);
  const path = string(fields?.['path']);
  if (fields === null || path === null) return null;
  const words = [string(fields['wrong']), string(fields['right'])].filter((one) => one !== null);
  return words.length === 0 ? null : { path, text: words.map(sentence).join(' ') };
}
