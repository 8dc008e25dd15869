// The accounts of people, for admins.
//
// Owns: the list, and asking the box to change it.

import { signal } from '@preact/signals';
import { type Account, readAccounts } from '../logic/access';
import type { Refusal } from '../logic/refusal';
import { get, type Outcome, send } from '../net/request';

const PATH = 'api/v1/accounts';

/** Null until the first answer. */
export const people = signal<readonly Account[] | null>(null);

/** What an account may do, without its name. */
export type Grant = Omit<Account, 'name'>;

/** Asks for the list; null when it is there, else why not. */
export async function loadPeople(): Promise<Refusal | null> {
  const outcome = await get(PATH);
  if (!outcome.ok) return outcome.refusal;
  people.value = readAccounts(outcome.value) ?? people.value;
  return null;
}

export function addPerson(account: Account, password: string): Promise<Refusal | null> {
  return reloaded(send('POST', PATH, { ...account, password }));
}

/** Changes what an account may do, and its password unless that is empty. Its sessions end. */
export function changePerson(
  name: string,
  grant: Grant,
  password: string,
): Promise<Refusal | null> {
  const wanted = password === '' ? grant : { ...grant, password };
  return reloaded(send('PATCH', `${PATH}/${encodeURIComponent(name)}`, wanted));
}

/** Removes an account. Its sessions end. */
export function removePerson(name: string): Promise<Refusal | null> {
  return reloaded(send('DELETE', `${PATH}/${encodeURIComponent(name)}`));
}

async function reloaded(changed: Promise<Outcome>): Promise<Refusal | null> {
  const outcome = await changed;
  if (!outcome.ok) return outcome.refusal;
  await loadPeople();
  return null;
}
