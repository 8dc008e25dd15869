import { expect, test } from 'vitest';
import {
  type Account,
  passwordFault,
  readAccount,
  readAccounts,
  readClaim,
  rightsOf,
  streamWords,
} from './access';

const ADA: Account = { name: 'ada', role: 'admin', streams: '*', past: true };

test('reads the claim', () => {
  expect(readClaim({ state: 'locked', retry_after: 900 })).toEqual({
    state: 'locked',
    retry_secs: 900,
  });
  expect(readClaim({ state: 'open' })).toEqual({ state: 'open', retry_secs: null });
  for (const odd of [null, {}, { state: 'ajar' }]) expect(readClaim(odd)).toBe(null);
});

test('reads accounts; one of an unknown role is none', () => {
  expect(readAccount(ADA)).toEqual(ADA);
  expect(readAccount({ ...ADA, role: 'viewer', streams: ['gate', 7], past: 'yes' })).toEqual({
    name: 'ada',
    role: 'viewer',
    streams: ['gate'],
    past: false,
  });
  expect(readAccount({ ...ADA, role: 'root' })).toBe(null);
  expect(readAccounts({ accounts: [ADA, {}, null] })).toEqual([ADA]);
  expect(readAccounts([ADA])).toBe(null);
});

test.each([
  ['admin', false, { admin: true, exports: true, past: true }],
  ['operator', true, { admin: false, exports: true, past: true }],
  ['operator', false, { admin: false, exports: false, past: false }],
  ['viewer', true, { admin: false, exports: false, past: true }],
  ['viewer', false, { admin: false, exports: false, past: false }],
] as const)('%s with the past %s may %o', (role, past, may) => {
  expect(rightsOf({ ...ADA, role, past }, false)).toEqual(may);
});

test('an open box offers everything, a shut one nothing', () => {
  expect(rightsOf(null, true).admin).toBe(true);
  expect(rightsOf(null, false)).toEqual({ admin: false, exports: false, past: false });
});

test('a new password is long enough and typed the same twice', () => {
  expect(passwordFault('elevenchars', 'elevenchars')).toMatch(/^At least 12/);
  expect(passwordFault('twelve chars', 'twelve Chars')).toBe('The two passwords differ.');
  expect(passwordFault('twelve chars', 'twelve chars')).toBe(null);
});

test('streams in words', () => {
  expect(streamWords('*')).toBe('All streams');
  expect(streamWords(['gate', 'yard'])).toBe('gate, yard');
  expect(streamWords([])).toBe('No streams');
});
