// Decides how the player stays at the live edge: seek, speed, what to trim.
//
// Owns: the cushion that grows when playback starves. Does not own: the video element; positions
// come in as numbers and decisions go out.

/** A buffered range, in seconds of the media timeline. */
export interface BufferedRange {
  readonly start: number;
  readonly end: number;
}

/** What the player should do now. */
export interface EdgeDecision {
  /** Where to jump to, in seconds; null to stay. */
  readonly seek_to: number | null;
  /** The playback rate to use. */
  readonly rate: number;
}

/** Behind by more than this, catching up by speed would take too long. */
export const SEEK_ABOVE_SECS = 1.0;
export const FAST_ABOVE_SECS = 0.25;
export const SLOW_BELOW_SECS = 0.06;
export const FAST_RATE = 1.1;
/** Nobody notices this speed, and without it the distance would stay what it happened to be when
 * playback began. */
export const NUDGE_ABOVE_SECS = 0.12;
export const NUDGE_RATE = 1.03;
export const SLOW_RATE = 0.95;
/** A seek lands this far before the end of the buffer. */
const LANDING_SECS = 0.12;
/** The buffer behind the position is cut to the lower when it passes the upper. */
export const KEEP_SECS = 10;
export const KEEP_MAX_SECS = 15;

const TARGET_STEP_SECS = 0.1;
const TARGET_MAX_SECS = 0.3;
const TARGET_CALM_MS = 20_000;

/** Extra distance to the edge, for links that starve the player (a phone on Wi-Fi). */
export class JitterTarget {
  #secs = 0;
  #changed_ms = 0;

  /** Playback ran dry at `now_ms`. */
  starved(now_ms: number): void {
    this.#secs = Math.min(TARGET_MAX_SECS, this.#secs + TARGET_STEP_SECS);
    this.#changed_ms = now_ms;
  }

  /** The cushion at `now_ms`, in seconds; it shrinks by a step after each calm period. */
  secs(now_ms: number): number {
    if (this.#secs > 0 && now_ms - this.#changed_ms >= TARGET_CALM_MS) {
      this.#secs = Math.max(0, this.#secs - TARGET_STEP_SECS);
      this.#changed_ms = now_ms;
    }
    return this.#secs;
  }
}

/** Where the position is against the newest buffered range. `ranges` is in ascending order. */
export function decide(
  position: number,
  ranges: readonly BufferedRange[],
  target_secs = 0,
): EdgeDecision {
  const newest = ranges.at(-1);
  if (newest === undefined) return { seek_to: null, rate: 1 };
  const lag = newest.end - position;
  const landing = Math.max(newest.start, newest.end - LANDING_SECS - target_secs);
  // Before the newest range there is a gap that playback cannot cross by itself; beyond its end
  // there is nothing (the timeline was restarted).
  if (position < newest.start || lag < -SEEK_ABOVE_SECS) return { seek_to: landing, rate: 1 };
  if (lag > SEEK_ABOVE_SECS + target_secs) return { seek_to: landing, rate: 1 };
  if (lag > FAST_ABOVE_SECS + target_secs) return { seek_to: null, rate: FAST_RATE };
  if (lag > NUDGE_ABOVE_SECS + target_secs) return { seek_to: null, rate: NUDGE_RATE };
  if (lag < SLOW_BELOW_SECS + target_secs) return { seek_to: null, rate: SLOW_RATE };
  return { seek_to: null, rate: 1 };
}

/** The range to remove from the buffer now, or null. */
export function trim(position: number, ranges: readonly BufferedRange[]): BufferedRange | null {
  const oldest = ranges[0];
  if (oldest === undefined || position - oldest.start <= KEEP_MAX_SECS) return null;
  return { start: oldest.start, end: position - KEEP_SECS };
}
