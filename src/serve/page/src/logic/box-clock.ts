// Computes how old the picture on the screen is, by the clock of the box alone.
//
// Owns: the offset between this browser's monotonic clock and the box's wall clock. The clock of
// the viewer's own machine is never used: it may be wrong by hours.

import type { ClockMark } from './live-protocol';

/** Clock messages come every 5 s: this is the last minute. */
const MARKS_MAX = 12;
/** A delay outside of this is a broken clock, not a delay, in seconds. */
const PLAUSIBLE_SECS = { min: -1, max: 600 };

interface Heard {
  readonly mark: ClockMark;
  /** Box time minus local monotonic time at arrival, in milliseconds. */
  readonly offset_ms: number;
}

export class BoxClock {
  #heard: Heard[] = [];

  /** Takes a mark that arrived at `local_ms` of the monotonic clock. */
  heard(mark: ClockMark, local_ms: number): void {
    this.#heard.push({ mark, offset_ms: mark.now_ms - local_ms });
    if (this.#heard.length > MARKS_MAX) this.#heard.shift();
  }

  reset(): void {
    this.#heard = [];
  }

  /**
   * The age in seconds of the frame with media time `media_secs`, shown at `local_ms`; null as
   * long as nothing is known. The time a message was under way makes the offset too small, so the
   * largest of the last minute is the best.
   */
  delay_secs(media_secs: number, local_ms: number): number | null {
    const latest = this.#heard.at(-1);
    if (latest === undefined) return null;
    const offset_ms = Math.max(...this.#heard.map((heard) => heard.offset_ms));
    const wall_ms = latest.mark.wall_ms + (media_secs - latest.mark.media_secs) * 1000;
    const delay_secs = (local_ms + offset_ms - wall_ms) / 1000;
    if (delay_secs < PLAUSIBLE_SECS.min || delay_secs > PLAUSIBLE_SECS.max) return null;
    return Math.max(0, delay_secs);
  }
}
