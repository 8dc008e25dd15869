import { describe, expect, test } from 'vitest';
import {
  around,
  bars,
  dayOf,
  follow,
  isMidnight,
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
    const found = ticks(span, 600, () => 5.5 * HOUR);
    expect(found.length).toBeGreaterThan(3);
    expect(found.length).toBeLessThanOrEqual(8);
    for (const ms of found) expect((ms + 5.5 * HOUR) % 600_000).toBe(0);
    expect(ticks(span, 0, () => 0).length).toBeLessThan(3);
  });

  test('an arrow key reaches any minute of any view', () => {
    for (const ms of [60_000, 600_000, HOUR, 6 * HOUR, 24 * HOUR]) {
      expect(keyStep(around(0, ms))).toBeLessThanOrEqual(5 * 60_000);
      expect(ms / keyStep(around(0, ms))).toBeLessThan(620);
    }
  });

  test('a day is that of the zone', () => {
    const span = dayOf(0, () => -3 * HOUR);
    expect([span.start_ms / HOUR, span.end_ms / HOUR]).toEqual([-21, 3]);
  });
});

describe('days on which the clock is changed', () => {
  // Berlin in 2026: summer time from 29 March to 25 October, 01:00 UTC.
  const [SPRING, AUTUMN] = [Date.UTC(2026, 2, 29, 1), Date.UTC(2026, 9, 25, 1)];
  const berlin = (ms: number) => (ms >= SPRING && ms < AUTUMN ? 2 : 1) * HOUR;
  const local = (ms: number) => ((ms + berlin(ms)) / HOUR) % 24;

  test.each([
    ['spring', SPRING, 23],
    ['autumn', AUTUMN, 25],
    ['the day before', AUTUMN - 24 * HOUR, 24],
    ['the day after', AUTUMN + 24 * HOUR, 24],
  ])('%s: from midnight to midnight', (_, noon_ms, hours) => {
    for (let hour = -23; hour < 24; hour += 0.5) {
      const ms = noon_ms + hour * HOUR;
      const day = dayOf(ms, berlin);
      expect([local(day.start_ms), local(day.end_ms)]).toEqual([0, 0]);
      expect(day.start_ms <= ms && ms < day.end_ms).toBe(true);
    }
    expect(length(dayOf(noon_ms + 10 * HOUR, berlin))).toBe(hours * HOUR);
  });

  test.each([
    [SPRING, [0, 3, 6, 9, 12, 15, 18, 21, 0]],
    [AUTUMN, [0, 3, 6, 9, 12, 15, 18, 21, 0]],
  ])('labels are round in local time', (change_ms, hours) => {
    const day = dayOf(change_ms + 10 * HOUR, berlin);
    expect(ticks(day, 600, berlin).map(local)).toEqual(hours);
  });

  test('an hour that is left out has no label, one that is repeated has one', () => {
    const around_ms = (ms: number) => ({ start_ms: ms - 2 * HOUR, end_ms: ms + 2 * HOUR });
    expect(
      ticks(around_ms(SPRING), 600, berlin)
        .filter((ms) => local(ms) % 1 === 0)
        .map(local),
    ).toEqual([0, 1, 3, 4, 5]);
    const autumn = ticks(around_ms(AUTUMN), 600, berlin).map(local);
    expect(autumn).toEqual([...autumn].sort((a, b) => a - b));
    expect(new Set(autumn).size).toBe(autumn.length);
  });

  test('midnight is where a label names the day', () => {
    const day = dayOf(AUTUMN, berlin);
    expect([day.start_ms, day.end_ms, AUTUMN].map((ms) => isMidnight(ms, berlin))).toEqual([
      true,
      true,
      false,
    ]);
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
