import { expect, test } from 'vitest';
import { readStreams } from './api';
import { remarks } from './remark';

function said(fields: object): readonly string[] {
  const streams = readStreams({ streams: [{ name: 'gate', state: 'live', ...fields }] });
  const [stream] = streams ?? [];
  if (stream === undefined) throw new Error('no stream');
  return remarks(stream);
}

test('a stream as it should be needs no words', () => {
  expect(said({ entry: 'closed', audio: { state: 'playing' } })).toEqual([]);
  expect(said({ entry: 'open' })).toEqual([]);
  expect(said({})).toEqual([]);
});

test('a stream without key pictures says what to set', () => {
  const [words] = said({ entry: 'none' });
  expect(words).toContain('no key pictures');
  expect(words).toContain('I-frame interval');
});

test('sound that does not come, and tracks that are left out, are said', () => {
  expect(said({ audio: { state: 'silent' } })).toEqual([
    'The camera announces sound, but none comes.',
  ]);
  expect(said({ audio: { state: 'stopped' } })).toEqual(['The camera has stopped sending sound.']);
  expect(said({ not_carried: ['audio G726-32'] })).toEqual(['Not carried: audio G726-32.']);
});

test('a picture that no decoder here draws is said with the reason', () => {
  const track = { kind: 'video', codec: 'H.264', undrawable: 'interlaced H.264 cannot be drawn' };
  expect(said({ tracks: [track] })).toEqual(['Interlaced H.264 cannot be drawn.']);
});
