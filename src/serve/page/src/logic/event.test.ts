import { expect, test } from 'vitest';
import { isHello, readAreas } from './event';

const event = (kind: unknown) => JSON.stringify({ event: { kind } });

test('an event says what is old, and lost events say that everything is', () => {
  expect(readAreas(event('stream.offline'))).toEqual(['box']);
  expect(readAreas(event('recording.gap'))).toEqual(['box', 'recordings']);
  expect(readAreas(event('config.changed'))).toEqual(['box', 'config']);
  expect(readAreas(event('mark.door'))).toEqual(['recordings']);
  expect(readAreas(event('export.failed'))).toEqual(['exports']);
  expect(readAreas('{"lost":{"count":null}}')).toHaveLength(4);
});

test('what the page does not know is nothing', () => {
  for (const text of ['', '[]', '{', '7', '{"hello":{}}', event('new.kind'), event(7)])
    expect(readAreas(text)).toEqual([]);
  expect(isHello('{"hello":{"next":1}}')).toBe(true);
  expect(isHello(event('stream.live'))).toBe(false);
});
