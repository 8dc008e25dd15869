// Trouble on a viewer's side: the page says so in words, and recovers.

import { join } from 'node:path';
import type { Browser, Locator, Page, WebSocketRoute } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  close,
  flows,
  launch,
  mode,
  open,
  type Opened,
  RESULTS,
  streamOf,
  streams,
} from './browser';

let browser: Browser;
let opened: Opened;
beforeAll(async () => void (browser = await launch()));
afterAll(() => browser.close());
afterEach(() => close(opened));

const MEDIA = /\/live\/[^/]+\/ws/;

test('an event is seen at once, and without events the box is asked each second', async () => {
  const routes: WebSocketRoute[] = [];
  let lists = 0;
  let lost = false;
  opened = await open(browser, {
    prepare: async (page) => {
      await page.routeWebSocket(/\/api\/v1\/events\/ws$/, (route) => {
        if (lost) return void route.close();
        routes.push(route);
        route.send(JSON.stringify({ hello: { next: 1 } }));
      });
      page.on('response', (response) => {
        if (response.url().endsWith('/api/v1/streams')) lists += 1;
      });
    },
  });
  await mode(streamOf(opened.page), /^Live/);
  const next = async (timeout: number, more = 1) => {
    const before = lists;
    await expect.poll(() => lists, { timeout, interval: 20 }).toBeGreaterThanOrEqual(before + more);
  };
  // The pause between two questions begins with an answer.
  await next(10_000);
  routes.at(-1)?.send(JSON.stringify({ event: { kind: 'stream.offline' } }));
  await next(2_500);
  const before = lists;
  await opened.page.waitForTimeout(6_000);
  expect(lists - before).toBeLessThanOrEqual(3);
  lost = true;
  await routes.at(-1)?.close();
  await next(6_000, 4);
});

test('a hidden page has no media socket, and plays again when it is shown', async () => {
  opened = await open(browser);
  const { page, watch } = opened;
  await mode(streamOf(page), /^Live/);
  expect(watch.sockets()).toBe(1);
  await show(page, 'hidden');
  await expect.poll(watch.sockets).toBe(0);
  await mode(streamOf(page), /^Paused/);
  await show(page, 'visible');
  await mode(streamOf(page), /^Live/);
});

test('a lost socket is reopened', async () => {
  const routes: WebSocketRoute[] = [];
  opened = await open(browser, {
    prepare: (page) =>
      page.routeWebSocket(MEDIA, (route) => void (routes.push(route), route.connectToServer())),
  });
  const demo = streamOf(opened.page);
  for (let cut = 1; cut <= 3; cut += 1) {
    await mode(demo, /^Live/);
    await expect.poll(() => routes.length).toBe(cut);
    await routes.at(-1)?.close();
    await expect.poll(() => routes.length, { timeout: 10_000 }).toBe(cut + 1);
  }
  await mode(demo, /^Live/);
  await flows(demo);
});

test('a stalled stream looks frozen, falls back with a reason, and comes back', async () => {
  let stalled = false;
  opened = await open(browser, {
    prepare: (page) =>
      page.routeWebSocket(MEDIA, (route) => {
        const box = route.connectToServer();
        box.onMessage((message) => stalled || route.send(message));
      }),
  });
  const demo = streamOf(opened.page);
  await mode(demo, /^Live/);
  // Without still pictures there is nothing else to show: the old frame must look old.
  await opened.page.route('**/snap/**', (route) => route.abort());
  stalled = true;
  // How soon is FROZEN_SECS and a tick of the tile; here the machine may be busy.
  await expect.poll(() => demo.locator('.picture').getAttribute('data-frozen')).toBe('true');
  await mode(demo, /^Interrupted: no live video for 3 s/);
  await opened.page.screenshot({ path: join(RESULTS, 'frozen.png') });
  await opened.page.unroute('**/snap/**');
  await expect.poll(() => demo.locator('.picture').getAttribute('data-surface')).toBe('image');
  stalled = false;
  await mode(demo, /^Live/, 20_000);
  await expect.poll(() => demo.locator('.picture').getAttribute('data-frozen')).toBe('false');
});

test('new parameters on the same socket do not stop the picture', async () => {
  opened = await open(browser, { prepare: (page) => page.addInitScript(replaceSocketMidway) });
  const demo = streamOf(opened.page);
  await mode(demo, /^Live/);
  await expect
    .poll(() => opened.page.evaluate(() => (globalThis as { hellos?: number }).hellos))
    .toBe(2);
  await flows(demo);
  await mode(demo, /^Live/);
});

test('without MediaSource there are stills, and the reason', async () => {
  opened = await open(browser, {
    prepare: (page) =>
      page.addInitScript(() => {
        Reflect.deleteProperty(globalThis, 'MediaSource');
        Reflect.deleteProperty(globalThis, 'ManagedMediaSource');
      }),
  });
  const demo = streamOf(opened.page);
  await mode(demo, /^Stills: this browser cannot play streamed video$/);
  await picturesMove(demo);
  expect(opened.watch.sockets()).toBe(0);
});

