import { describe, expect, test } from 'vitest';
import { framesAt, jump, obsolete } from './recorded-edge';

const TWO = [
  { start: 0, end: 10 },
  { start: 12, end: 20 },
];

test.each([
  [0.25, 'all'],
  [4, 'all'],
  [8, 'keys'],
  [16, 'keys'],
  [-1, 'reverse'],
  [-16, 'reverse'],
])('at %d times the box sends %s', (speed, frames) => expect(framesAt(speed)).toBe(frames));

describe('obsolete', () => {
  test('keeps up to 30 s', () => expect(obsolete(30, [{ start: 0, end: 40 }])).toBe(null));
  test('cuts to 20 s above that', () =>
    expect(obsolete(31, [{ start: 0, end: 40 }])).toEqual({ start: 0, end: 11 }));
  test('leaves an empty buffer alone', () => expect(obsolete(99, [])).toBe(null));
});

describe('jump', () => {
  test.each([
    ['stays inside of a range', 5, null],
    ['crosses a step once the last picture was shown', 9.96, 12.001],
    ['does not cross before', 9.94, null],
    ['continues from between two ranges', 11, 12.001],
    ['begins where the buffer begins', -1, 0.001],
    ['waits at the end of everything', 19.99, null],
  ])('%s', (_, position, goal) => expect(jump(position, TWO)).toBe(goal));
  test('has nowhere to go in an empty buffer', () => expect(jump(3, [])).toBe(null));
});
