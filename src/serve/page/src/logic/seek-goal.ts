// The moment that a seek is on its way to, until its picture is on the screen.
//
// Owns: the goal: first a date, then, once the picture index knows it, a place on the media
// timeline.

import type { PictureIndex } from './picture-index';
import type { Frames } from './recorded-edge';
import type { Part } from './recorded-protocol';

export class SeekGoal {
  #date_ms: number | null = null;
  /** The goal is the picture before the part of this date. */
  #before_ms: number | null = null;
  #secs: number | null = null;

  /** The date to land at; null when none is sought, or its place is known already. */
  get date_ms(): number | null {
    return this.#date_ms;
  }

  /** The place to land at on the media timeline; null when it is not known. */
  get secs(): number | null {
    return this.#secs;
  }

  /** Seeks a date; with `before_ms`, the picture before the part of that date. */
  aim(date_ms: number, before_ms: number | null = null): void {
    this.#date_ms = date_ms;
    this.#before_ms = before_ms;
    this.#secs = null;
  }

  /** The place of the goal, now that `part` is in the index; null while that is not known. */
  find(part: Part, index: PictureIndex, frames: Frames): number | null {
    if (this.#date_ms === null) return null;
    if (frames === 'reverse') return part.media_secs;
    if (this.#before_ms !== null) return index.findBefore(this.#before_ms);
    return index.find(this.#date_ms);
  }

  /** The goal is at this place. */
  place(secs: number): void {
    this.#date_ms = null;
    this.#before_ms = null;
    this.#secs = secs;
  }

  /** Playback is there. */
  reached(): void {
    this.#secs = null;
  }
}
