// The player of the past: fragmented MP4 over a WebSocket into a MediaSource, picture by picture.
//
// Owns: the socket, the MediaSource, where to land after a seek. Does not own: dates and pictures
// (`logic/reel`), what is drawn. The old picture stays until the new one is there, because the
// box's media timeline only grows.

import { signal } from '@preact/signals';
import { mediaSource, NO_MEDIA_SOURCE } from './live-player';
import { Backoff } from '../logic/backoff';
import { AppendQueue } from '../logic/append-queue';
import {
  parseRecorded,
  type Part,
  type SkippedGap,
  type RecordedHello,
} from '../logic/recorded-protocol';
import { PictureIndex } from '../logic/picture-index';

/** How often it is looked where playing is, and the box is told. */
const TICK_MS = 100;
/** Kept behind the position, so that steps back are at once, in seconds. */
const KEEP_SECS = 20;
const KEEP_MAX_SECS = 30;
/** A hole in what is buffered up to this is no hole, in seconds. */
const HOLE_SECS_MIN = 0.05;
/** From here on and backwards the box sends key frames only. */
const KEYS_FROM = 8;
/** A gap that was passed over is told for this long, in seconds of the media timeline. */
const GAP_TOLD_SECS = 4;
/** Whoever steps back beyond what came is sent so much, not to ask again for each picture. */
const BACK_MS = 1_000;

export class RecordedPlayer {
  /** The date on the screen, in Unix milliseconds. */
  readonly date_ms = signal<number | null>(null);
  readonly playing = signal(false);
  readonly speed = signal(1);
  /** Waits for pictures. */
  readonly waiting = signal(true);
  /** Plays what happens now. */
  readonly live = signal(false);
  readonly gap = signal<SkippedGap | null>(null);
  /** What is wrong, in words. */
  readonly trouble = signal<string | null>(null);
  readonly audio = signal<{ playing: boolean; dropped: string | null }>({
    playing: false,
    dropped: null,
  });

