// One tile: runs the player or the stills, as `mode.ts` decides, and publishes what is seen.
//
// Owns: the signals a tile's components read. Its clock is the browser's monotonic one.

import { signal } from '@preact/signals';
import type { StreamInfo } from '../logic/api';
import {
  choose,
  FROZEN_SECS,
  type Mode,
  modeText,
  runsPlayer,
  type TileInputs,
} from '../logic/mode';
import { LivePlayer } from './live-player';
import { NO_MEDIA_SOURCE, mediaSource, unplayable } from './sink';
import { SnapshotPoll } from './snapshot-poll';

const TICK_MS = 250;
/** A glance at another tab does not cost the connection. */
const HIDE_GRACE_MS = 1_000;
/** The API polls each second: a stream whose newest frame at the box is older has stopped. */
const SOURCE_AGE_MS_MAX = 3_000;

/** What a tile is made of. */
export interface TileParts {
  readonly video: HTMLVideoElement;
  readonly image: HTMLImageElement;
  readonly stream: StreamInfo;
  readonly wants_live: boolean;
  /** Asks for fresh facts of the API, because the box has just said that something changed. */
  readonly refreshNow: () => void;
}

export class Tile {
  readonly mode = signal<Mode>({ kind: 'paused' });
  /** The age of the live picture in seconds, smoothed; null when it is not known. */
  readonly delay_secs = signal<number | null>(null);
  /** The age of the picture on the screen when it is too old to pass for live, else null. */
  readonly frozen_secs = signal<number | null>(null);
  /** Why there is no still picture, when one is wanted. */
  readonly missing = signal<string | null>(null);
  /** Which of the two elements holds the newest picture. */
  readonly surface = signal<'video' | 'image'>('video');
  readonly audio = signal<{ playing: boolean; dropped: string | null }>({
    playing: false,
    dropped: null,
  });

  readonly #player: LivePlayer;
  readonly #stills: SnapshotPoll;
  readonly #timer: number;
  #on_screen = false;
  #seen_ms = -Infinity;
  #stream: StreamInfo;
  #wants_live: boolean;
  #unplayable: string | null = null;
  #playing = false;
  #trouble: string | null = null;
  #waiting_since_ms = 0;
  /** When the picture on the screen was taken, by our clock; -Infinity for never. */
  #taken_ms = -Infinity;
  /** When the picture on the screen last changed. */
  #changed_ms = -Infinity;

  constructor({ video, image, stream, wants_live, refreshNow }: TileParts) {
    this.#stream = stream;
    this.#wants_live = wants_live;
    this.#player = new LivePlayer(video, stream.urls.mse, {
      frame: (delay_secs) => this.#frame(delay_secs),
      hello: (hello) => {
        this.audio.value = { playing: hello.audio, dropped: hello.audio_dropped };
      },
      state: refreshNow,
      trouble: (reason) => {
        this.#trouble = reason;
      },
      unplayable: (reason) => {
        this.#unplayable = reason;
        this.#refresh();
      },
    });
    this.#stills = new SnapshotPoll(image, stream.urls.snapshot, {
      picture: (age_secs) => {
        this.missing.value = null;
        this.surface.value = 'image';
        this.#changed_ms = performance.now();
        this.#taken_ms = this.#changed_ms - age_secs * 1000;
      },
      missing: (reason) => {
        this.missing.value = reason;
      },
    });
    this.#checkCodecs();
    this.#timer = window.setInterval(() => this.#refresh(), TICK_MS);
  }

  /** Takes the newest facts of the API about this stream. */
  update(stream: StreamInfo): void {
    const came_back = this.#stream.state !== 'live' && stream.state === 'live';
    const changed = codecsOf(this.#stream) !== codecsOf(stream);
    this.#stream = stream;
    if (changed) this.#checkCodecs();
    if (came_back) {
      this.#player.retry();
      this.#waiting_since_ms = performance.now();
    }
    this.#refresh();
  }

  setOnScreen(on_screen: boolean): void {
    this.#on_screen = on_screen;
    this.#refresh();
  }

  setWantsLive(wants: boolean): void {
    if (wants === this.#wants_live) return;
    this.#wants_live = wants;
    this.#refresh();
  }

  dispose(): void {
    clearInterval(this.#timer);
    this.#player.dispose();
    this.#stills.dispose();
  }

  #frame(delay_secs: number | null): void {
    const now_ms = performance.now();
    this.#playing = true;
    this.surface.value = 'video';
    this.#trouble = null;
    this.#waiting_since_ms = now_ms;
    this.#changed_ms = now_ms;
    this.#taken_ms = now_ms - (delay_secs ?? 0) * 1000;
    const before = this.delay_secs.peek();
    this.delay_secs.value =
      before === null || delay_secs === null ? delay_secs : before * 0.9 + delay_secs * 0.1;
    if (this.mode.peek().kind !== 'live') this.#refresh();
  }

  /** Decides by the API's codec names whether this browser can play the stream at all. */
  #checkCodecs(): void {
    const video = this.#stream.tracks.find((track) => track.kind === 'video');
    if (mediaSource() === null) this.#unplayable = NO_MEDIA_SOURCE;
    else this.#unplayable = video?.codecs ? unplayable(video.codecs) : null;
  }

  #inputs(now_ms: number): TileInputs {
    const visible = this.#on_screen && document.visibilityState === 'visible';
    if (visible) this.#seen_ms = now_ms;
    return {
      visible: now_ms - this.#seen_ms < HIDE_GRACE_MS,
      state: this.#stream.state,
      wants_live: this.#wants_live,
      unplayable: this.#unplayable,
      waited_secs: (now_ms - this.#waiting_since_ms) / 1000,
      playing: this.#playing,
      trouble: this.#trouble,
    };
  }

  #refresh(): void {
    const now_ms = performance.now();
    const inputs = this.#inputs(now_ms);
    if (runsPlayer(inputs)) this.#player.start();
    else {
      this.#player.stop();
      this.#playing = false;
      this.#waiting_since_ms = now_ms;
    }
    const mode = choose(
      runsPlayer(inputs) ? inputs : { ...inputs, waited_secs: 0, playing: false },
    );
    if (mode.kind === 'stills') this.#stills.start();
    else this.#stills.stop();
    if (mode.kind !== 'live') {
      this.#playing = false;
      this.delay_secs.value = null;
    }
    this.#publish(mode, now_ms);
  }

  #publish(mode: Mode, now_ms: number): void {
    if (modeText(this.mode.peek()) !== modeText(mode)) this.mode.value = mode;
    const age_secs = (now_ms - this.#taken_ms) / 1000;
    this.frozen_secs.value =
      this.#isFrozen(now_ms) && Number.isFinite(age_secs) ? Math.floor(age_secs) : null;
  }

  /** A still is as old as its GOP, so its age alone says nothing: frozen is what no longer changes. */
  #isFrozen(now_ms: number): boolean {
    if (now_ms - this.#changed_ms > FROZEN_SECS * 1000) return true;
    return (
      this.mode.peek().kind === 'stills' &&
      (this.#stream.last_frame_age_ms ?? 0) > SOURCE_AGE_MS_MAX
    );
  }
}

function codecsOf(stream: StreamInfo): string {
  return stream.tracks.map((track) => track.codecs ?? '').join(',');
}
