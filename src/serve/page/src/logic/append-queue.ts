// The queue between the socket and the SourceBuffer: strictly in order, bounded.
//
// Owns: the waiting bytes and type changes. Does not own: the SourceBuffer; the player asks for the
// next step whenever it is idle.

/** One thing to do with the SourceBuffer. */
export type AppendStep =
  | { readonly kind: 'type'; readonly mime: string }
  | { readonly kind: 'append'; readonly bytes: Uint8Array<ArrayBuffer> };

/** About 30 s at 4 Mbit/s. Full means the browser cannot keep up: the player reconnects and starts
 * at the newest key frame. */
export const QUEUE_BYTES_MAX = 16 * 1024 * 1024;
/** Waiting pieces are joined up to this size, so that a backlog is worked off in few steps. */
const APPEND_BYTES_MAX = 1024 * 1024;

export class AppendQueue {
  #steps: AppendStep[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** What follows is of this type. */
  type(mime: string): void {
    this.#steps.push({ kind: 'type', mime });
  }

  /** Takes media bytes; false (and nothing taken) when the queue is full. */
  push(bytes: Uint8Array<ArrayBuffer>): boolean {
    if (this.#bytes + bytes.length > QUEUE_BYTES_MAX) return false;
    this.#steps.push({ kind: 'append', bytes });
    this.#bytes += bytes.length;
    return true;
  }

  /** Takes the next step out of the queue; null when it is empty. */
  next(): AppendStep | null {
    const first = this.#steps.shift();
    if (first === undefined || first.kind === 'type') return first ?? null;
    const pieces = [first.bytes];
    let bytes = first.bytes.length;
    for (;;) {
      const more = this.#steps[0];
      if (more?.kind !== 'append' || bytes + more.bytes.length > APPEND_BYTES_MAX) break;
      this.#steps.shift();
      pieces.push(more.bytes);
      bytes += more.bytes.length;
    }
    this.#bytes -= bytes;
    return { kind: 'append', bytes: pieces.length === 1 ? first.bytes : joined(pieces, bytes) };
  }

  /** Puts back what could not be appended (the browser's own buffer was full). */
  unshift(bytes: Uint8Array<ArrayBuffer>): void {
    this.#steps.unshift({ kind: 'append', bytes });
    this.#bytes += bytes.length;
  }

  clear(): void {
    this.#steps = [];
    this.#bytes = 0;
  }
}

function joined(pieces: readonly Uint8Array[], bytes: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
