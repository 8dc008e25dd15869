import { describe, expect, test } from 'vitest';
import { BOX_SETTINGS, keyOf, patchOf, settingsOf, STREAM_SETTINGS, valueOf } from './setting';

const GATE = {
  title: 'Gate',
  source: {
    kind: 'rtsp_pull',
    url: 'rtsp://10.0.0.7/main',
    username: 'viewer',
    password: { set: true },
    on_demand: false,
    tls: { fingerprint: 'ab' },
  },
  record: { keep_min: '1GiB' },
};
const SETTINGS = settingsOf(GATE, STREAM_SETTINGS);

function shown(section: object, key: string) {
  const settings = settingsOf(section as typeof GATE, STREAM_SETTINGS);
  const setting = settings.find((one) => keyOf(one) === key);
  return setting && valueOf(section as typeof GATE, setting);
}

describe('settings', () => {
  test('have a field for whatever is in the section, and for what people look for', () => {
    const keys = SETTINGS.map(keyOf);
    expect(keys).toContain('order');
    expect(keys.filter((key) => key.startsWith('source.'))).toEqual([
      'source.url',
      'source.username',
      'source.password',
      'source.transport',
      'source.on_demand',
      'source.tls.fingerprint',
    ]);
    const pattern = { source: { kind: 'pattern', fps: 10, command: { set: true } } };
    const odd = settingsOf(pattern, STREAM_SETTINGS).map(keyOf);
    expect(odd).toContain('source.fps');
    expect(odd.filter((key) => /url|password|command|kind/.test(key))).toEqual([]);
    expect(settingsOf({}, BOX_SETTINGS).map(keyOf)).toContain('ring.size');
  });

  test('show what is in the file, and what a missing key means', () => {
    expect(shown(GATE, 'source.password')).toBe('');
    expect(shown(GATE, 'enabled')).toBe(true);
    expect(shown(GATE, 'record')).toBe(true);
    expect(shown({ ...GATE, record: false }, 'record')).toBe(false);
    expect(shown(GATE, 'record.keep_min')).toBe('1GiB');
    expect(shown(GATE, 'source.transport')).toBe('auto');
    expect(valueOf({ http: { hosts: ['a', 'b'] } }, BOX_SETTINGS[4]!)).toBe('a, b');
  });

  test('change only what was typed', () => {
    const patch = (typed: Record<string, string | boolean>, section: object = GATE) =>
      patchOf(section as typeof GATE, settingsOf(section as typeof GATE, STREAM_SETTINGS), typed);
    expect(patch({})).toEqual({});
    expect(patch({ title: 'Gate', enabled: true, 'source.password': '' })).toEqual({});
    expect(patch({ title: ' ', order: '2', enabled: false, 'source.password': 'x' })).toEqual({
      title: null,
      order: 2,
      enabled: false,
      source: { password: 'x' },
    });
    expect(patch({ order: 'two' })).toEqual({ order: 'two' });
    expect(patch({ 'source.transport': 'udp' })).toEqual({ source: { transport: 'udp' } });
    expect(patch({ record: false, 'record.keep_max': '2GiB' })).toEqual({ record: false });
    const off = { ...GATE, record: false };
    expect(patch({ record: true }, off)).toEqual({ record: null });
    expect(patch({ record: true, 'record.keep_max': '2GiB' }, off)).toEqual({
      record: { keep_max: '2GiB' },
    });
    const hosts = patchOf({}, BOX_SETTINGS, { 'http.hosts': ' a.example,,b.example ' });
    expect(hosts).toEqual({ http: { hosts: ['a.example', 'b.example'] } });
  });
});
