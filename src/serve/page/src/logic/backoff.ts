// Says how long to wait before the next attempt: full jitter, doubling, bounded.
//
// Owns: the count of attempts. Does not own: the timer, nor the dice (`random` comes in).

/** Bounds of the waiting time, in milliseconds. */
export interface BackoffLimits {
  readonly first_ms: number;
  readonly max_ms: number;
}

/** For media sockets and the API: a box that comes back is seen again within 5 s. */
export const LOCAL_BOX: BackoffLimits = { first_ms: 250, max_ms: 4_000 };

export class Backoff {
  #attempt = 0;

  constructor(
    private readonly limits: BackoffLimits = LOCAL_BOX,
    private readonly random: () => number = Math.random,
  ) {}

  /** The attempts since the last success. */
  get attempt(): number {
    return this.#attempt;
  }

  /** The time to wait now, in milliseconds: at least half of the first step, so as never to spin. */
  next(): number {
    const { first_ms, max_ms } = this.limits;
    const ceiling_ms = Math.min(max_ms, first_ms * 2 ** Math.min(this.#attempt, 16));
    this.#attempt += 1;
    return Math.max(first_ms / 2, Math.round(this.random() * ceiling_ms));
  }

  /** Call after a success. */
  reset(): void {
    this.#attempt = 0;
  }
}