test('a codec the browser cannot play gives stills, and is named', async () => {
  opened = await open(browser, {
    prepare: (page) => page.addInitScript(() => (MediaSource.isTypeSupported = () => false)),
  });
  await mode(streamOf(opened.page), /^Stills: this browser cannot play H\.264$/);
  await picturesMove(streamOf(opened.page));
});

test('a box that cannot be reached is reported, until it is back', async () => {
  opened = await open(browser);
  const { page } = opened;
  await mode(streamOf(page), /^Live/);
  await page.route('**/api/**', (route) => route.abort());
  await expect
    .poll(
      () =>
        page
          .getByRole('alert')
          .textContent({ timeout: 1_000 })
          .catch(() => ''),
      { timeout: 10_000 },
    )
    .toContain("Can't reach the box");
  await page.getByText('Disconnected').waitFor();
  await page.unroute('**/api/**');
  await expect.poll(() => page.getByRole('alert').count(), { timeout: 10_000 }).toBe(0);
});

test('a stream without a camera says so, since when and why', async () => {
  opened = await open(browser, {
    prepare: async (page) => {
      await page.routeWebSocket(MEDIA, (route) => route.close());
      await streams(page, (demo) => [
        {
          ...demo,
          state: 'offline',
          reason: '10.0.0.7 does not answer',
          since: new Date(Date.now() - 14_000).toISOString(),
        },
      ]);
    },
  });
  const demo = streamOf(opened.page);
  await mode(demo, /^No signal$/);
  expect(await demo.textContent()).toMatch(/No signal for 1[3-9] s – 10\.0\.0\.7 does not answer/);
  await opened.page.screenshot({ path: join(RESULTS, 'no-signal.png') });
});

test('a box without streams says how to add one', async () => {
  opened = await open(browser, { prepare: (page) => streams(page, () => []) });
  await opened.page.getByRole('heading', { name: 'No cameras yet' }).waitFor();
  expect(await opened.page.textContent('main')).toContain('rtsp_pull');
});

test('of nine tiles only the one pointed at is live', async () => {
  const named = (demo: object) =>
    Array.from({ length: 9 }, (_, i) => ({ ...demo, name: `cam-${i + 1}` }));
  opened = await open(browser, { prepare: (page) => streams(page, named) });
  const { page, watch } = opened;
  for (const name of ['cam-1', 'cam-2', 'cam-3']) await mode(streamOf(page, name), /^Stills$/);
  await page.getByText('Point at a camera for live video.').waitFor();
  await page.mouse.move(0, 0);
  await expect.poll(watch.sockets).toBe(0);
  await page.screenshot({ path: join(RESULTS, 'nine.png') });
  await streamOf(page, 'cam-2').hover();
  await mode(streamOf(page, 'cam-2'), /^Live/);
  expect(watch.sockets()).toBe(1);
  await streamOf(page, 'cam-3').getByRole('link', { name: 'Enlarge' }).focus();
  await mode(streamOf(page, 'cam-3'), /^Live/);
});

/** Makes the page believe that its tab went behind another, or came back. */
async function show(page: Page, state: 'visible' | 'hidden'): Promise<void> {
  await page.evaluate((state) => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
    document.dispatchEvent(new Event('visibilitychange'));
  }, state);
}

async function picturesMove(stream: Locator): Promise<void> {
  const image = stream.locator('img');
  // When no picture comes, the failure shows what the page says in its place.
  await expect
    .poll(() =>
      image.evaluate((one: HTMLImageElement) =>
        one.naturalWidth > 0 ? 'a picture' : one.closest('article')?.textContent,
      ),
    )
    .toBe('a picture');
  const before = await image.getAttribute('src');
  await expect.poll(() => image.getAttribute('src')).not.toBe(before);
}

/**
 * Runs in the page: a WebSocket that changes its server connection after two seconds, so that the
 * player sees a second hello, init segment and GOP on what is to it the same socket.
 */
function replaceSocketMidway(): void {
  const scope = globalThis as unknown as { WebSocket: typeof WebSocket; hellos: number };
  const Native = scope.WebSocket;
  scope.hellos = 0;
  scope.WebSocket = class {
    static readonly OPEN = 1;
    readyState = 1;
    binaryType = '';
    onmessage: ((event: MessageEvent) => void) | null = null;
    onclose: (() => void) | null = null;
    #now: WebSocket;
    constructor(url: URL) {
      this.#now = this.#pipe(url);
      setTimeout(() => {
        this.#now.close();
        this.#now = this.#pipe(url);
      }, 2_000);
    }
    #pipe(url: URL): WebSocket {
      const socket = new Native(url);
      socket.binaryType = 'arraybuffer';
      socket.onmessage = (event) => {
        const is_hello = typeof event.data === 'string' && event.data.includes('"hello"');
        if (is_hello && url.pathname.includes('/live/')) scope.hellos += 1;
        if (socket === this.#now) this.onmessage?.(event);
      };
      return socket;
    }
    close(): void {
      this.#now.close();
    }
  } as unknown as typeof WebSocket;
}
