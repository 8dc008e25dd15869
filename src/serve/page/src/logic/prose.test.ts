import { expect, test } from 'vitest';
import { plain, proseParts } from './prose';

const NOON_MS = new Date(2026, 10, 22, 12).getTime();

test('names become code and the rest stays text', () => {
  expect(proseParts('Run `holdfast ring shrink` now.', NOON_MS)).toEqual([
    { text: 'Run ', code: false },
    { text: 'holdfast ring shrink', code: true },
    { text: ' now.', code: false },
  ]);
});

test.each([
  ['All is well.', 'All is well.'],
  ['`start` is missing.', 'start is missing.'],
  ['An odd ` mark.', 'An odd  mark.'],
  ['', ''],
])('%o is plainly %o', (sentence, words) => expect(plain(sentence, NOON_MS)).toBe(words));

test('dates read like all others on the page', () => {
  const iso = new Date(2026, 10, 22, 11, 5, 9).toISOString();
  expect(plain(`Nothing has been recorded since ${iso}.`, NOON_MS)).toBe(
    'Nothing has been recorded since 11:05:09.',
  );
  const before = new Date(2026, 10, 21, 11, 5, 9).toISOString();
  expect(plain(`Since ${before}: gone`, NOON_MS)).toBe('Since 21 Nov 11:05:09: gone');
});
