// Decides what a tile shows: the live player, stills, or nothing, and why.
//
// Owns: the order of the reasons. A tile always names its mode, and why it is not live.

import type { StreamState } from './api';

/** Above this many tiles on the page, only the one pointed at is live. */
export const LIVE_TILES_MAX = 4;
/** Without a frame for this long, a live tile falls back to stills, in seconds. */
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

/** Why there are stills: the page spares the machine, the browser cannot, or live broke off. */
export type StillsCause = 'chosen' | 'unplayable' | 'interrupted';

export type Mode =
  | { readonly kind: 'paused' | 'no-signal' | 'connecting' | 'live' }
  | { readonly kind: 'stills'; readonly cause: StillsCause; readonly reason: string };

/** The mode to be in now. */
export function choose(now: TileInputs): Mode {
  if (!now.visible) return { kind: 'paused' };
  if (now.unplayable !== null) return stills(now, 'unplayable', now.unplayable);
  if (!now.wants_live) return stills(now, 'chosen', '');
  if (now.waited_secs >= FALLBACK_SECS) {
    const reason = now.trouble ?? `no live video for ${FALLBACK_SECS} s, reconnecting`;
    return stills(now, 'interrupted', reason);
  }
  if (now.state === 'offline' && !now.playing) return { kind: 'no-signal' };
  return { kind: now.playing ? 'live' : 'connecting' };
}

/** Whether the media socket should be open. It stays so behind stills, to come back by itself. */
export function runsPlayer(now: TileInputs): boolean {
  return now.visible && now.wants_live && now.unplayable === null;
}

/** Names the mode for people. */
export function modeText(mode: Mode): string {
  switch (mode.kind) {
    case 'live':
      return 'Live';
    case 'connecting':
      return 'Connecting';
    case 'paused':
      return 'Paused (off screen)';
    case 'no-signal':
      return 'No signal';
    case 'stills':
      if (mode.cause === 'chosen') return 'Stills';
      return `${mode.cause === 'unplayable' ? 'Stills' : 'Interrupted'}: ${mode.reason}`;
  }
}

/** Stills, if the stream can have any: the box takes them from its newest key frame. */
function stills(now: TileInputs, cause: StillsCause, reason: string): Mode {
  if (now.state === 'live') return { kind: 'stills', cause, reason };
  return { kind: now.state === 'offline' ? 'no-signal' : 'connecting' };
}