  readonly #index = new PictureIndex();
  readonly #queue = new AppendQueue();
  readonly #backoff = new Backoff();
  #socket: WebSocket | null = null;
  #source: MediaSource | null = null;
  #source_url = '';
  #buffer: SourceBuffer | null = null;
  #buffer_mime = '';
  #buffer_audio = false;
  /** What was ordered last; parts of what was ordered before are of no use. */
  #serial = 0;
  #current = false;
  /** A new socket: its timeline is not the one that is buffered. */
  #fresh = true;
  #next_gap: SkippedGap | null = null;
  /** The date at which to land, and the place on the media timeline once that is known. */
  #goal_ms: number | null = null;
  #goal_secs: number | null = null;
  /** The goal is the picture before the part of this date. */
  #goal_behind_ms: number | null = null;
  #told_secs = -1;
  #told_ms = 0;
  #retry_timer = 0;
  #frame_handle = 0;
  readonly #tick_timer: number;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly name: string,
    start_ms: number,
    /** The last moment of footage at or before a date: what a step back out of a run goes to. */
    private readonly before: (ms: number) => number,
  ) {
    video.muted = true;
    video.playsInline = true;
    video.disableRemotePlayback = true;
    this.#goal_ms = start_ms;
    this.date_ms.value = start_ms;
    this.#tick_timer = window.setInterval(() => this.#tick(), TICK_MS);
    this.#watchFrames();
    this.#connect(start_ms);
  }

  dispose(): void {
    clearInterval(this.#tick_timer);
    clearTimeout(this.#retry_timer);
    if (this.#frame_handle !== 0) this.video.cancelVideoFrameCallback?.(this.#frame_handle);
    this.#hangUp();
    URL.revokeObjectURL(this.#source_url);
    this.video.removeAttribute('src');
    this.video.load();
  }

  play(): void {
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
    const held = this.speed.peek() > 0 && this.#index.reaches(ms) ? this.#index.find(ms) : null;
    if (held !== null && this.#isBuffered(held)) {
      this.#land(held);
      return;
    }
    this.#order(ms, { seek: new Date(ms).toISOString() });
  }

  /** Plays at `factor`; negative is backwards. */
  setSpeed(factor: number): void {
    const before = this.speed.peek();
    this.speed.value = factor;
    this.#pace();
    if (kind(before) === kind(factor)) {
      this.#send({ speed: factor });
    } else {
      const ms = this.#goal_ms ?? this.date_ms.peek() ?? Date.now();
      this.#order(ms, { seek: new Date(ms).toISOString(), speed: factor });
    }
  }

  /** Shows the picture before or behind the one on the screen. */
  step(way: 1 | -1): void {
    this.pause();
    if (kind(this.speed.peek()) !== 'all') this.setSpeed(1);
    if (this.#goal_ms !== null) return;
    const from = this.#goal_secs ?? this.video.currentTime;
    const picture = this.#index.beside(from, way);
    if (picture !== null) {
      this.#land(picture);
      return;
    }
    // Behind all that came the box is waited for. Before it, it is asked for the picture that was
    // shown just before the first one that is known.
    const first = this.#index.picture(-Infinity);
    const first_ms = first === null ? null : this.#index.date(first);
    if (way === 1 || first_ms === null) return;
    const ms = this.before(Math.ceil(first_ms) - 2);
    this.#order(ms, { seek: new Date(this.before(ms - BACK_MS)).toISOString() });
    this.#goal_behind_ms = first_ms;
  }

  #order(ms: number, message: Record<string, unknown>): void {
    this.#serial += 1;
    this.#goal_ms = ms;
    this.#goal_secs = null;
    this.#goal_behind_ms = null;
    this.#current = false;
    this.#queue.clear();
    this.waiting.value = true;
    if (!this.#send({ ...message, serial: this.#serial })) {
      this.#hangUp();
      this.#connect(ms);
    }
  }

  #send(message: Record<string, unknown>): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #connect(start_ms: number): void {
    clearTimeout(this.#retry_timer);
    const url = new URL(`/play/${encodeURIComponent(this.name)}/ws`, location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.searchParams.set('start', new Date(start_ms).toISOString());
    url.searchParams.set('speed', String(this.speed.peek()));
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = (event) => this.#receive(event.data as string | ArrayBuffer);
    socket.onclose = () => this.#lost();
    // A new socket counts anew, and so does its timeline.
    this.#serial = 0;
    this.#current = false;
    this.#fresh = true;
    this.#goal_ms = start_ms;
    this.#goal_behind_ms = null;
    this.#socket = socket;
  }

  #hangUp(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#queue.clear();
    if (socket === null) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #lost(): void {
    this.#hangUp();
    this.live.value = false;
    // The box said why: the viewer goes somewhere else.
    if (this.trouble.peek() !== null) {
      this.waiting.value = false;
      this.pause();
      return;
    }
    const here = this.#goal_ms ?? this.date_ms.peek() ?? Date.now();
    this.waiting.value = true;
    this.#retry_timer = window.setTimeout(() => this.#connect(here), this.#backoff.next());
  }

  #receive(data: string | ArrayBuffer): void {
    if (typeof data !== 'string') {
      if (this.#current && !this.#queue.push(new Uint8Array(data))) this.#lost();
      this.#pump();
      return;
    }
    const message = parseRecorded(data);
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
        this.trouble.value = 'this is the beginning of the recording';
        break;
      case 'error':
        this.trouble.value = message.message;
        break;
    }
  }

  #begin(hello: RecordedHello): void {
    this.#current = hello.serial === this.#serial;
    if (!this.#current) return;
    const Source = mediaSource();
    if (Source === null || !Source.isTypeSupported(hello.mime)) {
      this.trouble.value =
        Source === null ? NO_MEDIA_SOURCE : `this browser cannot play ${hello.codecs}`;
      this.#hangUp();
      this.waiting.value = false;
      return;
    }
    this.#backoff.reset();
    this.trouble.value = null;
    this.audio.value = { playing: hello.audio, dropped: hello.audio_dropped };
    if (this.#goal_ms !== null) this.#index.clear();
    const fits =
      !this.#fresh &&
      this.#source?.readyState === 'open' &&
      this.video.error === null &&
      (this.#buffer === null || this.#buffer_audio === hello.audio);
    if (!fits) this.#openSource(Source);
    this.#fresh = false;
    this.#buffer_audio = hello.audio;
    this.#queue.type(hello.mime);
  }

  #expect(part: Part): void {
    this.#current = part.serial === this.#serial;
    if (!this.#current) return;
    this.#index.add(part, this.#next_gap);
    if (part.pictures.length > 0) this.#next_gap = null;
    if (this.#goal_ms === null) return;
    const found = this.#find(part, this.#goal_ms);
    if (found !== null) this.#land(found);
    // The key frame before may be further away than the box sends ahead.
    else this.#send({ at: part.media_secs });
  }

  #find(part: Part, goal_ms: number): number | null {
    if (kind(this.speed.peek()) === 'back') return part.media_secs;
    if (this.#goal_behind_ms !== null) return this.#index.findBefore(this.#goal_behind_ms);
    return this.#index.find(goal_ms);
  }

  /** Shows the picture that is at `secs`, as soon as it is there. */
  #land(secs: number): void {
    this.#goal_ms = null;
    this.#goal_behind_ms = null;
    this.#goal_secs = this.#index.middle(secs);
    this.#tick();
  }

  #openSource(Source: typeof MediaSource): void {
    URL.revokeObjectURL(this.#source_url);
    const source = new Source();
    source.addEventListener('sourceopen', () => this.#pump());
    this.#source = source;
    this.#buffer = null;
    this.#source_url = URL.createObjectURL(source);
    this.video.src = this.#source_url;
    this.#pace();
  }

  #pace(): void {
    this.video.playbackRate = Math.abs(this.speed.peek());
    this.video.defaultPlaybackRate = this.video.playbackRate;
  }

  /** Gives the SourceBuffer its next piece of work if it is idle. Called at each chance. */
  #pump(): void {
    if (this.#source?.readyState !== 'open' || this.#buffer?.updating || this.video.error !== null)
      return;
    const behind = this.video.currentTime - KEEP_SECS;
    const oldest = this.#ranges()[0]?.[0] ?? Infinity;
    if (this.#goal_secs === null && oldest < this.video.currentTime - KEEP_MAX_SECS) {
      this.#index.trim(behind);
      this.#buffer?.remove(0, behind);
      return;
    }
    const step = this.#queue.next();
    if (step === null) return;
    try {
      if (step.kind === 'append') this.#buffer?.appendBuffer(step.bytes);
      else this.#setType(this.#source, step.mime);
    } catch (error) {
      this.trouble.value = `the video could not be read (${error instanceof Error ? error.name : 'unknown'})`;
      this.#lost();
      return;
    }
    if (step.kind === 'type') this.#pump();
  }

  #setType(source: MediaSource, mime: string): void {
    if (this.#buffer === null) {
      this.#buffer = source.addSourceBuffer(mime);
      this.#buffer.addEventListener('updateend', () => {
        this.#pump();
        this.#tick();
      });
    } else {
      this.#buffer.abort();
      if (this.#buffer_mime !== mime) this.#buffer.changeType(mime);
    }
    this.#buffer_mime = mime;
  }

  #ranges(): (readonly [number, number])[] {
    // A SourceBuffer that was taken out of its source answers with an exception.
    if (this.#buffer === null || this.#source?.readyState !== 'open') return [];
    const { buffered } = this.#buffer;
    return Array.from({ length: buffered.length }, (_, i) => [buffered.start(i), buffered.end(i)]);
  }

  #isBuffered(secs: number): boolean {
    return this.#ranges().some(([start, end]) => start <= secs && secs < end);
  }

  #tick(): void {
    if (this.#goal_secs !== null) {
      if (!this.#isBuffered(this.#goal_secs)) return;
      this.video.currentTime = this.#goal_secs;
      this.#goal_secs = null;
    } else if (this.#goal_ms !== null) {
      return;
    }
    this.#crossHole();
    this.waiting.value = this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA;
    if (this.playing.peek() && this.video.paused)
      void this.video.play().catch((error: unknown) => this.#refused(error));
    const at = this.video.currentTime;
    if (at === this.#told_secs) return;
    this.#told_secs = at;
    if (this.#current) this.#tell(at);
    if (!reportsFrames(this.video)) this.#shown(at);
    this.#pump();
  }

  /** Says what is shown, but not with every part that is appended: the box counts messages. */
  #tell(at: number): void {
    const now_ms = performance.now();
    if (now_ms - this.#told_ms < TICK_MS / 2) return;
    this.#told_ms = now_ms;
    this.#send({ at });
  }

  #refused(error: unknown): void {
    // AbortError means that a newer load or a pause took over.
    if (error instanceof DOMException && error.name === 'NotAllowedError') this.pause();
  }

  /** Where the timeline makes a step there is nothing to wait for. */
  #crossHole(): void {
    const at = this.video.currentTime;
    const ranges = this.#ranges();
    const here = ranges.find(([start, end]) => start <= at && at < end - HOLE_SECS_MIN);
    const next = ranges.find(([start]) => start > at);
    if (here === undefined && next !== undefined) this.video.currentTime = next[0] + 0.001;
  }

  #watchFrames(): void {
    if (!reportsFrames(this.video)) return;
    this.#frame_handle = this.video.requestVideoFrameCallback((_, frame) => {
      this.#shown(frame.mediaTime);
      this.#watchFrames();
    });
  }

  #shown(secs: number): void {
    // Of the old picture nothing is known any more while the new one is on its way.
    if (this.#goal_ms !== null || this.#index.empty) return;
    const picture = this.#index.picture(secs);
    if (picture === null) return;
    this.date_ms.value = this.#index.date(picture);
    const gap = this.#index.gap(picture);
    const near =
      gap !== null && Math.abs((this.date_ms.peek() ?? 0) - gap.end_ms) < GAP_TOLD_SECS * 1000;
    this.gap.value = near ? gap : null;
  }
}

/** Of speeds of one kind the same is sent. */
function kind(speed: number): 'all' | 'keys' | 'back' {
  if (speed < 0) return 'back';
  return speed >= KEYS_FROM ? 'keys' : 'all';
}

function reportsFrames(video: HTMLVideoElement): boolean {
  return typeof video.requestVideoFrameCallback === 'function';
}
