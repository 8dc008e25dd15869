import { expect, test } from 'vitest';
import { Backoff } from './backoff';

const LIMITS = { first_ms: 250, max_ms: 4_000 };

test('doubles the ceiling up to the maximum', () => {
  const backoff = new Backoff(LIMITS, () => 1);
  expect([1, 2, 3, 4, 5, 6, 7].map(() => backoff.next())).toEqual([
    250, 500, 1000, 2000, 4000, 4000, 4000,
  ]);
});

test('never spins, however the dice fall', () => {
  const backoff = new Backoff(LIMITS, () => 0);
  expect([backoff.next(), backoff.next(), backoff.next()]).toEqual([125, 125, 125]);
});

test('starts over after a success', () => {
  const backoff = new Backoff(LIMITS, () => 1);
  backoff.next();
  backoff.next();
  backoff.reset();
  expect(backoff.next()).toBe(250);
});

test('stays bounded over a week of failures', () => {
  const backoff = new Backoff(LIMITS, () => 1);
  for (let i = 0; i < 200_000; i += 1) backoff.next();
  expect(backoff.next()).toBe(4_000);
});
