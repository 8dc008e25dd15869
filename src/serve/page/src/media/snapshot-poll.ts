// Stills once a second, for when live video is not possible or not wanted.
//
// Owns: the poll and the image's object URL. One request at a time: a slow link gets fewer
// pictures, never a queue of them.

import { AnswerError, reason, request } from '../net/request';

export interface SnapshotListener {
  /** A picture is on the screen; its age in seconds when it was sent. */
  picture(age_secs: number): void;
  /** There is none now, and why, in words. */
  missing(reason: string): void;
}

const PERIOD_MS = 1_000;

export class SnapshotPoll {
  #stop: AbortController | null = null;
  #shown_url = '';

  constructor(
    private readonly image: HTMLImageElement,
    private readonly path: string,
    private readonly listener: SnapshotListener,
  ) {}

  start(): void {
    if (this.#stop !== null) return;
    this.#stop = new AbortController();
    void this.#run(this.#stop.signal);
  }

  stop(): void {
    this.#stop?.abort();
    this.#stop = null;
  }

  dispose(): void {
    this.stop();
    URL.revokeObjectURL(this.#shown_url);
  }

  async #run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const began_ms = performance.now();
      await this.#fetchOne(stop);
      await pause(Math.max(100, PERIOD_MS - (performance.now() - began_ms)), stop);
    }
  }

  async #fetchOne(stop: AbortSignal): Promise<void> {
    try {
      const age_secs = await request(this.path, (answer) => this.#show(answer), {}, stop);
      if (!stop.aborted) this.listener.picture(age_secs);
    } catch (error) {
      if (stop.aborted) return;
      const words = error instanceof AnswerError ? error.message : 'The box does not answer.';
      this.listener.missing(words);
    }
  }

  /** Shows the picture of an answer; returns its age in seconds when it was sent. */
  async #show(answer: Response): Promise<number> {
    if (!answer.ok) throw new AnswerError(await reason(answer));
    const url = URL.createObjectURL(await answer.blob());
    const before = this.#shown_url;
    this.image.src = url;
    this.#shown_url = url;
    try {
      await this.image.decode();
    } finally {
      URL.revokeObjectURL(before);
    }
    return Number(answer.headers.get('x-frame-age')) || 0;
  }
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stop.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
