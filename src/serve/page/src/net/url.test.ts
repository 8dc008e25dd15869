import { afterEach, expect, test, vi } from 'vitest';
import { boxUrl, socketUrl } from './url';

afterEach(() => vi.unstubAllGlobals());

const BASES = ['http://box.test:8080/', 'https://home.test/cameras/', 'http://box.test/a/b/'];

test.each(BASES)('every address is below %s', (baseURI) => {
  vi.stubGlobal('document', { baseURI });
  for (const path of ['api/v1/streams', '/live/demo/index.m3u8', '/snap/north%20gate.jpg'])
    expect(boxUrl(path).href).toBe(baseURI + path.replace(/^\//, ''));
  expect(boxUrl('').href).toBe(baseURI);
  expect(boxUrl('/').href).toBe(baseURI);
});

test('the timeline finds the box beside itself, with and without a base element', () => {
  vi.stubGlobal('document', { baseURI: 'http://box.test/cameras/timeline?cam=demo' });
  expect(boxUrl('play/demo/ws').href).toBe('http://box.test/cameras/play/demo/ws');
});

test('no path leads to another host', () => {
  vi.stubGlobal('document', { baseURI: 'http://box.test/' });
  expect(boxUrl('//elsewhere.test/x').href).toBe('http://box.test/elsewhere.test/x');
});

test('a socket is encrypted where the page is', () => {
  vi.stubGlobal('document', { baseURI: 'https://home.test/cameras/' });
  expect(socketUrl('/live/demo/ws').href).toBe('wss://home.test/cameras/live/demo/ws');
  vi.stubGlobal('document', { baseURI: 'http://box.test/' });
  expect(socketUrl('live/demo/ws').href).toBe('ws://box.test/live/demo/ws');
});
