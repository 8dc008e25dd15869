import { expect, test } from 'vitest';
import { Bitrates } from './bitrate';

test('needs a span before it speaks', () => {
  const rates = new Bitrates();
  expect(rates.add('gate', 0, 0)).toBe(0);
  expect(rates.add('gate', 250_000, 1_000)).toBe(0);
  expect(rates.add('gate', 500_000, 2_000)).toBe(2_000_000);
});

test('follows a change within the window', () => {
  const rates = new Bitrates();
  for (let s = 0; s <= 10; s += 1) rates.add('gate', s * 250_000, s * 1_000);
  let bps = 0;
  for (let s = 11; s <= 20; s += 1)
    bps = rates.add('gate', 2_500_000 + (s - 10) * 500_000, s * 1_000);
  expect(bps).toBe(4_000_000);
});

test('a restarted count is not a negative rate', () => {
  const rates = new Bitrates();
  rates.add('gate', 1_000_000, 0);
  expect(rates.add('gate', 10, 2_000)).toBe(0);
});
