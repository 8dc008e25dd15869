import { describe, expect, test } from 'vitest';
import { expiry, readMade, readTokens } from './token';

const LISTED = {
  id: '0a1b2c3d4e5f6071',
  label: 'Home Assistant',
  maker: 'ada',
  role: 'viewer',
  streams: ['gate'],
  past: false,
  scope: 'api',
  expires: '2027-01-01T00:00:00Z',
};

describe('tokens', () => {
  test('are read as the box lists them', () => {
    expect(readTokens({ tokens: [LISTED, { ...LISTED, maker: null, expires: null }] })).toEqual([
      {
        id: '0a1b2c3d4e5f6071',
        name: 'Home Assistant',
        maker: 'ada',
        role: 'viewer',
        streams: ['gate'],
        past: false,
        scope: 'api',
        expires_ms: Date.parse('2027-01-01T00:00:00Z'),
      },
      expect.objectContaining({ maker: null, expires_ms: null }),
    ]);
    expect(readTokens({ tokens: [{ ...LISTED, scope: 'none' }] })).toEqual([]);
    expect(readTokens('nonsense')).toBe(null);
  });

  test('have their text only when they are made', () => {
    expect(readMade({ ...LISTED, token: 'hft_1' })?.text).toBe('hft_1');
    expect(readMade(LISTED)).toBe(null);
  });

  test('end so many days from now, or never', () => {
    expect(expiry(30, Date.parse('2026-12-01T00:00:00Z'))).toBe('2026-12-31T00:00:00.000Z');
    expect(expiry(null, 0)).toBe(null);
  });
});
