import { expect, test } from 'vitest';
import { parseRecorded } from './recorded-protocol';

test('reads what the box says of the past', () => {
  const part = {
    serial: 2,
    media_secs: 1,
    end_secs: 2,
    wall_ms: 1_000.5,
    way: -1,
    pictures: [1, 1.5],
  };
  expect(parseRecorded(JSON.stringify({ part }))).toEqual({ kind: 'part', part });
  expect(parseRecorded('{"live":true}')).toEqual({ kind: 'live' });
  expect(parseRecorded('{"speed":1}')).toEqual({ kind: 'speed', speed: 1 });
  expect(parseRecorded('{"error":{"code":"x","message":"gone"}}')).toEqual({
    kind: 'error',
    message: 'gone',
  });
  expect(
    parseRecorded(
      '{"gap":{"start":"1970-01-01T00:00:01Z","end":"1970-01-01T00:00:02Z","message":"m"}}',
    ),
  ).toEqual({ kind: 'gap', gap: { start_ms: 1_000, end_ms: 2_000, message: 'm' } });
  const hello = { serial: 1, mime: 'video/mp4', codecs: 'avc1', audio: true, audio_dropped: null };
  expect(parseRecorded(JSON.stringify({ hello }))).toEqual({ kind: 'hello', hello });
});

test.each([
  '',
  '{',
  '[]',
  '1',
  'null',
  '{}',
  '{"hello":{}}',
  '{"part":{"serial":1}}',
  '{"part":{"serial":1,"media_secs":1,"end_secs":2,"wall_ms":3,"pictures":7}}',
  '{"gap":{"start":"then","end":"now"}}',
  '{"speed":"fast"}',
  `{"live":${' '.repeat(300_000)}true}`,
])('%s is nothing', (text) => expect(parseRecorded(text)).toBe(null));
