import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CODE, FakeBox, PASSWORD } from '../../e2e/fake-box';

type Session = typeof import('./session');
let box: FakeBox;
let away: boolean;
let page: Session;

beforeEach(() => {
  away = false;
  vi.stubGlobal('document', { baseURI: 'http://box.test/cameras/' });
  vi.stubGlobal('fetch', (url: URL, init: RequestInit) => {
    if (away) return Promise.reject(new TypeError('fetch failed'));
    const answered = box.answer({
      method: init.method ?? 'GET',
      path: url.pathname.replace('/cameras/', ''),
      headers: new Headers(init.headers),
      body: typeof init.body === 'string' ? JSON.parse(init.body) : null,
    });
    const body = answered.status === 204 ? null : JSON.stringify(answered.json);
    const { status, headers = {} } = answered;
    return Promise.resolve(new Response(body, { status, headers }));
  });
});
afterEach(() => void vi.unstubAllGlobals());

/** The module anew, as in a page that was just opened. */
async function opened(on: FakeBox): Promise<void> {
  box = on;
  vi.resetModules();
  page = await import('./session');
  await page.ask();
}

test('an unclaimed box is claimed with its code, which signs in', async () => {
  await opened(new FakeBox());
  expect(page.door.value).toBe('unclaimed');
  expect(page.inside.value).toBe(false);
  expect(await page.claim('AAAA2222', 'ada', PASSWORD)).toMatchObject({
    status: 403,
    message: 'This is not the claim code.',
  });
  const weak = await page.claim(CODE, 'ada', 'ada is too weak');
  expect(weak?.code).toBe('password_weak');
  expect(await page.claim(CODE, 'ada', PASSWORD)).toBe(null);
  expect(page.door.value).toBe('signed-in');
  expect(page.account.value).toMatchObject({ name: 'ada', role: 'admin' });
});

test('too many wrong codes lock the box, which says for how long', async () => {
  await opened(new FakeBox());
  for (let at = 0; at < 2; at += 1) await page.claim('AAAA2222', 'ada', PASSWORD);
  expect(await page.claim('AAAA2222', 'ada', PASSWORD)).toMatchObject({
    status: 429,
    retry_secs: 900,
  });
  await page.ask();
  expect(page.door.value).toBe('locked');
  expect(page.locked_secs.value).toBe(900);
});

test('whoever comes second signs in', async () => {
  await opened(new FakeBox());
  box.state = 'claimed';
  expect(await page.claim(CODE, 'eve', PASSWORD)).toBe(null);
  expect(page.door.value).toBe('signed-out');
});

test('a wrong password is not told from a wrong name, and guessing is slowed down', async () => {
  await opened(FakeBox.claimed());
  expect(page.door.value).toBe('signed-out');
  expect(page.ended.value).toBe(null);
  const [password, name] = [await page.signIn('ada', 'x'), await page.signIn('eve', PASSWORD)];
  expect(password).toEqual(name);
  await page.signIn('ada', 'y');
  expect(await page.signIn('ada', PASSWORD)).toMatchObject({ status: 429, retry_secs: 36 });
  expect(page.door.value).toBe('signed-out');
});

test('a lost session brings the log-in, and remembers whose it was', async () => {
  await opened(FakeBox.claimed());
  expect(await page.signIn('ada', PASSWORD)).toBe(null);
  expect(page.door.value).toBe('signed-in');
  box.session = null;
  const { getJson } = await import('../net/request');
  await expect(getJson('api/v1/streams')).rejects.toThrow('Sign in first.');
  await vi.waitFor(() => expect(page.door.value).toBe('signed-out'));
  expect(page.ended.value).toBe('ada');
  expect(await page.signIn('ada', PASSWORD)).toBe(null);
  expect(page.ended.value).toBe(null);
});

test('a socket that is closed again and again asks no more than every two seconds', async () => {
  await opened(FakeBox.claimed());
  await page.signIn('ada', PASSWORD);
  const { doubt } = await import('../net/doubt');
  box.asked = [];
  for (let at = 0; at < 50; at += 1) doubt();
  await vi.waitFor(() => expect(box.asked.length).toBe(2));
  expect(page.door.value).toBe('signed-in');
});

test('a right that was taken away is known after the next doubt', async () => {
  await opened(FakeBox.claimed('bob', 'operator'));
  const bob = box.people.get('bob')!;
  await page.signIn('bob', PASSWORD);
  expect(page.rights.value.past).toBe(true);
  box.people.set('bob', { ...bob, past: false });
  const { doubt } = await import('../net/doubt');
  doubt();
  await vi.waitFor(() => expect(page.rights.value.past).toBe(false));
});

test('a box that does not answer signs nobody out', async () => {
  await opened(FakeBox.claimed());
  await page.signIn('ada', PASSWORD);
  away = true;
  await expect(page.ask()).rejects.toThrow('did not answer');
  expect(page.door.value).toBe('signed-in');
  expect(await page.signOut()).toMatchObject({ status: 0 });
  expect(page.door.value).toBe('signed-in');
});

test('signing out forgets who it was', async () => {
  await opened(FakeBox.claimed());
  await page.signIn('ada', PASSWORD);
  expect(await page.signOut()).toBe(null);
  expect([page.door.value, page.account.value, page.ended.value]).toEqual([
    'signed-out',
    null,
    null,
  ]);
  expect(box.session).toBe(null);
});

test('the password is changed by whoever knows it', async () => {
  await opened(FakeBox.claimed());
  await page.signIn('ada', PASSWORD);
  expect(await page.changePassword('x', 'another long one')).toMatchObject({ status: 403 });
  expect(await page.changePassword(PASSWORD, 'short')).toMatchObject({ status: 422 });
  expect(await page.changePassword(PASSWORD, 'another long one')).toBe(null);
  expect(page.door.value).toBe('signed-in');
});

test('an open box asks nobody who they are; it is claimed once its configuration says so', async () => {
  await opened(new FakeBox('open'));
  expect(await page.claim(CODE, 'ada', PASSWORD)).toMatchObject({ code: 'open' });
  expect([page.door.value, page.claimable.value]).toEqual(['open', true]);
  expect(page.rights.value.admin).toBe(true);
});

test('a box that knows no claim is open', async () => {
  await opened(new FakeBox('open'));
  vi.stubGlobal('fetch', () => Promise.resolve(new Response('', { status: 404 })));
  await page.ask();
  expect([page.door.value, page.claimable.value]).toEqual(['open', false]);
});
