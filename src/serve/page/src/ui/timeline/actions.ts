// What buttons and keys do to a recording.

import { type Span, zoom } from '../../logic/span';
import type { RecordedPlayer } from '../../media/recorded-player';

/** The range marked for a clip, in Unix milliseconds; either end may be missing. */
export interface Selection {
  readonly start_ms: number | null;
  readonly end_ms: number | null;
}

/** How far the buttons and keys for it move. */
export const JUMP_MS = 10_000;

export const NOTHING_SELECTED: Selection = { start_ms: null, end_ms: null };

export interface Actions {
  readonly toggle: () => void;
  readonly step: (way: 1 | -1) => void;
  /** Moves the position by so much. */
  readonly jump: (by_ms: number) => void;
  readonly setStart: () => void;
  readonly setEnd: () => void;
  readonly zoom: (factor: number) => void;
}

type Change<T> = (change: (now: T) => T) => void;

export function playerActions(
  player: RecordedPlayer,
  seek: (ms: number) => void,
  setSelection: Change<Selection>,
  setSpan: Change<Span>,
): Actions {
  const here = () => player.date_ms.peek() ?? 0;
  return {
    toggle: () => (player.playing.peek() ? player.pause() : player.play()),
    step: (way) => player.step(way),
    jump: (by_ms) => seek(here() + by_ms),
    // An end before the start, or a start after the end, is dropped.
    setStart: () =>
      setSelection(({ end_ms }) => ({
        start_ms: here(),
        end_ms: end_ms !== null && end_ms > here() ? end_ms : null,
      })),
    setEnd: () =>
      setSelection(({ start_ms }) => ({
        start_ms: start_ms !== null && start_ms < here() ? start_ms : null,
        end_ms: here(),
      })),
    zoom: (factor) => setSpan((now) => zoom(now, here(), factor)),
  };
}
