import { expect, test } from 'vitest';
import { faultOf, readRefusal } from './refusal';

test('reads the words of the box, the faults of fields, and when to try again', () => {
  const faults = [
    { path: 'password', wrong: 'is too short', right: 'at least 12 characters' },
    { path: 'name' },
    'odd',
  ];
  const error = { code: 'invalid', message: 'The password is too weak.', faults, retry_after: 1.2 };
  const read = readRefusal({ error }, 422, null);
  expect(read).toMatchObject({ status: 422, code: 'invalid', retry_secs: 2 });
  expect(read.message).toBe('The password is too weak.');
  expect(faultOf(read, 'password')).toBe('Is too short. At least 12 characters.');
  expect(faultOf(read, 'name')).toBe(null);
  expect(faultOf(null, 'name')).toBe(null);
  expect(faultOf(read, 'name', 'invalid')).toBe('The password is too weak.');
  expect(faultOf(read, 'name', 'name_wrong')).toBe(null);
});

test('anything else is a refusal too', () => {
  for (const odd of [null, 'x', [], { error: null }, { error: { faults: {}, retry_after: 'x' } }])
    expect(readRefusal(odd, 502, null)).toEqual({
      status: 502,
      code: null,
      message: 'The box answered with error 502.',
      faults: [],
      retry_secs: null,
      paste: null,
    });
});

test('the header says when to try again where the answer does not, within an hour', () => {
  expect(readRefusal(null, 429, '36').retry_secs).toBe(36);
  expect(readRefusal({ error: { retry_after: 5 } }, 429, '36').retry_secs).toBe(5);
  expect(readRefusal(null, 429, '1e9').retry_secs).toBe(3_600);
  expect(readRefusal(null, 429, 'Mon, 30 Nov 2026 10:00:00 GMT').retry_secs).toBe(null);
  expect(readRefusal(null, 429, '-5').retry_secs).toBe(1);
});
