import { expect, test } from 'vitest';
import { AppendQueue, QUEUE_BYTES_MAX } from './append-queue';

const bytes = (...values: number[]) => new Uint8Array(values);

test('gives out in the order it took in, joining what waits', () => {
  const feed = new AppendQueue();
  feed.type('a');
  feed.push(bytes(1, 2));
  feed.push(bytes(3));
  feed.type('b');
  feed.push(bytes(4));
  expect(feed.next()).toEqual({ kind: 'type', mime: 'a' });
  expect(feed.next()).toEqual({ kind: 'append', bytes: bytes(1, 2, 3) });
  expect(feed.next()).toEqual({ kind: 'type', mime: 'b' });
  expect(feed.next()).toEqual({ kind: 'append', bytes: bytes(4) });
  expect(feed.next()).toBeNull();
  expect(feed.bytes).toBe(0);
});

test('joins no more than a mebibyte', () => {
  const feed = new AppendQueue();
  for (let i = 0; i < 5; i += 1) feed.push(new Uint8Array(400_000));
  const sizes = [feed.next(), feed.next(), feed.next()].map((step) =>
    step?.kind === 'append' ? step.bytes.length : 0,
  );
  expect(sizes).toEqual([800_000, 800_000, 400_000]);
});

test('refuses what is over its limit and keeps what it has', () => {
  const feed = new AppendQueue();
  expect(feed.push(new Uint8Array(QUEUE_BYTES_MAX))).toBe(true);
  expect(feed.push(bytes(1))).toBe(false);
  expect(feed.bytes).toBe(QUEUE_BYTES_MAX);
});

test('what is put back comes first', () => {
  const feed = new AppendQueue();
  feed.push(bytes(2));
  feed.unshift(bytes(1));
  expect(feed.next()).toEqual({ kind: 'append', bytes: bytes(1, 2) });
});

test('forgets all of it', () => {
  const feed = new AppendQueue();
  feed.push(bytes(1));
  feed.clear();
  expect(feed.next()).toBeNull();
  expect(feed.bytes).toBe(0);
});
