// Decides what the player of recordings keeps in its buffer, and where it has to jump.
//
// Owns: the bounds. Positions and buffered ranges come in as numbers, in seconds of the media
// timeline.

import type { BufferedRange } from './live-edge';

/** Kept behind the position, so that steps back need no request. */
const KEEP_SECS = 20;
/** The buffer is cut when it reaches further back than this. */
const KEEP_MAX_SECS = 30;
/** Less than this before the end of a range there is no picture left to show. */
const TAIL_SECS = 0.05;
/** A jump lands this far behind the start of a range, which is rounded. */
const LANDING_SECS = 0.001;

/** Which frames the box sends at a speed: from 8 times on key frames only, in reverse those too. */
export type Frames = 'all' | 'keys' | 'reverse';
const KEYS_FROM = 8;

export function framesAt(speed: number): Frames {
  if (speed < 0) return 'reverse';
  return speed >= KEYS_FROM ? 'keys' : 'all';
}

/** The range to remove from the buffer now, or null. */
export function obsolete(position: number, ranges: readonly BufferedRange[]): BufferedRange | null {
  const oldest = ranges[0]?.start ?? Infinity;
  return oldest < position - KEEP_MAX_SECS ? { start: 0, end: position - KEEP_SECS } : null;
}

/** Where to jump because the timeline makes a step at the position; null to stay. */
export function jump(position: number, ranges: readonly BufferedRange[]): number | null {
  const inside = ranges.some(({ start, end }) => start <= position && position < end - TAIL_SECS);
  const next = ranges.find(({ start }) => start > position);
  return inside || next === undefined ? null : next.start + LANDING_SECS;
}
