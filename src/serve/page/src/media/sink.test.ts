import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { BufferedRange } from '../logic/live-edge';
import { MediaSink, type SinkListener, unplayable } from './sink';

const MIME = 'video/mp4; codecs="avc1"';

/** A SourceBuffer that does one thing at a time and says when it is done. */
class FakeBuffer extends EventTarget {
  updating = false;
  readonly log: string[] = [];
  held: BufferedRange[] = [];
  refuses: Error | null = null;

  get buffered() {
    return {
      length: this.held.length,
      start: (i: number) => this.held[i]?.start,
      end: (i: number) => this.held[i]?.end,
    };
  }
  appendBuffer(bytes: Uint8Array): void {
    const error = this.refuses;
    this.refuses = null;
    if (error !== null) throw error;
    this.#work(`append ${bytes.join()}`);
  }
  remove(start: number, end: number): void {
    this.#work(`remove ${start}-${end}`);
  }
  abort(): void {
    this.log.push('abort');
  }
  changeType(mime: string): void {
    this.log.push(`type ${mime}`);
  }
  /** The work under way ends. */
  finish(): void {
    this.updating = false;
    this.dispatchEvent(new Event('updateend'));
  }
  #work(what: string): void {
    if (this.updating) throw new Error('busy');
    this.updating = true;
    this.log.push(what);
  }
}

class FakeSource extends EventTarget {
  static made: FakeSource[] = [];
  static isTypeSupported = (mime: string) => !/hvc1|ec-3/.test(mime);
  readyState = 'closed';
  readonly buffer = new FakeBuffer();
  constructor() {
    super();
    FakeSource.made.push(this);
  }
  addSourceBuffer(mime: string): FakeBuffer {
    this.buffer.log.push(`add ${mime}`);
    return this.buffer;
  }
  opens(): void {
    this.readyState = 'open';
    this.dispatchEvent(new Event('sourceopen'));
  }
}

class FakeVideo extends EventTarget {
  src = '';
  currentTime = 0;
  paused = true;
  error: object | null = null;
  refusal: Error | null = null;
  frames: ((now: number, frame: object) => void)[] = [];
  play(): Promise<void> {
    if (this.refusal !== null) return Promise.reject(this.refusal);
    this.paused = false;
    return Promise.resolve();
  }
  load(): void {}
  removeAttribute(): void {
    this.src = '';
  }
  requestVideoFrameCallback(callback: (now: number, frame: object) => void): number {
    return this.frames.push(callback);
  }
  cancelVideoFrameCallback(handle: number): void {
    delete this.frames[handle - 1];
  }
}

let video: FakeVideo;
let events: string[];
let obsolete: BufferedRange | null;
let sink: MediaSink;

