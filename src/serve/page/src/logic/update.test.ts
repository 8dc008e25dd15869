import { expect, test } from 'vitest';
import { readResettable, readUpdate, waitWords } from './update';

const READY = {
  running: { version: '0.1.0', slot: 'A', on_trial: true },
  state: 'ready',
  version: '0.2.0',
  percent: null,
  message: null,
};

test('reads an update as the box writes it', () => {
  const update = readUpdate(READY);
  expect(update).toMatchObject({ state: 'ready', version: '0.2.0', running: '0.1.0' });
  expect(update?.on_trial).toBe(true);
  expect(readUpdate({ ...READY, state: 'sold' })).toBeNull();
  expect(readUpdate(null)).toBeNull();
});

test('a box that runs an image can be reset, by its name', () => {
  expect(readResettable({ can_reset: true, host: 'holdfast-1a2b' })).toBe('holdfast-1a2b');
  expect(readResettable({ can_reset: false, host: 'nas' })).toBeNull();
  expect(readResettable(null)).toBeNull();
});

test('says what is waited for, and nothing where something can be done', () => {
  const update = readUpdate({ ...READY, state: 'installing' });
  expect(update && waitWords(update)).toBe('Installing 0.2.0. Recording goes on.');
  const ready = readUpdate(READY);
  expect(ready && waitWords(ready)).toBeNull();
});
