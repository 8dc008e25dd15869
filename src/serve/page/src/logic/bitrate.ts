// Turns growing byte counts into bit rates over a short window.
//
// Owns: the last counts of each stream.

interface Count {
  readonly at_ms: number;
  readonly bytes: number;
}

/** Long enough to hold several GOPs, short enough to follow a change. */
const WINDOW_MS = 8_000;
/** Less than this tells more of the key frame than of the rate. */
const SPAN_MS_MIN = 1_500;

export class Bitrates {
  readonly #counts = new Map<string, Count[]>();

  /** Takes a stream's byte count at `at_ms`; returns its rate in bits per second, 0 if unknown. */
  add(name: string, bytes: number, at_ms: number): number {
    const before = this.#counts.get(name) ?? [];
    // A count that went down was restarted.
    const kept =
      (before.at(-1)?.bytes ?? 0) > bytes
        ? []
        : before.filter((one) => at_ms - one.at_ms <= WINDOW_MS);
    kept.push({ at_ms, bytes });
    this.#counts.set(name, kept);
    const first = kept[0];
    if (first === undefined || at_ms - first.at_ms < SPAN_MS_MIN) return 0;
    return ((bytes - first.bytes) * 8 * 1000) / (at_ms - first.at_ms);
  }
}