beforeEach(() => {
  FakeSource.made = [];
  vi.stubGlobal('MediaSource', FakeSource);
  let count = 0;
  vi.spyOn(URL, 'createObjectURL').mockImplementation(() => `blob:${(count += 1)}`);
  vi.spyOn(URL, 'revokeObjectURL').mockImplementation(() => undefined);
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  video = new FakeVideo();
  events = [];
  obsolete = null;
  const listener: SinkListener = {
    obsolete: () => obsolete,
    removed: ({ start, end }) => events.push(`removed ${start}-${end}`),
    updated: () => events.push('updated'),
    frame: (secs) => events.push(`frame ${secs}`),
    failed: () => events.push('failed'),
    blocked: () => events.push('blocked'),
  };
  sink = new MediaSink(video as unknown as HTMLVideoElement, listener);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const bytes = (...values: number[]) => new Uint8Array(values);

/** Opens the sink, with its SourceBuffer there and idle. */
function opened(): FakeBuffer {
  sink.open();
  sink.type(MIME);
  const source = FakeSource.made.at(-1);
  source?.opens();
  if (source === undefined) throw new Error('no source');
  return source.buffer;
}

test('media that arrives before the source is open is appended once it is', () => {
  sink.open();
  sink.type(MIME);
  expect(sink.push(bytes(1))).toBe(true);
  const source = FakeSource.made[0];
  expect(source?.buffer.log).toEqual([]);
  source?.opens();
  expect(source?.buffer.log).toEqual([`add ${MIME}`, 'append 1']);
});

test('appends one piece at a time and joins what waited meanwhile', () => {
  const buffer = opened();
  for (const value of [1, 2, 3]) sink.push(bytes(value));
  expect(buffer.log.slice(1)).toEqual(['append 1']);
  buffer.finish();
  expect(buffer.log.slice(1)).toEqual(['append 1', 'append 2,3']);
  expect(events).toEqual(['updated']);
});

test('what is obsolete goes before the next append', () => {
  const buffer = opened();
  obsolete = { start: 0, end: 5 };
  sink.push(bytes(1));
  expect(buffer.log.slice(1)).toEqual(['remove 0-5']);
  obsolete = null;
  buffer.finish();
  expect(buffer.log.slice(1)).toEqual(['remove 0-5', 'append 1']);
  expect(events).toEqual(['removed 0-5', 'updated']);
});

test('another type ends an append that was cut off, and the same one changes nothing', () => {
  const buffer = opened();
  sink.type(MIME);
  sink.type('other');
  sink.push(bytes(1));
  expect(buffer.log).toEqual([`add ${MIME}`, 'abort', 'abort', 'type other', 'append 1']);
  expect(sink.accepts('third')).toBe(true);
});

test('a full buffer makes room behind the position and tries again', () => {
  const buffer = opened();
  buffer.held = [{ start: 0, end: 30 }];
  video.currentTime = 21;
  buffer.refuses = new DOMException('full', 'QuotaExceededError');
  sink.push(bytes(1));
  expect(buffer.log.slice(1)).toEqual(['remove 0-20']);
  buffer.finish();
  expect(buffer.log.slice(1)).toEqual(['remove 0-20', 'append 1']);
  expect(events).toEqual(['removed 0-20', 'updated']);
});

test('a full buffer with nothing to give up fails, as do bytes that make no sense', () => {
  opened().refuses = new DOMException('full', 'QuotaExceededError');
  sink.push(bytes(1));
  expect(events).toEqual(['failed']);
  expect(sink.usable).toBe(false);
  opened().refuses = new TypeError('odd');
  sink.push(bytes(1));
  expect(events).toEqual(['failed', 'failed']);
});

test('a decoding error of the element fails once, and none after the source is gone', () => {
  opened();
  video.error = {};
  video.dispatchEvent(new Event('error'));
  video.dispatchEvent(new Event('error'));
  expect(events).toEqual(['failed']);
});

test('a source that is no longer open has no ranges and takes nothing', () => {
  const buffer = opened();
  buffer.held = [{ start: 1, end: 2 }];
  expect([sink.buffers(1), sink.buffers(2)]).toEqual([true, false]);
  const source = FakeSource.made[0];
  if (source !== undefined) source.readyState = 'ended';
  expect(sink.ranges).toEqual([]);
  expect(sink.accepts(MIME)).toBe(false);
  sink.push(bytes(1));
  expect(buffer.log).toEqual([`add ${MIME}`]);
});

test('a new source begins empty, and the old one is let go', () => {
  opened().held = [{ start: 1, end: 2 }];
  expect(video.src).toBe('blob:1');
  sink.open();
  expect(video.src).toBe('blob:2');
  expect(sink.ranges).toEqual([]);
  expect(URL.revokeObjectURL).toHaveBeenCalledWith('blob:1');
});

test('frames are reported until they are no longer wanted', () => {
  sink.watch();
  video.frames.at(-1)?.(0, { mediaTime: 1.5, expectedDisplayTime: 9 });
  video.frames.at(-1)?.(0, { mediaTime: 1.6, expectedDisplayTime: 9 });
  sink.unwatch();
  expect(video.frames.at(-1)).toBe(undefined);
  expect(events).toEqual(['frame 1.5', 'frame 1.6']);
});

test('without a frame callback the position counts, once for each', () => {
  Object.defineProperty(video, 'requestVideoFrameCallback', { value: undefined });
  sink.watch();
  video.currentTime = 3;
  sink.poll();
  sink.poll();
  video.currentTime = 4;
  sink.poll();
  expect(events).toEqual(['frame 3', 'frame 4']);
});

test('a refused start is reported, an interrupted one is not', async () => {
  video.refusal = new DOMException('no', 'AbortError');
  sink.play();
  await Promise.resolve();
  video.refusal = new DOMException('no', 'NotAllowedError');
  sink.play();
  await new Promise((resolve) => setTimeout(resolve));
  expect(events).toEqual(['blocked']);
});

test('why a browser cannot play names the codecs it refuses, as people know them', () => {
  expect(unplayable('avc1.42c01f,mp4a.40.2')).toBe(null);
  expect(unplayable('hvc1.1.6.L60.90,mp4a.40.2')).toBe('this browser cannot play H.265');
  vi.stubGlobal('MediaSource', undefined);
  expect(unplayable('avc1.42c01f')).toBe('this browser cannot play streamed video');
});
