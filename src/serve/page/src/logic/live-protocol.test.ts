import { expect, test } from 'vitest';
import { parse } from './live-protocol';

const CLOCK = { media_secs: 123.456, wall_ms: 1795363523480, now_ms: 1795363523500 };
const HELLO = {
  codecs: 'avc1.42c01f',
  mime: 'video/mp4; codecs="avc1.42c01f"',
  width: 1280,
  height: 720,
  gop_ms: 1000,
  video: true,
  audio: false,
  audio_dropped: null,
  clock: CLOCK,
};

test('reads a hello', () => {
  const { video: _, ...hello } = HELLO;
  expect(parse(JSON.stringify({ hello: HELLO }))).toEqual({ kind: 'hello', hello });
});

test('a hello may lack all but its type', () => {
  const message = parse('{"hello":{"mime":"video/mp4"}}');
  expect(message).toMatchObject({
    kind: 'hello',
    hello: { mime: 'video/mp4', clock: null, audio: false },
  });
});

test('reads a clock', () => {
  expect(parse(JSON.stringify({ clock: CLOCK }))).toEqual({ kind: 'clock', clock: CLOCK });
});

test('reads a drop', () => {
  expect(parse('{"drop":7}')).toEqual({ kind: 'drop', units: 7 });
});

test('reads a state', () => {
  const told = parse('{"state":{"state":"offline","reason":"connect timed out"}}');
  expect(told).toEqual({ kind: 'state', state: 'offline', reason: 'connect timed out' });
});

test.each([
  ['nothing', ''],
  ['no JSON', '{"hello":'],
  ['a number', '7'],
  ['null', 'null'],
  ['a list', '[{"drop":1}]'],
  ['an unknown message', '{"weather":"fine"}'],
  ['a hello without a type', '{"hello":{"codecs":"avc1"}}'],
  ['a hello that is text', '{"hello":"mime"}'],
  ['a clock with a hole', '{"clock":{"media_secs":1,"wall_ms":2}}'],
  ['a clock of words', '{"clock":{"media_secs":"1","wall_ms":2,"now_ms":3}}'],
  ['something huge', `{"drop":1,"x":"${'x'.repeat(20_000)}"}`],
])('refuses %s', (_, text) => {
  expect(parse(text)).toBeNull();
});
