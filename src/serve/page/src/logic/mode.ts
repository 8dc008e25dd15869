// Decides what a tile shows: the live player, still pictures, or nothing, and says why.
//
// Owns: the order of the reasons. A tile always names its mode, and the reason when it is not live.

import type { StreamState } from './api';

/** Above this many tiles on the page, live is only what is pointed at. */
export const LIVE_TILES_MAX = 4;
/** Without a frame for this long, a live tile falls back to pictures, in seconds. */
export const FALLBACK_SECS = 3;
/** A picture on the screen older than this is shown as frozen, in seconds. */
export const FROZEN_SECS = 2.5;

/** What a tile knows when it decides. */
export interface TileInputs {
  /** On the screen, in a page that is in front. */
  readonly visible: boolean;
  readonly state: StreamState;
  /** Few tiles, or this one is pointed at, or selectedStream. */
  readonly wants_live: boolean;
  /** Why this browser cannot play it, or null when it can. */
  readonly unplayable: string | null;
  /** Seconds since the last live frame, or since the player began to wait for the first. */
  readonly waited_secs: number;
  /** Whether the present connection has shown a frame. */
  readonly playing: boolean;
  /** What the player said last when it failed. */
  readonly trouble: string | null;
}

export type Mode =
  | { readonly kind: 'paused' | 'no-signal' | 'connecting' | 'live' }
  /** `chosen`: a rule of the page, nothing is wrong. */
  | { readonly kind: 'pictures'; readonly reason: string; readonly chosen: boolean };

/** The mode to be in now. */
export function choose(sight: TileInputs): Mode {
  if (!sight.visible) return { kind: 'paused' };
  if (sight.unplayable !== null) return stills(sight, sight.unplayable);
  if (!sight.wants_live) return stills(sight, `more than ${LIVE_TILES_MAX} streams on view`, true);
  if (sight.waited_secs >= FALLBACK_SECS) {
    return stills(sight, sight.trouble ?? `no live frame for ${FALLBACK_SECS} s, trying again`);
  }
  if (sight.state === 'offline' && !sight.playing) return { kind: 'no-signal' };
  return { kind: sight.playing ? 'live' : 'connecting' };
}

/** Whether the media socket should be open. It stays so behind pictures, to come back by itself. */
export function runsPlayer(sight: TileInputs): boolean {
  return sight.visible && sight.wants_live && sight.unplayable === null;
}

/** Names the mode for people. */
export function modeText(mode: Mode): string {
  switch (mode.kind) {
    case 'live':
      return 'Live';
    case 'connecting':
      return 'Connecting';
    case 'paused':
      return 'Paused: not on the screen';
    case 'no-signal':
      return 'No signal';
    case 'pictures':
      return `Pictures: ${mode.reason}`;
  }
}

/** Pictures, if the stream can have any: the box takes them from its newest key frame. */
function stills(sight: TileInputs, reason: string, chosen = false): Mode {
  if (sight.state === 'live') return { kind: 'pictures', reason, chosen };
  return { kind: sight.state === 'offline' ? 'no-signal' : 'connecting' };
}
