import { describe, expect, test } from 'vitest';
import { JitterTarget, decide, trim } from './live-edge';

const one = (start: number, end: number) => [{ start, end }];

describe('decide', () => {
  test.each([
    ['waits when nothing is buffered', 5, [], null, 1],
    ['comes nearer unnoticed above 0.12 s', 9.85, one(0, 10), null, 1.03],
    ['leaves a healthy lag alone', 9.9, one(0, 10), null, 1],
    ['speeds up above 0.25 s', 9.7, one(0, 10), null, 1.1],
    ['slows down below 0.06 s', 9.95, one(0, 10), null, 0.95],
    ['jumps when more than a second behind', 8.9, one(0, 10), 9.88, 1],
    ['jumps into a buffer that begins later', 0, one(123.4, 124.4), 124.28, 1],
    ['does not land before the buffer', 0, one(123.4, 123.44), 123.4, 1],
    ['crosses a gap to the newest stretch', 10, [...one(0, 10), ...one(20, 20.5)], 20.38, 1],
    ['comes back when the timeline was restarted', 900, one(0, 1), 0.88, 1],
    ['does not jump for an overshoot of a frame', 10.04, one(0, 10), null, 0.95],
  ])('%s', (_, position, ranges, seek_to, rate) => {
    const decision = decide(position, ranges);
    expect(decision.rate).toBe(rate);
    if (seek_to === null) expect(decision.seek_to).toBeNull();
    else expect(decision.seek_to).toBeCloseTo(seek_to, 6);
  });

  test('a jump is not followed by another', () => {
    const ranges = one(0, 10);
    const landed = decide(2, ranges).seek_to ?? NaN;
    expect(decide(landed, ranges)).toEqual({ seek_to: null, rate: 1 });
  });

  test('a cushion moves the whole band', () => {
    expect(decide(9.7, one(0, 10), 0.2).rate).toBe(1);
    expect(decide(9.8, one(0, 10), 0.2).rate).toBe(0.95);
    expect(decide(8.9, one(0, 10), 0.2).seek_to).toBeNull();
  });

  test('holds the edge in a simulated minute of uneven arrival', () => {
    let position = 0;
    let end = 0.5;
    let worst = 0;
    for (let ms = 0; ms < 60_000; ms += 100) {
      // Frames come in bursts: nothing for 300 ms, then all at once.
      if (ms % 400 === 0) end += 0.4;
      const { seek_to, rate } = decide(position, one(Math.max(0, end - 12), end));
      position = Math.min(end, seek_to ?? position + 0.1 * rate);
      if (ms > 5_000) worst = Math.max(worst, end - position);
    }
    expect(worst).toBeLessThan(0.7);
  });
});

describe('trim', () => {
  test('keeps up to 15 s', () => expect(trim(100, one(85, 101))).toBeNull());
  test('cuts to 10 s above that', () =>
    expect(trim(100, one(84.9, 101))).toEqual({ start: 84.9, end: 90 }));
  test('leaves an empty buffer alone', () => expect(trim(100, [])).toBeNull());
});

describe('JitterTarget', () => {
  test('grows with each starvation, to a limit', () => {
    const cushion = new JitterTarget();
    for (let i = 0; i < 10; i += 1) cushion.starved(i);
    expect(cushion.secs(10)).toBeCloseTo(0.3);
  });

  test('shrinks by a step after a calm period', () => {
    const cushion = new JitterTarget();
    cushion.starved(0);
    cushion.starved(0);
    expect(cushion.secs(19_999)).toBeCloseTo(0.2);
    expect(cushion.secs(20_000)).toBeCloseTo(0.1);
    expect(cushion.secs(40_000)).toBeCloseTo(0);
  });
});
