// The player of recordings: fragmented MP4 over a WebSocket, picture by picture.
//
// Owns: the socket and its retries, playing and pausing. Does not own: dates and pictures
// (`logic/picture-index`), the MediaSource (`sink.ts`), what is drawn. The old picture stays until
// the new one is there, because the box's media timeline only grows.

import { signal } from '@preact/signals';
import { Backoff } from '../logic/backoff';
import { sentence } from '../logic/format';
import { PictureIndex } from '../logic/picture-index';
import { framesAt, jump, obsolete } from '../logic/recorded-edge';
import {
  parseRecorded,
  type Part,
  type RecordedHello,
  type SkippedGap,
} from '../logic/recorded-protocol';
import { SeekGoal } from '../logic/seek-goal';
import { MediaSocket } from '../net/socket';
import { socketUrl } from '../net/url';
import { MediaSink, unplayable } from './sink';

/** How often the position is checked and reported to the box. */
const TICK_MS = 100;
/** A skipped gap is shown for this long, in seconds of the media timeline. */
const GAP_SHOWN_SECS = 4;
/** A step back beyond what arrived asks for this much, so that the next ones need no request. */
const BACK_MS = 1_000;
/** Where there are stills only, nothing is known of single frames: a step is this long. */
const STILL_STEP_MS = 1_000;

export class RecordedPlayer {
  /** The date on the screen, in Unix milliseconds. */
  readonly date_ms = signal<number | null>(null);
  readonly playing = signal(false);
  readonly speed = signal(1);
  /** Waits for pictures. */
  readonly waiting = signal(true);
  /** The connection was lost; what is buffered plays on meanwhile. */
  readonly reconnecting = signal(false);
  /** Plays what happens now. */
  readonly live = signal(false);
  /** The gap that was skipped just before the picture on the screen. */
  readonly gap = signal<SkippedGap | null>(null);
  /** Why this browser can play none of it, in words: only stills can be shown. */
  readonly stills_only = signal<string | null>(null);
  /** Why nothing plays, in words. */
  readonly trouble = signal<string | null>(null);
  readonly audio = signal<{ playing: boolean; dropped: string | null }>({
    playing: false,
    dropped: null,
  });

