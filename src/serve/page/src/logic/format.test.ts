import { expect, test } from 'vitest';
import { readStreams } from './api';
import * as format from './format';

test.each([
  [0.04, '0.0 s'],
  [0.24, '0.2 s'],
  [9.94, '9.9 s'],
  [9.96, '10 s'],
  [14.9, '15 s'],
])('a delay of %d s reads %s', (secs, words) => expect(format.delay(secs)).toBe(words));

test.each([
  [-3, '0 s'],
  [99, '99 s'],
  [100, '1 min'],
  [5_999, '99 min'],
  [19_200, '5 h 20 min'],
  [13.2 * 86_400, '13.2 days'],
])('an age of %d s reads %s', (secs, words) => expect(format.age(secs)).toBe(words));

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [3_200_000_000, '3.2 GB'],
  [124_000_000, '124 MB'],
])('%d bytes read %s', (bytes, words) => expect(format.size(bytes)).toBe(words));

test.each([
  ['avc1.42c01f', 'H.264'],
  ['hvc1.1.6.L60.90,mp4a.40.2', 'H.265 and AAC'],
  ['avc3.42c01f, opus', 'H.264 and Opus'],
  ['vp09.00', 'vp09.00'],
])('%s is %s', (list, words) => expect(format.codecNames(list)).toBe(words));

test.each([
  [0, '0 frames'],
  [1, '1 frame'],
  [12, '12 frames'],
])('%d things read %s', (number, words) => expect(format.count(number, 'frame')).toBe(words));

test.each([
  [7.84, '7.8 s'],
  [59.94, '59.9 s'],
  [59.96, '60 s'],
  [150, '2 min'],
])('a range of %d s reads %s', (secs, words) => expect(format.duration(secs)).toBe(words));

test.each([
  ['this browser is slow', 'This browser is slow.'],
  ['Gone. ', 'Gone.'],
  ['', ''],
])('%o as a sentence', (clause, words) => expect(format.sentence(clause)).toBe(words));

test('bit rates', () => {
  expect(format.bitrate(2_080_000)).toBe('2.1 Mbit/s');
  expect(format.bitrate(64_000)).toBe('64 kbit/s');
});

test("a track reads as on a camera's box", () => {
  const tracks = [
    { kind: 'video', codec: 'H265', width: 3840, height: 2160, frame_rate: 29.97002997 },
    { kind: 'audio', codec: 'AAC', sample_rate: 44100, channels: 2 },
    { kind: 'audio', codec: 'PCMA', sample_rate: 8000, channels: 1 },
    { kind: 'video', codec: 'H264', frame_rate: null },
  ];
  const stream = readStreams({ streams: [{ name: 'gate', tracks }] })?.[0];
  expect(stream?.tracks.map(format.track)).toEqual([
    'H.265 3840×2160 29.97 fps',
    'AAC 44.1 kHz stereo',
    'G.711 A-law 8 kHz mono',
    'H.264',
  ]);
});

test('a moment has its date when that is another day', () => {
  const noon = new Date(2026, 10, 22, 12, 0, 0).getTime();
  expect(format.moment(noon - 1_000, noon)).toBe('11:59:59');
  expect(format.moment(noon - 86_400_000, noon)).toBe('21 Nov 12:00:00');
});
