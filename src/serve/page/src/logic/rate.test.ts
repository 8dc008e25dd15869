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

test('a stream that starts late has its own rate, not that of the time before', () => {
  const rates = new Rates();
  for (let s = 0; s <= 6; s += 1) rates.add('gate', 0, s * 1_000);
  expect(rates.add('gate', 15, 7_000)).toBe(0);
  expect(rates.add('gate', 40, 8_000)).toBe(0);
  expect(rates.add('gate', 65, 9_000)).toBe(25);
});

test('a stream that stands still comes down to nothing', () => {
  const rates = new Rates();
  let rate = 0;
  for (let s = 0; s <= 8; s += 1) rate = rates.add('gate', s * 25, s * 1_000);
  expect(rate).toBe(25);
  for (let s = 9; s <= 17; s += 1) rate = rates.add('gate', 200, s * 1_000);
  expect(rate).toBe(0);
});
