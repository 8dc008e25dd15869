// The arithmetic of a timeline: which span of time is in view, and where things are in it.
//
// Owns: zoom, pan, the ticks of the scale, the footage at a date. Pixels and dates go in and out.

import type { TimeRange } from './api';

/** A span of time in view, in Unix milliseconds. */
export interface Span {
  readonly start_ms: number;
  readonly end_ms: number;
}

const SEC = 1_000;
const MIN = 60 * SEC;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;

/** The spans of the zoom buttons. */
export const LEVELS: readonly { readonly name: string; readonly ms: number }[] = [
  { name: '24 h', ms: 24 * HOUR },
  { name: '6 h', ms: 6 * HOUR },
  { name: '1 h', ms: HOUR },
  { name: '10 min', ms: 10 * MIN },
  { name: '1 min', ms: MIN },
];
const LENGTH_MS_MIN = 20 * SEC;
const LENGTH_MS_MAX = 7 * DAY;
/** Dragging this near to an edge moves the view. */
export const EDGE_PX = 32;

export function length(span: Span): number {
  return span.end_ms - span.start_ms;
}

export function around(ms: number, length_ms: number): Span {
  return { start_ms: ms - length_ms / 2, end_ms: ms + length_ms / 2 };
}

/** The position of a date, in pixels. */
export function toPx(span: Span, width: number, ms: number): number {
  return ((ms - span.start_ms) / length(span)) * width;
}

/** The date at a pixel. */
export function toMs(span: Span, width: number, px: number): number {
  return span.start_ms + (px / width) * length(span);
}

/** Zooms by `factor` (above 1: more time in view) and leaves the date under the pointer there. */
export function zoom(span: Span, at_ms: number, factor: number): Span {
  const before = length(span);
  const after = Math.min(LENGTH_MS_MAX, Math.max(LENGTH_MS_MIN, before * factor));
  const share = (at_ms - span.start_ms) / before;
  const start_ms = at_ms - share * after;
  return { start_ms, end_ms: start_ms + after };
}

/** Moves the view so that `ms` is inside, with room for what follows. */
export function follow(span: Span, ms: number): Span {
  const ahead = length(span) * 0.1;
  if (ms >= span.start_ms && ms <= span.end_ms) return span;
  const start_ms = ms < span.start_ms ? ms - ahead : ms - length(span) + ahead * 5;
  return { start_ms, end_ms: start_ms + length(span) };
}

/** How far the view moves while something is dragged at `px`, in milliseconds. */
export function pan(span: Span, width: number, px: number): number {
  const step = length(span) / 100;
  if (px < EDGE_PX) return -step;
  return px > width - EDGE_PX ? step : 0;
}

/** Time ranges as drawn: left and right in pixels, cut to the view. */
export function bars<T extends TimeRange>(
  ranges: readonly T[],
  span: Span,
  width: number,
): { left: number; right: number; of: T }[] {
  return ranges
    .filter((one) => one.end_ms > span.start_ms && one.start_ms < span.end_ms)
    .map((of) => ({
      left: Math.max(0, toPx(span, width, of.start_ms)),
      right: Math.min(width, toPx(span, width, of.end_ms)),
      of,
    }));
}

/** Where a seek to `ms` lands: there; in a gap, at the footage after it; else near the end. */
export function seekTarget(ms: number, runs: readonly TimeRange[]): number {
  if (runs.some((run) => run.start_ms <= ms && ms < run.end_ms)) return ms;
  const later = runs.filter((run) => run.start_ms > ms).map((run) => run.start_ms);
  if (later.length > 0) return Math.min(...later);
  const ends = runs.map((run) => run.end_ms);
  return ends.length > 0 ? Math.max(...ends) - SEC : ms;
}

/** The last moment of footage at or before `ms`; `ms` itself where there is none. */
export function lastFootage(ms: number, runs: readonly TimeRange[]): number {
  if (runs.some((run) => run.start_ms <= ms && ms < run.end_ms)) return ms;
  const ends = runs.map((run) => run.end_ms).filter((end) => end <= ms);
  return ends.length > 0 ? Math.max(...ends) - 1 : ms;
}

const STEPS_MS = [
  SEC,
  5 * SEC,
  10 * SEC,
  30 * SEC,
  MIN,
  5 * MIN,
  10 * MIN,
  30 * MIN,
  HOUR,
  2 * HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
];
/** Above this, labels have no seconds and need less room. */
const SECONDS_MS_MAX = 3 * HOUR;
const LABEL_PX = { seconds: 84, minutes: 60 };
const TICKS_MAX = 200;

/** What is added to UTC at a date, in milliseconds: it changes twice a year in many zones. */
export type Offset = (ms: number) => number;

/** Whether the labels of a span show seconds. */
export function showsSeconds(span: Span): boolean {
  return length(span) <= SECONDS_MS_MAX;
}

/** The dates that the scale labels: round in local time, also where that is changed. */
export function ticks(span: Span, width: number, offset: Offset): number[] {
  const label_px = showsSeconds(span) ? LABEL_PX.seconds : LABEL_PX.minutes;
  const least = (length(span) * label_px) / Math.max(width, 1);
  const step = STEPS_MS.find((one) => one >= least) ?? DAY;
  const found: number[] = [];
  let local = Math.ceil((span.start_ms + offset(span.start_ms)) / step) * step;
  for (let tries = 0; tries < TICKS_MAX; tries += 1, local += step) {
    const ms = utc(local, offset);
    if (ms > span.end_ms) break;
    // Local times that a change leaves out have no date.
    if (ms >= span.start_ms && ms + offset(ms) === local) found.push(ms);
  }
  return found;
}

/** Whether a local day begins at `ms`. */
export function isMidnight(ms: number, offset: Offset): boolean {
  return (ms + offset(ms)) % DAY === 0;
}

/** The date of a local time: the first of two, and the change itself where there is none. */
function utc(local: number, offset: Offset): number {
  const guess = local - offset(local);
  // Changes are further apart than a day, and smaller.
  const [before, after] = [offset(guess - DAY / 2), offset(guess + DAY / 2)];
  const first = local - Math.max(before, after);
  return first + offset(first) === local ? first : local - Math.min(before, after);
}

/** How far one press of an arrow key goes, by what is in view. */
export function keyStep(span: Span): number {
  return [SEC, 10 * SEC, MIN, 5 * MIN].find((one) => length(span) / one <= 620) ?? 5 * MIN;
}

/** The local day that holds `ms`: 23 or 25 hours where the clock is changed. */
export function dayOf(ms: number, offset: Offset): Span {
  const local = Math.floor((ms + offset(ms)) / DAY) * DAY;
  return { start_ms: utc(local, offset), end_ms: utc(local + DAY, offset) };
}
