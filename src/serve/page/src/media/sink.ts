// The MediaSource half of a player: what arrived from the box goes into the video element.
//
// Owns: the MediaSource, its SourceBuffer, the queue in front of it, the frame callback. Does not
// own: the socket, nor where playback goes.

import { AppendQueue } from '../logic/append-queue';
import { codecNames } from '../logic/format';
import type { BufferedRange } from '../logic/live-edge';

export interface SinkListener {
  /** The buffer is idle: the range to remove before the next append, or null. */
  obsolete(): BufferedRange | null;
  /** This range is being removed. */
  removed(range: BufferedRange): void;
  /** An append or a removal has ended. */
  updated(): void;
  /** A frame is on the screen: its media time in seconds, and when, by `performance.now()`. */
  frame(media_secs: number, shown_ms: number): void;
  /** The browser refused the bytes, or could not decode them. The source is gone. */
  failed(): void;
  /** The browser does not let video start by itself. */
  blocked(): void;
}

type Source = typeof MediaSource;

export const NO_MEDIA_SOURCE = 'this browser cannot play streamed video';

/** The browser's MediaSource, or Safari's managed one on phones; null when it has neither. */
export function mediaSource(): Source | null {
  const scope = globalThis as { MediaSource?: Source; ManagedMediaSource?: Source };
  return scope.MediaSource ?? scope.ManagedMediaSource ?? null;
}

/** Why this browser cannot play media with these RFC 6381 codecs, in words; null when it can. */
export function unplayable(codecs: string): string | null {
  const source = mediaSource();
  if (source === null) return NO_MEDIA_SOURCE;
  const plays = (names: string) => source.isTypeSupported(`video/mp4; codecs="${names}"`);
  if (plays(codecs)) return null;
  const refused = codecs.split(',').filter((one) => !plays(one.trim()));
  return `this browser cannot play ${codecNames(refused.length > 0 ? refused.join(',') : codecs)}`;
}

