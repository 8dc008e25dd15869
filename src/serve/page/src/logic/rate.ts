// Turns growing counts into rates over a short window.
//
// Owns: the last counts of each name.

interface Count {
  readonly at_ms: number;
  readonly value: number;
}

/** Long enough to hold several GOPs, short enough to follow a change. */
const WINDOW_MS = 8_000;
/** A shorter span shows the size of a key frame, not the rate. */
const SPAN_MS_MIN = 1_500;

export class Rates {
  readonly #counts = new Map<string, Count[]>();

  /** Takes a name's count at `at_ms`; returns its rate per second, 0 if it is not known yet. */
  add(name: string, value: number, at_ms: number): number {
    const before = this.#counts.get(name) ?? [];
    // A count that went down was restarted.
    const restarted = (before.at(-1)?.value ?? 0) > value;
    const recent = before.filter((one) => at_ms - one.at_ms <= WINDOW_MS);
    // A counter that did not move until now starts afresh: the time before would thin its rate.
    const stood = recent.length > 1 && recent[0]?.value === recent.at(-1)?.value;
    const kept = restarted || (stood && recent.at(-1)?.value !== value) ? [] : recent;
    kept.push({ at_ms, value });
    this.#counts.set(name, kept);
    const first = kept[0];
    if (first === undefined || at_ms - first.at_ms < SPAN_MS_MIN) return 0;
    return ((value - first.value) * 1000) / (at_ms - first.at_ms);
  }
}
