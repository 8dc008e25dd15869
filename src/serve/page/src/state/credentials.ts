// The accounts of players and recorders, for admins.
//
// Owns: the list, and asking the box to change it. A password goes to whoever asked for it and is kept
// nowhere.

import { signal } from '@preact/signals';
import {
  type Credential,
  type MadeCredential,
  readCredentials,
  readMadeCredential,
  type Streams,
} from '../logic/credential';
import type { Refusal } from '../logic/refusal';
import { get, type Outcome, send } from '../net/request';
import { STRANGE } from './strange';

const PATH = 'api/v1/credentials';
/** A change is written to the disk and applied before the answer. */
const SAVE = { timeout_ms: 15_000 };

/** Null until the first answer. */
export const credentials = signal<readonly Credential[] | null>(null);

/** What one is to be. */
export interface CredentialForm {
  readonly name: string;
  readonly read: Streams;
  readonly publish: Streams;
  readonly owner: string | null;
}

/** Asks for the list; null when it is there, else why not. */
export async function loadCredentials(): Promise<Refusal | null> {
  const outcome = await get(PATH);
  if (!outcome.ok) return outcome.refusal;
  credentials.value = readCredentials(outcome.value) ?? credentials.value;
  return null;
}

/** Makes one, with a password that the box chooses, or says why not. */
export async function makeCredential(form: CredentialForm): Promise<MadeCredential | Refusal> {
  return made(await send('POST', PATH, form, SAVE));
}

/** Has the box choose another password; what runs by the old one ends. */
export async function rotateCredential(name: string): Promise<MadeCredential | Refusal> {
  return made(await send('PATCH', pathOf(name), { rotate: true }, SAVE));
}

/** Removes one; what runs by it ends. */
export async function removeCredential(name: string): Promise<Refusal | null> {
  const outcome = await send('DELETE', pathOf(name), undefined, SAVE);
  if (!outcome.ok) return outcome.refusal;
  return loadCredentials();
}

/** Whether `outcome` is an account, and not a refusal. */
export function hasPassword(outcome: MadeCredential | Refusal): outcome is MadeCredential {
  return 'password' in outcome;
}

function pathOf(name: string): string {
  return `${PATH}/${encodeURIComponent(name)}`;
}

async function made(outcome: Outcome): Promise<MadeCredential | Refusal> {
  if (!outcome.ok) return forForm(outcome.refusal);
  await loadCredentials();
  return readMadeCredential(outcome.value) ?? STRANGE;
}

/** Faults are at `account.nvr.read`; the form has a field `read`. */
function forForm(refusal: Refusal): Refusal {
  const faults = refusal.faults.map((fault) => ({
    ...fault,
    path: fault.path.replace(/^account\..*\./, ''),
  }));
  return { ...refusal, faults };
}
