// The live player: fragmented MP4 over a WebSocket into a MediaSource, held at the live edge.
//
// Owns: the socket, the MediaSource and the element's source and speed. Does not own: when to run
// and what to show instead; that is `tile.ts`.

import { Backoff } from '../logic/backoff';
import { BoxClock } from '../logic/box-clock';
import { JitterTarget, decide, trim, type BufferedRange } from '../logic/live-edge';
import { AppendQueue } from '../logic/append-queue';
import { type LiveHello, type LiveMessage, parse } from '../logic/live-protocol';

/** What the player tells its tile. */
export interface PlayerListener {
  /** A frame reached the screen; its age in seconds by the clock of the box, if known. */
  frame(delay_secs: number | null): void;
  hello(hello: LiveHello): void;
  /** The server knows more about the stream's state than the last answer of the API. */
  state(): void;
  /** This attempt failed; the next follows by itself. */
  trouble(reason: string): void;
  /** This browser cannot play it; the player has stopped. */
  unplayable(reason: string): void;
}

/** How often the edge is looked at. */
const TICK_MS = 100;
/** A socket that says nothing for this long is dead (a cable was pulled). */
const SILENCE_MS_MAX = 8_000;
/** Before its hello a socket may be silent for longer: the stream has no picture yet. */
const GREETING_MS_MAX = 30_000;
/** Frames this far before the end of what was played belong to a new timeline, in seconds. */
const REWIND_SECS_MAX = 2;

type AnySource = typeof MediaSource;

/** The browser's MediaSource, or Safari's managed one on phones; null when it has neither. */
export function mediaSource(): AnySource | null {
  const scope = globalThis as { MediaSource?: AnySource; ManagedMediaSource?: AnySource };
  return scope.MediaSource ?? scope.ManagedMediaSource ?? null;
}

