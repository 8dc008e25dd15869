// The live player: fragmented MP4 over a WebSocket, held at the live edge.
//
// Owns: the socket, its retries, and the element's speed. Does not own: when to run and what to
// show instead (`tile.ts`), nor the MediaSource (`sink.ts`).

import { Backoff } from '../logic/backoff';
import { BoxClock } from '../logic/box-clock';
import { decide, JitterTarget, trim } from '../logic/live-edge';
import { type LiveHello, type LiveMessage, parse } from '../logic/live-protocol';
import { MediaSocket } from '../net/socket';
import { socketUrl } from '../net/url';
import { MediaSink, unplayable } from './sink';

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

/** How often the edge is checked. */
const TICK_MS = 100;
/** A socket that says nothing for this long is dead (a cable was pulled). */
const SILENCE_MS_MAX = 8_000;
/** Before its hello a socket may be silent for longer: the stream has no picture yet. */
const GREETING_MS_MAX = 30_000;
/** Frames this far before the end of what was played belong to a new timeline, in seconds. */
const REWIND_SECS_MAX = 2;

export class LivePlayer {
  #running = false;
  #socket: MediaSocket | null = null;
  readonly #sink: MediaSink;
  readonly #clock = new BoxClock();
  readonly #backoff = new Backoff();
  readonly #target = new JitterTarget();
  #tick_timer = 0;
  #retry_timer = 0;
  #heard_ms = 0;
  /** The present socket has said hello: what is in the buffer is of now. */
  #greeted = false;
  #shown_secs = -1;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly path: string,
    private readonly listener: PlayerListener,
  ) {
    this.#sink = new MediaSink(video, {
      obsolete: () => trim(video.currentTime, this.#sink.ranges),
      removed: () => undefined,
      updated: () => this.#steer(),
      frame: (media_secs, shown_ms) => this.#shown(media_secs, shown_ms),
      failed: () => this.#fail('this browser could not decode the video'),
      blocked: () => this.#giveUp('this browser does not let video start by itself'),
    });
    video.addEventListener('waiting', () => {
      // A seek waits too, but not for want of bytes.
      if (this.#shown_secs >= 0 && !video.seeking) this.#target.starved(performance.now());
    });
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#tick_timer = window.setInterval(() => this.#tick(), TICK_MS);
    this.#sink.watch();
    this.#connect();
  }

  /** Closes the socket; the last frame stays on the screen. */
  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    clearInterval(this.#tick_timer);
    clearTimeout(this.#retry_timer);
    this.#sink.unwatch();
    this.#hangUp();
    this.#backoff.reset();
    this.video.pause();
  }

  /** Stops and lets go of the picture and its memory. */
  dispose(): void {
    this.stop();
    this.#sink.dispose();
  }

  /** Tries again now instead of at the end of the waiting time. */
  retry(): void {
    if (!this.#running || this.#socket !== null) return;
    this.#backoff.reset();
    this.#connect();
  }

  #connect(): void {
    clearTimeout(this.#retry_timer);
    this.#heard_ms = performance.now();
    this.#socket = new MediaSocket(socketUrl(this.path), {
      text: (text) => this.#receive(text),
      bytes: (bytes) => {
        this.#heard_ms = performance.now();
        if (!this.#sink.push(bytes)) this.#fail('this browser is too slow for this stream');
      },
      closed: () => this.#fail('connection lost'),
    });
  }

  #hangUp(): void {
    this.#greeted = false;
    this.#sink.clear();
    this.#socket?.close();
    this.#socket = null;
  }

  #fail(reason: string): void {
    if (!this.#running || this.#socket === null) return;
    this.#hangUp();
    this.listener.trouble(`${reason}, reconnecting`);
    this.#retry_timer = window.setTimeout(() => this.#connect(), this.#backoff.next());
  }

  #giveUp(reason: string): void {
    this.stop();
    this.listener.unplayable(reason);
  }

  #receive(text: string): void {
    this.#heard_ms = performance.now();
    const message: LiveMessage | null = parse(text);
    switch (message?.kind) {
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
    const why = unplayable(hello.codecs);
    if (why !== null) {
      this.#giveUp(why);
      return;
    }
    this.#clock.reset();
    if (hello.clock !== null) this.#clock.heard(hello.clock, performance.now());
    this.listener.hello(hello);
    if (!this.#continues(hello)) {
      this.#sink.open();
      this.#shown_secs = -1;
    }
    this.#sink.type(hello.mime);
    this.#greeted = true;
    this.#sink.play();
  }

  /** Whether the new bytes fit the old timeline: then the last frame stays up until the next. */
  #continues(hello: LiveHello): boolean {
    if (!this.#sink.accepts(hello.mime) || hello.clock === null) return false;
    const end = this.#sink.ranges.at(-1)?.end ?? 0;
    return hello.clock.media_secs >= end - REWIND_SECS_MAX;
  }

  #steer(): void {
    const target_secs = this.#target.secs(performance.now());
    const { seek_to, rate } = decide(this.video.currentTime, this.#sink.ranges, target_secs);
    if (seek_to !== null && !this.video.seeking) this.video.currentTime = seek_to;
    if (this.video.playbackRate !== rate) this.video.playbackRate = rate;
  }

  #tick(): void {
    const silence_ms_max = this.#greeted ? SILENCE_MS_MAX : GREETING_MS_MAX;
    if (this.#socket !== null && performance.now() - this.#heard_ms > silence_ms_max) {
      this.#fail('nothing arrives from the box');
      return;
    }
    if (!this.#greeted) return;
    this.#steer();
    this.#sink.pump();
    this.#sink.play();
    this.#sink.poll();
  }

  #shown(media_secs: number, shown_ms: number): void {
    if (
      media_secs === this.#shown_secs ||
      this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA
    )
      return;
    this.#shown_secs = media_secs;
    if (this.#socket?.open) this.#backoff.reset();
    this.listener.frame(this.#clock.delay_secs(media_secs, shown_ms));
  }
}
