import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { change, type ChangeMethod, getJson, request } from './request';

let sent: { url: string; init: RequestInit }[];
let answer: () => Promise<Response>;

beforeEach(() => {
  sent = [];
  answer = () => Promise.resolve(Response.json({ ok: true }));
  vi.stubGlobal('document', { baseURI: 'http://box.test/cameras/' });
  vi.stubGlobal('fetch', (url: URL, init: RequestInit) => {
    sent.push({ url: url.href, init });
    return answer();
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const header = (name: string) => new Headers(sent[0]?.init.headers).get(name);

test('reading goes below the base of the page and marks nothing', async () => {
  expect(await getJson('/api/v1/streams')).toEqual({ ok: true });
  expect(sent[0]?.url).toBe('http://box.test/cameras/api/v1/streams');
  expect(sent[0]?.init.cache).toBe('no-store');
  expect(header('X-Holdfast-CSRF')).toBe(null);
});

test.each(['POST', 'PUT', 'PATCH', 'DELETE'] as ChangeMethod[])(
  '%s carries the header of the page',
  async (method) => {
    expect(await change(method, 'api/v1/exports', { streams: ['demo'] })).toBe(null);
    expect(sent[0]?.init.method).toBe(method);
    expect(header('X-Holdfast-CSRF')).toBe('1');
    expect(header('Content-Type')).toBe('application/json');
    expect(sent[0]?.init.body).toBe('{"streams":["demo"]}');
  },
);

test('a change without a body says nothing of its type', async () => {
  await change('DELETE', 'api/v1/exports/1');
  expect(header('X-Holdfast-CSRF')).toBe('1');
  expect(header('Content-Type')).toBe(null);
});

test('a refusal is in the words of the box, else names the number', async () => {
  const error = { error: { code: 'x', message: 'The start must be earlier than the end.' } };
  answer = () => Promise.resolve(Response.json(error, { status: 400 }));
  expect(await change('POST', 'x')).toBe('The start must be earlier than the end.');
  await expect(getJson('x')).rejects.toThrow('The start must be earlier than the end.');
  answer = () => Promise.resolve(new Response('<html>', { status: 502 }));
  expect(await change('POST', 'x')).toBe('The box answered with error 502.');
});

test('no answer is said to be none', async () => {
  answer = () => Promise.reject(new TypeError('fetch failed'));
  expect(await change('POST', 'x')).toBe('The box did not answer. Try again.');
});

test('a body that never ends is given up too', async () => {
  vi.useFakeTimers();
  const read = () =>
    new Promise((_, reject) =>
      sent[0]?.init.signal?.addEventListener('abort', () => reject(new Error('aborted'))),
    );
  const asked = request('x', read);
  const given_up = expect(asked).rejects.toThrow('aborted');
  await vi.advanceTimersByTimeAsync(4_001);
  await given_up;
});
