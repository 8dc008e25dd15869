// Reads what the box says about who may use it, and decides what the page offers to whom.
//
// Owns: the shapes of claim, session and accounts. The rights here only hide what would be
// refused: the box decides.

import { list, number, oneOf, record, string } from './json';

/** Whether the box has an owner: `open` is the demo, which asks nobody who they are. */
export type ClaimState = 'unclaimed' | 'window' | 'locked' | 'claimed' | 'open';

export interface Claim {
  readonly state: ClaimState;
  /** For how long a locked box takes no code, in seconds. */
  readonly retry_secs: number | null;
}

export const ROLES = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** What each role may do, for those who choose one. */
export const ROLE_WORDS: Record<Role, string> = {
  viewer: 'watches live video, and recordings if allowed',
  operator: 'also exports footage',
  admin: 'also adds cameras and people',
};

/** Somebody who may sign in. */
export interface Account {
  readonly name: string;
  readonly role: Role;
  /** The streams it may see; `*` is all, those added later too. */
  readonly streams: '*' | readonly string[];
  /** Whether it may see recordings. */
  readonly past: boolean;
}

/** What the page offers. */
export interface Rights {
  readonly admin: boolean;
  readonly exports: boolean;
  readonly past: boolean;
}

/** A password is at least this long; the box refuses others. */
export const PASSWORD_CHARS_MIN = 12;

const EVERYTHING: Rights = { admin: true, exports: true, past: true };
const NOTHING: Rights = { admin: false, exports: false, past: false };

/** Reads `GET /api/v1/claim`; null when the answer is something else. */
export function readClaim(value: unknown): Claim | null {
  const fields = record(value);
  const states = ['unclaimed', 'window', 'locked', 'claimed', 'open'] as const;
  const state = oneOf(fields?.['state'], states);
  return state && { state, retry_secs: number(fields?.['retry_after']) };
}

/** Reads `GET /api/v1/session`, or one account; null when the answer is something else. */
export function readAccount(value: unknown): Account | null {
  const fields = record(value);
  const name = string(fields?.['name']);
  const role = oneOf(fields?.['role'], ROLES);
  if (fields === null || name === null || role === null) return null;
  const streams = fields['streams'];
  return {
    name,
    role,
    streams: streams === '*' ? '*' : list(streams).filter((one) => typeof one === 'string'),
    past: fields['past'] === true,
  };
}

/** Reads `GET /api/v1/accounts`; null when the answer is something else. */
export function readAccounts(value: unknown): Account[] | null {
  const accounts = record(value)?.['accounts'];
  if (!Array.isArray(accounts)) return null;
  return accounts.map(readAccount).filter((one) => one !== null);
}

/** What the page offers to `account`; null is somebody who is not signed in. */
export function rightsOf(account: Account | null, open: boolean): Rights {
  if (open) return EVERYTHING;
  if (account === null) return NOTHING;
  const { role, past } = account;
  if (role === 'admin') return EVERYTHING;
  return { admin: false, exports: role === 'operator' && past, past };
}

/** "All streams", "gate, yard", "No streams". */
export function streamWords(streams: Account['streams']): string {
  if (streams === '*') return 'All streams';
  return streams.length === 0 ? 'No streams' : streams.join(', ');
}

/** "Viewer · All streams · live only". */
export function grantWords({ role, streams, past }: Omit<Account, 'name'>): string {
  if (role === 'admin') return 'Admin';
  const what = past ? 'live and recordings' : 'live only';
  return `${role === 'viewer' ? 'Viewer' : 'Operator'} · ${streamWords(streams)} · ${what}`;
}

/** What is wrong with a new password before it is sent; null when nothing is. */
export function passwordFault(password: string, repeated: string): string | null {
  if (password.length < PASSWORD_CHARS_MIN)
    return `At least ${PASSWORD_CHARS_MIN} characters. Three or four words are easy to remember.`;
  return password === repeated ? null : 'The two passwords differ.';
}
