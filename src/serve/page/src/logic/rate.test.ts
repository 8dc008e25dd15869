import { expect, test } from 'vitest';
import { Rates } from './rate';

test('needs a span before it speaks', () => {
  const rates = new Rates();
  expect(rates.add('gate', 0, 0)).toBe(0);
  expect(rates.add('gate', 250_000, 1_000)).toBe(0);
  expect(rates.add('gate', 500_000, 2_000)).toBe(250_000);
});

test('follows a change within the window', () => {
  const rates = new Rates();
  for (let s = 0; s <= 10; s += 1) rates.add('gate', s * 25, s * 1_000);
  let rate = 0;
  for (let s = 11; s <= 20; s += 1) rate = rates.add('gate', 250 + (s - 10) * 50, s * 1_000);
  expect(rate).toBe(50);
});

test('a restarted count is not a negative rate', () => {
  const rates = new Rates();
  rates.add('gate', 1_000_000, 0);
  expect(rates.add('gate', 10, 2_000)).toBe(0);
});

test('names do not mix', () => {
  const rates = new Rates();
  rates.add('gate', 0, 0);
  rates.add('yard', 9_000, 0);
  expect(rates.add('gate', 20, 2_000)).toBe(10);
});
