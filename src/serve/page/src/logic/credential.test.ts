import { describe, expect, test } from 'vitest';
import { credentialWords, readCredentials, readMadeCredential } from './credential';

const LISTED = {
  name: 'nvr',
  read: ['gate', 'cam-*'],
  publish: [],
  owner: 'anna',
  active: true,
  last_used: '2026-12-01T00:00:00Z',
  url: 'rtsp://nvr@box:8554/gate',
};

describe('accounts of players', () => {
  test('are read as the box lists them', () => {
    const [nvr] = readCredentials({ credentials: [LISTED] }) ?? [];
    expect(nvr).toEqual({
      name: 'nvr',
      read: ['gate', 'cam-*'],
      publish: [],
      owner: 'anna',
      active: true,
      last_used_ms: Date.parse('2026-12-01T00:00:00Z'),
      url: 'rtsp://nvr@box:8554/gate',
    });
    expect(readCredentials({ credentials: [{ ...LISTED, name: 7 }] })).toEqual([]);
    expect(readCredentials('nonsense')).toBe(null);
  });

  test('have their password only when the box has chosen it', () => {
    expect(readMadeCredential({ ...LISTED, password: 'x' })?.password).toBe('x');
    expect(readMadeCredential(LISTED)).toBe(null);
  });

  test('are told in a line', () => {
    const words = (more: object) => {
      const [one] = readCredentials({ credentials: [{ ...LISTED, ...more }] }) ?? [];
      return one === undefined ? '' : credentialWords(one);
    };
    expect(words({})).toBe('Watches gate, cam-* · belongs to anna');
    expect(words({ read: '*', owner: null })).toBe('Watches all streams');
    expect(words({ read: [], publish: ['roof'], owner: null })).toBe('Sends roof');
    expect(words({ read: [], owner: null })).toBe('No streams');
  });
});
