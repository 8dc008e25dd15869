import { expect, test } from 'vitest';
import { BoxClock } from './box-clock';

/** A box whose Unix time is `BOX` when our monotonic clock reads 0, on whatever wall clock we have. */
const BOX = 1_795_363_523_000;
const mark = (media_secs: number, wall_ms: number, now_ms: number) => ({
  media_secs,
  wall_ms: BOX + wall_ms,
  now_ms: BOX + now_ms,
});

test('knows nothing before the first mark', () => {
  expect(new BoxClock().delay_secs(1, 0)).toBeNull();
});

test('is the time from capture to the screen', () => {
  const clock = new BoxClock();
  clock.heard(mark(100, 0, 20), 20);
  // The frame one second later was captured at 1000 and is on the screen at 1210.
  expect(clock.delay_secs(101, 1210)).toBeCloseTo(0.21);
});

test('a message that was long under way does not spoil it', () => {
  const clock = new BoxClock();
  clock.heard(mark(100, 0, 0), 5);
  clock.heard(mark(105, 5000, 5000), 5900);
  expect(clock.delay_secs(106, 6200)).toBeCloseTo(0.195);
});

test('follows a box whose clock is set', () => {
  const clock = new BoxClock();
  clock.heard(mark(100, 0, 0), 0);
  clock.reset();
  clock.heard(mark(105, 3_605_000, 3_605_000), 5000);
  expect(clock.delay_secs(105, 5200)).toBeCloseTo(0.2);
});

test('says nothing rather than nonsense', () => {
  const clock = new BoxClock();
  clock.heard(mark(100, 0, 0), 0);
  expect(clock.delay_secs(200, 10)).toBeNull();
  expect(clock.delay_secs(-10_000, 10)).toBeNull();
  expect(clock.delay_secs(100.02, 10)).toBe(0);
});