  readonly #index = new PictureIndex();
  readonly #goal = new SeekGoal();
  readonly #sink: MediaSink;
  readonly #backoff = new Backoff();
  #socket: MediaSocket | null = null;
  #buffer_audio: boolean | null = null;
  /** Number of the newest request; parts of an earlier one are of no use. */
  #serial = 0;
  #current = false;
  /** A new socket: its timeline is not the one that is buffered. */
  #fresh = true;
  #next_gap: SkippedGap | null = null;
  #position_secs = -1;
  #reported_ms = 0;
  #retry_timer = 0;
  readonly #tick_timer: number;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly name: string,
    start_ms: number,
    /** The last moment of footage at or before a date: the goal of a step back out of a run. */
    private readonly lastFootage: (ms: number) => number,
  ) {
    this.#sink = new MediaSink(video, {
      obsolete: () =>
        this.#goal.secs === null ? obsolete(video.currentTime, this.#sink.ranges) : null,
      // A seek must not land where nothing is buffered any more.
      removed: ({ end }) => this.#index.trim(end),
      updated: () => this.#tick(),
      frame: (media_secs) => this.#shown(media_secs),
      failed: () => this.#fail('This browser could not decode the recording.'),
      blocked: () => this.pause(),
    });
    this.date_ms.value = start_ms;
    this.#tick_timer = window.setInterval(() => this.#tick(), TICK_MS);
    this.#sink.watch();
    this.#connect(start_ms);
  }

  dispose(): void {
    clearInterval(this.#tick_timer);
    clearTimeout(this.#retry_timer);
    this.#hangUp();
    this.#sink.dispose();
  }

  play(): void {
    if (this.stills_only.peek() !== null) return;
    this.playing.value = true;
    this.#tick();
  }

  pause(): void {
    this.playing.value = false;
    this.video.pause();
  }

  /** Goes to a date. */
  seek(ms: number): void {
    this.trouble.value = null;
    this.gap.value = null;
    this.live.value = false;
    this.date_ms.value = ms;
    if (this.stills_only.peek() !== null) return;
    const known = this.speed.peek() > 0 && this.#index.reaches(ms) ? this.#index.find(ms) : null;
    if (known !== null && this.#sink.buffers(known)) this.#land(known);
    else this.#request(ms, { seek: new Date(ms).toISOString() });
  }

  /** Plays at `factor`; negative is backwards. */
  setSpeed(factor: number): void {
    if (this.stills_only.peek() !== null) return;
    const before = this.speed.peek();
    this.speed.value = factor;
    this.#pace();
    if (framesAt(before) === framesAt(factor)) {
      this.#socket?.send({ speed: factor });
    } else {
      const ms = this.#goal.date_ms ?? this.date_ms.peek() ?? Date.now();
      this.#request(ms, { seek: new Date(ms).toISOString(), speed: factor });
    }
  }

  /** Shows the picture before or after the one on the screen. */
  step(way: 1 | -1): void {
    this.pause();
    if (this.stills_only.peek() !== null) {
      this.seek((this.date_ms.peek() ?? Date.now()) + way * STILL_STEP_MS);
      return;
    }
    if (framesAt(this.speed.peek()) !== 'all') this.setSpeed(1);
    if (this.#goal.date_ms !== null) return;
    const from = this.#goal.secs ?? this.video.currentTime;
    const picture = this.#index.beside(from, way);
    if (picture !== null) {
      this.#land(picture);
      return;
    }
    // After all that arrived there is only waiting for more. Before it, the box is asked for the
    // picture that precedes the first one known.
    const first = this.#index.picture(-Infinity);
    const first_ms = first === null ? null : this.#index.date(first);
    if (way === 1 || first_ms === null) return;
    const ms = this.lastFootage(Math.ceil(first_ms) - 2);
    this.#request(ms, { seek: new Date(this.lastFootage(ms - BACK_MS)).toISOString() }, first_ms);
  }

  /** Asks the box for other media; `before_ms` as in `SeekGoal`. */
  #request(ms: number, message: Record<string, unknown>, before_ms: number | null = null): void {
    this.#serial += 1;
    this.#goal.aim(ms, before_ms);
    this.#current = false;
    this.#sink.clear();
    this.waiting.value = true;
    if (this.#socket?.send({ ...message, serial: this.#serial })) return;
    this.#hangUp();
    this.#connect(ms);
  }

  /** Connects to play from `start_ms`, which is the goal unless playback goes on meanwhile. */
  #connect(start_ms: number, plays_on = false): void {
    clearTimeout(this.#retry_timer);
    const url = socketUrl(`play/${encodeURIComponent(this.name)}/ws`);
    url.searchParams.set('start', new Date(start_ms).toISOString());
    url.searchParams.set('speed', String(this.speed.peek()));
    this.#socket = new MediaSocket(url, {
      text: (text) => this.#receive(text),
      bytes: (bytes) => {
        if (this.#current && !this.#sink.push(bytes)) this.#lost();
      },
      closed: () => this.#lost(),
    });
    // A new socket counts its requests anew, and so its timeline.
    this.#serial = 0;
    this.#current = false;
    this.#fresh = true;
    if (!plays_on) this.#goal.aim(start_ms);
  }

  #hangUp(): void {
    this.#sink.clear();
    this.#socket?.close();
    this.#socket = null;
  }

  /** Connects again, unless it was said why that is of no use: the viewer has to go elsewhere. */
  #lost(): void {
    this.#hangUp();
    this.live.value = false;
    if (this.trouble.peek() !== null) {
      this.waiting.value = false;
      this.reconnecting.value = false;
      this.pause();
      return;
    }
    // A place on the old timeline will not be buffered any more; its date can be sought again.
    const { secs } = this.#goal;
    if (secs !== null) this.#goal.aim(this.#index.date(secs) ?? this.date_ms.peek() ?? Date.now());
    if (this.#goal.date_ms !== null) this.waiting.value = true;
    this.reconnecting.value = true;
    this.#retry_timer = window.setTimeout(() => this.#reconnect(), this.#backoff.next());
  }

  /** Connects at the date that is sought or, if there is none, on the screen by now. */
  #reconnect(): void {
    const goal_ms = this.#goal.date_ms;
    const start_ms = goal_ms ?? this.date_ms.peek() ?? Date.now();
    this.#connect(start_ms, goal_ms === null && !this.#index.empty);
  }

  #fail(reason: string): void {
    this.trouble.value = reason;
    this.#lost();
  }

  #receive(text: string): void {
    const message = parseRecorded(text);
    switch (message?.kind) {
      case 'hello':
        this.#begin(message.hello);
        break;
      case 'part':
        this.#expect(message.part);
        break;
      case 'gap':
        this.#next_gap = message.gap;
        break;
      case 'live':
        this.live.value = this.#current;
        break;
      case 'speed':
        this.speed.value = message.speed;
        this.#pace();
        break;
      case 'over':
        this.trouble.value = 'This is the beginning of the recording.';
        break;
      case 'error':
        this.trouble.value = message.message;
        break;
    }
  }

  #begin(hello: RecordedHello): void {
    this.#current = hello.serial === this.#serial;
    if (!this.#current) return;
    const why = unplayable(hello.codecs);
    if (why !== null) {
      this.stills_only.value = sentence(why);
      this.#hangUp();
      this.pause();
      this.waiting.value = false;
      return;
    }
    this.#backoff.reset();
    this.trouble.value = null;
    this.reconnecting.value = false;
    this.audio.value = { playing: hello.audio, dropped: hello.audio_dropped };
    // What was buffered has played on until here; its timeline ends now.
    if (this.#fresh && this.#goal.date_ms === null) this.#goal.aim(this.date_ms.peek() ?? 0);
    if (this.#goal.date_ms !== null) this.#index.clear();
    // A SourceBuffer that began with sound takes nothing without, and the other way round.
    const same_tracks = this.#buffer_audio === null || this.#buffer_audio === hello.audio;
    if (this.#fresh || !same_tracks || !this.#sink.accepts(hello.mime)) {
      this.#sink.open();
      this.#pace();
    }
    this.#fresh = false;
    this.#buffer_audio = hello.audio;
    this.#sink.type(hello.mime);
  }

  #expect(part: Part): void {
    this.#current = part.serial === this.#serial;
    if (!this.#current) return;
    this.#index.add(part, this.#next_gap);
    if (part.pictures.length > 0) this.#next_gap = null;
    if (this.#goal.date_ms === null) return;
    const found = this.#goal.find(part, this.#index, framesAt(this.speed.peek()));
    if (found !== null) this.#land(found);
    // The key frame before may be further away than the box sends ahead.
    else this.#socket?.send({ at: part.media_secs });
  }

  /** Shows the picture that is at `secs`, as soon as it is there. */
  #land(secs: number): void {
    this.#goal.place(this.#index.middle(secs));
    this.#tick();
  }

  #pace(): void {
    this.video.playbackRate = Math.abs(this.speed.peek());
    this.video.defaultPlaybackRate = this.video.playbackRate;
  }

  #tick(): void {
    const { secs } = this.#goal;
    // The old picture stays while the goal is on its way.
    if (secs === null ? this.#goal.date_ms !== null : !this.#sink.buffers(secs)) return;
    if (secs !== null) this.video.currentTime = secs;
    this.#goal.reached();
    const ahead = jump(this.video.currentTime, this.#sink.ranges);
    if (ahead !== null) this.video.currentTime = ahead;
    this.waiting.value = this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA;
    if (this.playing.peek()) this.#sink.play();
    const at = this.video.currentTime;
    if (at === this.#position_secs) return;
    this.#position_secs = at;
    if (this.#current) this.#report(at);
    this.#sink.poll();
    this.#sink.pump();
  }

  /** Tells the box the position, but not with every append: it counts messages. */
  #report(at: number): void {
    const now_ms = performance.now();
    if (now_ms - this.#reported_ms < TICK_MS / 2) return;
    this.#reported_ms = now_ms;
    this.#socket?.send({ at });
  }

  #shown(secs: number): void {
    // Nothing is known of the old picture any more while the new one is on its way.
    if (this.#goal.date_ms !== null || this.#index.empty) return;
    const picture = this.#index.picture(secs);
    if (picture === null) return;
    this.date_ms.value = this.#index.date(picture);
    const gap = this.#index.gap(picture);
    const near =
      gap !== null && Math.abs((this.date_ms.peek() ?? 0) - gap.end_ms) < GAP_SHOWN_SECS * 1000;
    this.gap.value = near ? gap : null;
  }
}