export class MediaSink {
  readonly #queue = new AppendQueue();
  #source: MediaSource | null = null;
  #source_url = '';
  #buffer: SourceBuffer | null = null;
  #buffer_mime = '';
  #frame_handle = 0;
  /** The newest position reported where the browser does not report frames itself. */
  #polled_secs = -1;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly listener: SinkListener,
  ) {
    video.muted = true;
    video.playsInline = true;
    video.disableRemotePlayback = true;
    video.addEventListener('error', () => {
      if (this.#source !== null) this.#fail();
    });
  }

  /** Whether media can be appended. */
  get usable(): boolean {
    return this.#source?.readyState === 'open' && this.video.error === null;
  }

  /** What is buffered, in ascending order. */
  get ranges(): BufferedRange[] {
    // A SourceBuffer that was taken out of its source answers with an exception.
    if (this.#buffer === null || this.#source?.readyState !== 'open') return [];
    const { buffered } = this.#buffer;
    return Array.from({ length: buffered.length }, (_, i) => ({
      start: buffered.start(i),
      end: buffered.end(i),
    }));
  }

  buffers(secs: number): boolean {
    return this.ranges.some(({ start, end }) => start <= secs && secs < end);
  }

  /** Whether media of type `mime` can follow in the present source. */
  accepts(mime: string): boolean {
    const { usable } = this;
    return (
      usable &&
      (this.#buffer === null || this.#buffer_mime === mime || 'changeType' in this.#buffer)
    );
  }

  /** Begins a new, empty timeline. The element shows its last frame until the next is there. */
  open(): void {
    const Made = mediaSource();
    if (Made === null) return;
    this.drop();
    const source = new Made();
    source.addEventListener('sourceopen', () => {
      // The element keeps the source alive; the address has done its work.
      if (source === this.#source) URL.revokeObjectURL(this.#source_url);
      this.pump();
    });
    this.#source = source;
    this.#source_url = URL.createObjectURL(source);
    this.video.src = this.#source_url;
  }

  /** Lets go of the source; what waits in the queue stays there. */
  drop(): void {
    URL.revokeObjectURL(this.#source_url);
    this.#source = null;
    this.#buffer = null;
  }

  /** What is pushed from here on is of type `mime` and begins with an init segment. */
  type(mime: string): void {
    this.#queue.type(mime);
  }

  /** Takes media; false when the browser is too slow and the queue is full. */
  push(bytes: Uint8Array<ArrayBuffer>): boolean {
    if (!this.#queue.push(bytes)) return false;
    this.pump();
    return true;
  }

  /** Throws away what has not been appended yet. */
  clear(): void {
    this.#queue.clear();
  }

  /** Gives the SourceBuffer its next piece of work if it is idle. Called at each chance. */
  pump(): void {
    if (!this.usable || this.#buffer?.updating) return;
    const range = this.listener.obsolete();
    if (range !== null) {
      this.#remove(range);
      return;
    }
    const step = this.#queue.next();
    if (step === null) return;
    try {
      if (step.kind === 'type') this.#setType(step.mime);
      else this.#append(step.bytes);
    } catch (error) {
      console.warn('media was refused', error);
      this.#fail();
      return;
    }
    // A type change is done at once and fires no event.
    if (step.kind === 'type') this.pump();
  }

  /** Starts the element if it is paused: the browser may do that to save power. */
  play(): void {
    if (!this.video.paused) return;
    this.video.play().catch((error: unknown) => {
      // AbortError means that a newer load or a pause took over.
      if (error instanceof DOMException && error.name === 'NotAllowedError')
        this.listener.blocked();
    });
  }

  /** Reports frames until `unwatch`. */
  watch(): void {
    if (!reportsFrames(this.video)) return;
    this.#frame_handle = this.video.requestVideoFrameCallback((_, frame) => {
      // First the next request: the listener may call `unwatch`.
      this.watch();
      this.listener.frame(frame.mediaTime, frame.expectedDisplayTime);
    });
  }

  unwatch(): void {
    if (this.#frame_handle !== 0) this.video.cancelVideoFrameCallback(this.#frame_handle);
    this.#frame_handle = 0;
  }

  /** Looks at the position instead, in browsers that do not report frames. Called regularly. */
  poll(): void {
    const secs = this.video.currentTime;
    if (reportsFrames(this.video) || secs === this.#polled_secs) return;
    this.#polled_secs = secs;
    this.listener.frame(secs, performance.now());
  }

  /** Lets go of the picture and its memory. */
  dispose(): void {
    this.unwatch();
    this.clear();
    this.drop();
    this.video.removeAttribute('src');
    this.video.load();
  }

  #setType(mime: string): void {
    if (this.#buffer === null) {
      this.#buffer = this.#source?.addSourceBuffer(mime) ?? null;
      this.#buffer?.addEventListener('updateend', () => {
        this.listener.updated();
        this.pump();
      });
    } else {
      // An append that a lost connection cut off must not swallow the new init segment.
      this.#buffer.abort();
      if (this.#buffer_mime !== mime) this.#buffer.changeType(mime);
    }
    this.#buffer_mime = mime;
  }

  #append(bytes: Uint8Array<ArrayBuffer>): void {
    try {
      this.#buffer?.appendBuffer(bytes);
    } catch (error) {
      // The browser's memory for media is full: make room behind the position, then try again.
      const start = this.ranges[0]?.start ?? Infinity;
      const end = this.video.currentTime - 1;
      if (!(error instanceof DOMException) || error.name !== 'QuotaExceededError') throw error;
      if (start >= end) throw error;
      this.#queue.unshift(bytes);
      this.#remove({ start, end });
    }
  }

  #remove(range: BufferedRange): void {
    this.listener.removed(range);
    this.#buffer?.remove(range.start, range.end);
  }

  #fail(): void {
    this.drop();
    this.listener.failed();
  }
}

/** Firefox before 132 does not report single frames. */
function reportsFrames(video: HTMLVideoElement): boolean {
  return typeof video.requestVideoFrameCallback === 'function';
}
