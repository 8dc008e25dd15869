// Still pictures once a second, for when live is not possible or not wanted.
//
// Owns: the poll and the image's object URL. One request at a time: a slow link gets fewer
// pictures, never a queue of them.

import { readError } from '../logic/api';

export interface SnapshotListener {
  /** A picture is on the screen; its age in seconds when it was sent. */
  picture(age_secs: number): void;
  /** There is none now, and why. */
  missing(reason: string): void;
}

const PERIOD_MS = 1_000;
const TIMEOUT_MS = 4_000;

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
    const attempt = new AbortController();
    const timer = setTimeout(() => attempt.abort(), TIMEOUT_MS);
    const cancel = () => attempt.abort();
    stop.addEventListener('abort', cancel);
    try {
      const answer = await fetch(this.path, { cache: 'no-store', signal: attempt.signal });
      if (!answer.ok)
        throw new Error(
          readError(await answer.json().catch(() => null)) ?? `answer ${answer.status}`,
        );
      await this.#show(await answer.blob());
      if (!stop.aborted) this.listener.picture(Number(answer.headers.get('x-frame-age')) || 0);
    } catch (error) {
      if (!stop.aborted) this.listener.missing(reason(error));
    } finally {
      clearTimeout(timer);
      stop.removeEventListener('abort', cancel);
    }
  }

  async #show(blob: Blob): Promise<void> {
    const url = URL.createObjectURL(blob);
    const before = this.#shown_url;
    this.image.src = url;
    this.#shown_url = url;
    try {
      await this.image.decode();
    } finally {
      URL.revokeObjectURL(before);
    }
  }
}

function reason(error: unknown): string {
  if (error instanceof Error && error.name === 'Error') return error.message;
  return 'The box does not answer.';
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
