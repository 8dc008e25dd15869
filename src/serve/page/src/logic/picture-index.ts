// An index of the recorded pictures that were received: when each is shown, and its date.
//
// Owns: the mapping between the media timeline and dates, and from one picture to the next. Times
// are the box's own, never computed from a frame rate.

import type { Part, SkippedGap } from './recorded-protocol';

/** A part, and the gap that was skipped before it. */
interface Piece extends Part {
  readonly gap: SkippedGap | null;
}

/** A double is exact to far less than that; pictures are further apart. */
const EPSILON_SECS = 0.0005;
/** Parts remembered: more than any buffer holds. */
const PIECES_MAX = 4_096;

export class PictureIndex {
  #pieces: Piece[] = [];

  clear(): void {
    this.#pieces = [];
  }

  get empty(): boolean {
    return this.#pieces.length === 0;
  }

  /** Takes a part that follows all others. */
  add(part: Part, gap: SkippedGap | null): void {
    if (part.pictures.length === 0) return;
    this.#pieces.push({ ...part, gap });
    if (this.#pieces.length > PIECES_MAX) this.#pieces.shift();
  }

  /** Forgets what ended before `secs`. */
  trim(secs: number): void {
    while ((this.#pieces[0]?.end_secs ?? Infinity) < secs) this.#pieces.shift();
  }

  /** The date shown at `secs`, in Unix milliseconds; null when it is unknown. */
  date(secs: number): number | null {
    const piece = this.#at(secs);
    if (piece === undefined) return null;
    return piece.wall_ms + (secs - piece.media_secs) * 1000 * piece.way;
  }

  /** The gap that ended at the part shown at `secs`. */
  gap(secs: number): SkippedGap | null {
    return this.#at(secs)?.gap ?? null;
  }

  /** The end of everything, in seconds. */
  get end_secs(): number {
    return this.#pieces.at(-1)?.end_secs ?? 0;
  }

  /** When the picture that is shown at `secs` began to be shown. */
  picture(secs: number): number | null {
    const pictures = this.#at(secs)?.pictures;
    return pictures?.findLast((one) => one <= secs + EPSILON_SECS) ?? pictures?.[0] ?? null;
  }

  /** The picture next to the one shown at `secs`, in the order they were recorded; null if unknown. */
  beside(secs: number, way: 1 | -1): number | null {
    const from = this.picture(secs);
    if (from === null) return null;
    const all = this.#pieces.flatMap((piece) => piece.pictures);
    if (way === 1) return all.find((one) => one > from + EPSILON_SECS) ?? null;
    return all.findLast((one) => one < from - EPSILON_SECS) ?? null;
  }

  /** The middle of the picture at `secs`: rounding cannot lead from there to another. */
  middle(secs: number): number {
    const piece = this.#at(secs);
    const next = piece?.pictures.find((one) => one > secs + EPSILON_SECS) ?? piece?.end_secs;
    return next === undefined ? secs : (secs + next) / 2;
  }

  /** Whether what came begins at or before the date `ms`. */
  reaches(ms: number): boolean {
    const first = this.#pieces[0];
    return first !== undefined && (ms - first.wall_ms) * first.way >= 0;
  }

  /**
   * The picture of the date `ms`: the last one not after it, in the direction of the parts. For a
   * date before everything that is the first one; after everything it is null.
   */
  find(ms: number): number | null {
    for (const [at, piece] of this.#pieces.entries()) {
      const begins = at === 0 || piece.gap !== null;
      const past_secs = ((ms - piece.wall_ms) / 1000) * piece.way;
      const secs = piece.media_secs + past_secs;
      if (past_secs < 0 && begins) return piece.media_secs;
      // Each part has a date of its own: consecutive parts may leave some time between them.
      if (past_secs < 0) return this.#pieces[at - 1]?.pictures.at(-1) ?? null;
      if (past_secs >= -EPSILON_SECS && secs < piece.end_secs) return this.picture(secs);
    }
    return null;
  }

  /**
   * The picture before the part that is dated `ms`, in parts that run forward; the first of that
   * part where none precedes it; null until the part has arrived.
   */
  findBefore(ms: number): number | null {
    const part = this.#pieces.find((piece) => piece.wall_ms > ms - EPSILON_SECS * 1000);
    return part === undefined ? null : (this.beside(part.media_secs, -1) ?? part.media_secs);
  }

  #at(secs: number): Piece | undefined {
    return (
      this.#pieces.findLast((piece) => piece.media_secs <= secs + EPSILON_SECS) ?? this.#pieces[0]
    );
  }
}