export class LivePlayer {
  #running = false;
  #socket: WebSocket | null = null;
  #source: MediaSource | null = null;
  #source_url = '';
  #buffer: SourceBuffer | null = null;
  #buffer_mime = '';
  readonly #queue = new AppendQueue();
  readonly #clock = new BoxClock();
  readonly #backoff = new Backoff();
  readonly #target = new JitterTarget();
  #tick_timer = 0;
  #retry_timer = 0;
  #frame_handle = 0;
  #heard_ms = 0;
  /** The present socket has said hello: what is in the buffer is of now. */
  #greeted = false;
  #shown_secs = -1;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly path: string,
    private readonly listener: PlayerListener,
  ) {
    video.muted = true;
    video.playsInline = true;
    video.disableRemotePlayback = true;
    video.addEventListener('waiting', () => {
      // A seek waits too, but not for want of bytes.
      if (this.#shown_secs >= 0 && !video.seeking) this.#target.starved(performance.now());
    });
    video.addEventListener('error', () => {
      if (this.#source !== null) this.#fail('this browser could not decode the video');
    });
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#tick_timer = window.setInterval(() => this.#tick(), TICK_MS);
    this.#watchFrames();
    this.#connect();
  }

  /** Closes the socket; the last frame stays on the screen. */
  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    clearInterval(this.#tick_timer);
    clearTimeout(this.#retry_timer);
    if (this.#frame_handle !== 0) this.video.cancelVideoFrameCallback(this.#frame_handle);
    this.#hangUp();
    this.#backoff.reset();
    this.video.pause();
  }

  /** Stops and lets go of the picture and its memory. */
  dispose(): void {
    this.stop();
    this.#dropSource();
    this.video.removeAttribute('src');
    this.video.load();
  }

  /** Tries again now instead of at the end of the waiting time. */
  retry(): void {
    if (!this.#running || this.#socket !== null) return;
    this.#backoff.reset();
    this.#connect();
  }

  #connect(): void {
    clearTimeout(this.#retry_timer);
    const url = new URL(this.path, location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = (event) => this.#receive(event.data as string | ArrayBuffer);
    socket.onclose = () => this.#fail('the connection to the box was lost, trying again');
    this.#socket = socket;
    this.#heard_ms = performance.now();
  }

  #hangUp(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#greeted = false;
    this.#queue.clear();
    if (socket === null) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #fail(reason: string): void {
    if (!this.#running || this.#socket === null) return;
    this.#hangUp();
    if (this.video.error !== null) this.#dropSource();
    this.listener.trouble(reason);
    this.#retry_timer = window.setTimeout(() => this.#connect(), this.#backoff.next());
  }

  #receive(data: string | ArrayBuffer): void {
    this.#heard_ms = performance.now();
    if (typeof data === 'string') {
      const message = parse(data);
      if (message !== null) this.#obey(message);
      return;
    }
    if (!this.#queue.push(new Uint8Array(data))) {
      this.#fail('this browser cannot keep up, trying again');
      return;
    }
    this.#pump();
  }

  #obey(message: LiveMessage): void {
    switch (message.kind) {
      case 'hello':
        this.#begin(message.hello);
        break;
      case 'clock':
        this.#clock.heard(message.clock, performance.now());
        break;
      case 'state':
        this.listener.state();
        break;
      case 'drop':
        // The next unit is a key frame and the edge control crosses the gap.
        break;
    }
  }

  #begin(hello: LiveHello): void {
    const Source = mediaSource();
    if (Source === null || !Source.isTypeSupported(hello.mime)) {
      this.stop();
      this.listener.unplayable(
        Source === null ? NO_MEDIA_SOURCE : `this browser cannot play ${hello.codecs}`,
      );
      return;
    }
    this.#clock.reset();
    if (hello.clock !== null) this.#clock.heard(hello.clock, performance.now());
    this.listener.hello(hello);
    if (!this.#continues(hello)) {
      this.#dropSource();
      this.#openSource(Source);
    }
    this.#queue.type(hello.mime);
    this.#greeted = true;
    void this.video.play().catch((error: unknown) => this.#refused(error));
  }

  /** Whether the new bytes fit the old timeline: then the last frame stays up until the next. */
  #continues(hello: LiveHello): boolean {
    if (this.#source?.readyState !== 'open' || this.video.error !== null) return false;
    const end = this.#ranges().at(-1)?.end ?? 0;
    const can_change =
      this.#buffer === null || this.#buffer_mime === hello.mime || 'changeType' in this.#buffer;
    return can_change && hello.clock !== null && hello.clock.media_secs >= end - REWIND_SECS_MAX;
  }

  #refused(error: unknown): void {
    // AbortError means that a newer load took over: that one reports for itself.
    if (error instanceof DOMException && error.name === 'NotAllowedError') {
      this.stop();
      this.listener.unplayable('this browser does not let video start by itself');
    }
  }

  #openSource(Source: AnySource): void {
    const source = new Source();
    source.addEventListener('sourceopen', () => {
      URL.revokeObjectURL(this.#source_url);
      this.#pump();
    });
    this.#source = source;
    this.#source_url = URL.createObjectURL(source);
    this.video.src = this.#source_url;
  }

  #dropSource(): void {
    URL.revokeObjectURL(this.#source_url);
    this.#source = null;
    this.#buffer = null;
    this.#shown_secs = -1;
  }

  /** Gives the SourceBuffer its next piece of work if it is idle. Called at each chance. */
  #pump(): void {
    if (this.#source?.readyState !== 'open' || this.#buffer?.updating || this.video.error !== null)
      return;
    const stale = trim(this.video.currentTime, this.#ranges());
    if (stale !== null) {
      this.#buffer?.remove(stale.start, stale.end);
      return;
    }
    const step = this.#queue.next();
    if (step === null) return;
    try {
      if (step.kind === 'type') this.#setType(this.#source, step.mime);
      else this.#append(step.bytes);
    } catch (error) {
      this.#dropSource();
      this.#fail(
        `the video could not be read (${error instanceof Error ? error.name : 'unknown'}), trying again`,
      );
      return;
    }
    // A type change is done at once and fires no event.
    if (step.kind === 'type') this.#pump();
  }

  #setType(source: MediaSource, mime: string): void {
    if (this.#buffer === null) {
      this.#buffer = source.addSourceBuffer(mime);
      this.#buffer.addEventListener('updateend', () => {
        this.#steer();
        this.#pump();
      });
    } else {
      // An append that was cut off by a lost connection must not swallow the new init segment.
      this.#buffer.abort();
      if (this.#buffer_mime !== mime) this.#buffer.changeType(mime);
    }
    this.#buffer_mime = mime;
  }

  #append(bytes: Uint8Array<ArrayBuffer>): void {
    try {
      this.#buffer?.appendBuffer(bytes);
    } catch (error) {
      const oldest = this.#ranges()[0];
      const until = this.video.currentTime - 1;
      if (!(error instanceof DOMException) || error.name !== 'QuotaExceededError') throw error;
      if (oldest === undefined || oldest.start >= until) throw error;
      this.#queue.unshift(bytes);
      this.#buffer?.remove(oldest.start, until);
    }
  }

  #ranges(): BufferedRange[] {
    const buffered = this.#buffer?.buffered;
    if (buffered === undefined) return [];
    return Array.from({ length: buffered.length }, (_, i) => ({
      start: buffered.start(i),
      end: buffered.end(i),
    }));
  }

  #steer(): void {
    const { seek_to, rate } = decide(
      this.video.currentTime,
      this.#ranges(),
      this.#target.secs(performance.now()),
    );
    if (seek_to !== null && !this.video.seeking) this.video.currentTime = seek_to;
    if (this.video.playbackRate !== rate) this.video.playbackRate = rate;
  }

  #tick(): void {
    const silence_ms_max = this.#greeted ? SILENCE_MS_MAX : GREETING_MS_MAX;
    if (this.#socket !== null && performance.now() - this.#heard_ms > silence_ms_max) {
      this.#fail('the box sends nothing, trying again');
      return;
    }
    if (!this.#greeted) return;
    this.#steer();
    this.#pump();
    // Autoplay can pause by itself, for instance when the browser saves power.
    if (this.video.paused) void this.video.play().catch((error: unknown) => this.#refused(error));
    if (!reportsFrames(this.video)) this.#shown(this.video.currentTime, performance.now());
  }

  #watchFrames(): void {
    if (!reportsFrames(this.video)) return;
    this.#frame_handle = this.video.requestVideoFrameCallback((_, frame) => {
      this.#shown(frame.mediaTime, frame.expectedDisplayTime);
      if (this.#running) this.#watchFrames();
    });
  }

  #shown(media_secs: number, local_ms: number): void {
    if (
      media_secs === this.#shown_secs ||
      this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA
    )
      return;
    this.#shown_secs = media_secs;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#backoff.reset();
    this.listener.frame(this.#clock.delay_secs(media_secs, local_ms));
  }
}

export const NO_MEDIA_SOURCE = 'this browser has no MediaSource';

/** Firefox before 132 tells nothing of single frames; there the position is looked at instead. */
function reportsFrames(video: HTMLVideoElement): boolean {
  return typeof video.requestVideoFrameCallback === 'function';
}
