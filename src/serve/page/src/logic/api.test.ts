import { expect, test } from 'vitest';
import { readHealth, readRecordings, readStreams } from './api';

const STREAM = {
  name: 'demo',
  state: 'live',
  reason: null,
  since: '2026-11-22T17:00:00.000Z',
  source: 'pattern',
  tracks: [
    {
      id: 0,
      kind: 'video',
      codec: 'H264',
      codecs: 'avc1.42c01f',
      width: 1280,
      height: 720,
      frame_rate: 25,
    },
  ],
  last_frame_age_ms: 40,
  recording: {
    state: 'recording',
    reason: null,
    durable_until: '2026-11-22T17:00:01.000Z',
    bytes: 123,
    lost: 0,
  },
  encoding: { instead: 'The encoder is busy.', one_in: 2 },
  readers: { rtsp: 1, hls: 0, mse: 2 },
  totals: { units: 1, bytes: 1, lost: 0, restarts: 0 },
  urls: {
    rtsp: 'rtsp://box:8554/demo',
    hls: '/live/demo/index.m3u8',
    snapshot: '/snap/demo.jpg',
    mse: '/live/demo/ws',
  },
};

test('reads a stream as the box writes it', () => {
  const { tracks, ...rest } = STREAM;
  expect(readStreams({ streams: [STREAM] })).toMatchObject([
    { ...rest, tracks: [{ codec: 'H264', frame_rate: 25 }] },
  ]);
  expect(tracks).toHaveLength(1);
});

test('a stream may lack all but its name', () => {
  expect(readStreams({ streams: [{ name: 'north gate' }] })).toMatchObject([
    {
      state: 'offline',
      recording: null,
      encoding: null,
      tracks: [],
      urls: { mse: 'live/north%20gate/ws', snapshot: 'snap/north%20gate.jpg' },
    },
  ]);
});

test('an entry without a name is left out', () => {
  expect(readStreams({ streams: [null, 7, {}, { name: '' }] })).toEqual([]);
});

test.each([null, 7, [], {}, { streams: {} }])('%o is not a list of streams', (value) => {
  expect(readStreams(value)).toBeNull();
});

test('reads the health', () => {
  const checks = [{ name: 'storage', status: 'ok', message: 'Recording 1 of 1 streams.' }];
  expect(
    readHealth({ status: 'degraded', time: '2026-11-22T17:00:00Z', version: '0.1.0', checks }),
  ).toEqual({
    status: 'degraded',
    time_ms: Date.UTC(2026, 10, 22, 17),
    version: '0.1.0',
    checks,
  });
});

test('an unknown health is not taken for a good one', () => {
  expect(readHealth({ status: 'fine' })).toBeNull();
  expect(
    readHealth({ status: 'ok', checks: [{ name: 'x', status: 'fine' }] })?.checks[0]?.status,
  ).toBe('degraded');
});

test('reads recordings and leaves out what has no times', () => {
  const run = {
    start: '2026-11-22T17:00:00Z',
    end: '2026-11-22T17:00:10Z',
    bytes: 9,
    fragments: 10,
  };
  const start_ms = Date.UTC(2026, 10, 22, 17);
  expect(
    readRecordings({ stream: 'demo', runs: [run, {}], gaps: [{ start: 'x', end: 'y' }] }),
  ).toEqual({
    runs: [{ start_ms, end_ms: start_ms + 10_000, bytes: 9 }],
    gaps: [],
    marks: [],
    pins: [],
  });
});

test('streams have titles, and come in their order', () => {
  const list = [
    { ...STREAM, name: 'a' },
    { ...STREAM, name: 'b', title: 'Back door', order: 2 },
    { ...STREAM, name: 'c', order: 1 },
    { ...STREAM, name: 'd' },
  ];
  const read = readStreams({ streams: list }) ?? [];
  expect(read.map(({ title }) => title)).toEqual(['c', 'Back door', 'a', 'd']);
});

test('protected ranges are read by the names of both versions', () => {
  const [start, end] = ['2026-11-30T07:24:17.000Z', '2026-11-30T07:24:37.000Z'];
  const pins = [
    { id: 'a', from: start, to: end, reason: 'a look' },
    { id: 'b', start, end },
    { id: 'c', start },
  ];
  const read = readRecordings({ runs: [], pins })?.pins ?? [];
  expect(read.map(({ id, reason }) => [id, reason])).toEqual([
    ['a', 'a look'],
    ['b', ''],
  ]);
  expect(read[0]?.end_ms).toBe(Date.parse(end));
});
