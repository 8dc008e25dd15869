import { describe, expect, test } from 'vitest';
import {
  around,
  bars,
  dayOf,
  follow,
  keyStep,
  lastFootage,
  length,
  ticks,
  pan,
  seekTarget,
  toMs,
  toPx,
  zoom,
} from './span';

const HOUR = 3_600_000;
const run = (start_ms: number, end_ms: number) => ({ start_ms, end_ms, bytes: null });

describe('what is in view', () => {
  test('pixels and dates are the same to and fro', () => {
    const span = { start_ms: 1_000_000, end_ms: 1_060_000 };
    for (const px of [0, 1, 499.5, 1200]) expect(toPx(span, 1200, toMs(span, 1200, px))).toBe(px);
  });

  test('zooming leaves the date under the pointer there, and has an end both ways', () => {
    let span = around(50 * HOUR, HOUR);
    for (const factor of [0.8, 0.8, 1.25, 3, 0.1, 20]) {
      const at_ms = toMs(span, 1000, 300);
      span = zoom(span, at_ms, factor);
      expect(Math.abs(toPx(span, 1000, at_ms) - 300)).toBeLessThan(1e-3);
    }
    expect(length(zoom(span, span.start_ms, 1e-9))).toBe(20_000);
    expect(length(zoom(span, span.start_ms, 1e9))).toBe(7 * 24 * HOUR);
  });

  test('the view follows what is played, and stays while that is inside', () => {
    const span = { start_ms: 0, end_ms: 1_000 };
    expect(follow(span, 999)).toBe(span);
    for (const ms of [-1, 1_001, 99_999]) {
      const moved = follow(span, ms);
      expect(length(moved)).toBe(1_000);
      expect(moved.start_ms <= ms && ms <= moved.end_ms).toBe(true);
    }
  });

  test('dragging at an edge moves it', () => {
    const span = { start_ms: 0, end_ms: 1_000 };
    expect([pan(span, 400, 31), pan(span, 400, 200), pan(span, 400, 369)]).toEqual([-10, 0, 10]);
  });

  test('footage is drawn to the pixel and cut at the edges', () => {
    const span = { start_ms: 1_000, end_ms: 2_000 };
    const drawn = bars([run(0, 500), run(500, 1_250), run(1_500, 9_000)], span, 100);
    expect(drawn.map(({ left, right }) => [left, right])).toEqual([
      [0, 25],
      [50, 100],
    ]);
  });

  test('the scale is round in its zone and not too dense', () => {
    const span = { start_ms: 10 * HOUR + 1, end_ms: 11 * HOUR };
    const found = ticks(span, 600, 5.5 * HOUR);
    expect(found.length).toBeGreaterThan(3);
    expect(found.length).toBeLessThanOrEqual(8);
    for (const ms of found) expect((ms + 5.5 * HOUR) % 600_000).toBe(0);
    expect(ticks(span, 0, 0).length).toBeLessThan(3);
  });

  test('an arrow key reaches any minute of any view', () => {
    for (const ms of [60_000, 600_000, HOUR, 6 * HOUR, 24 * HOUR]) {
      expect(keyStep(around(0, ms))).toBeLessThanOrEqual(5 * 60_000);
      expect(ms / keyStep(around(0, ms))).toBeLessThan(620);
    }
  });

  test('a day is that of the zone', () => {
    const span = dayOf(0, -3 * HOUR);
    expect([span.start_ms / HOUR, span.end_ms / HOUR]).toEqual([-21, 3]);
  });
});

describe('where playing goes', () => {
  const runs = [run(100, 200), run(50_000, 60_000)];
  test.each([
    [150, 150],
    [200, 50_000],
    [0, 100],
    [60_000, 59_000],
    [9e9, 59_000],
  ])('%d goes to %d', (ms, goal) => expect(seekTarget(ms, runs)).toBe(goal));

  test('a step back out of a run goes to the end of the one before', () => {
    expect([lastFootage(49_999, runs), lastFootage(150, runs), lastFootage(50, runs)]).toEqual([
      199, 150, 50,
    ]);
    expect(seekTarget(5, [])).toBe(5);
  });
});
