// Opens the page as a viewer on the LAN would: by a host name, over plain http.
//
// Owns: Debian's Chromium, and the watch over what every test must not see (requests to other
// hosts, breaches of the Content-Security-Policy, exceptions).
//
// localhost would be a secure context and would hide what is missing on a LAN, so the name box.test
// is mapped to the daemon's address inside the browser.

import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Browser,
  type BrowserContextOptions,
  chromium,
  type Locator,
  type Page,
} from 'playwright-core';
import { expect } from 'vitest';

/** The name by which the browser knows the daemon. */
export const HOST = 'box.test';

const target = new URL(process.env['HOLDFAST_URL'] ?? 'http://127.0.0.1:8080');

/** Where the page is, as the browser sees it. */
export const BASE = `http://${HOST}:${target.port || '80'}/`;

/** Where the daemon is, for requests that do not come from the page. */
export const DIRECT = target.origin;

/** Pictures of the page; git ignores them. */
export const RESULTS = join(dirname(dirname(fileURLToPath(import.meta.url))), 'test-results');
mkdirSync(RESULTS, { recursive: true });

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  `--host-resolver-rules=MAP ${HOST} ${target.hostname}`,
];

export function launch(flags: string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: [...FLAGS, ...flags],
  });
}

/** What was seen that must not be; empty at the end of each test. */
export interface Watch {
  readonly faults: string[];
  /** Media sockets open now. */
  sockets(): number;
}

export interface Opened {
  readonly page: Page;
  readonly watch: Watch;
}

interface OpenOptions extends BrowserContextOptions {
  readonly hash?: string;
  /** Another address of the page than the daemon's own. */
  readonly base?: string;
  /** Runs before the page is loaded, to route or to add scripts. */
  readonly prepare?: (page: Page) => Promise<unknown>;
}

/** Opens the page in a browser context of its own. */
export async function open(
  browser: Browser,
  { hash = '', base = BASE, prepare, ...options }: OpenOptions = {},
): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  const watch = await watchOver(page);
  await prepare?.(page);
  await page.goto(base + hash);
  return { page, watch };
}

/** Closes the page and holds it to what no page may do. */
export async function close({ page, watch }: Opened): Promise<void> {
  await page.context().close();
  expect(watch.faults).toEqual([]);
}

async function watchOver(page: Page): Promise<Watch> {
  const faults: string[] = [];
  let sockets = 0;
  const own = (url: string) => new URL(url).hostname === HOST || /^(blob|data):/.test(url);
  page.on('request', (request) => {
    if (!own(request.url())) faults.push(`foreign request ${request.url()}`);
    // A page that is left takes its sockets with it, without an event for each.
    if (request.isNavigationRequest()) sockets = 0;
  });
  page.on('websocket', (socket) => {
    // The socket of events comes and goes by itself; the others are media.
    if (socket.url().endsWith('/api/v1/events/ws')) return;
    if (!own(socket.url())) faults.push(`foreign socket ${socket.url()}`);
    sockets += 1;
    socket.on('close', () => (sockets -= 1));
  });
  page.on('pageerror', (error) => faults.push(`exception ${error.message}`));
  await page.exposeFunction('tellFault', (fault: string) => void faults.push(fault));
  await page.addInitScript(() => {
    const tell = (globalThis as unknown as { tellFault(fault: string): void }).tellFault;
    document.addEventListener('securitypolicyviolation', (event) =>
      tell(`CSP ${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  return { faults, sockets: () => sockets };
}

/** The card, or the large view, of a stream. */
export function streamOf(page: Page, name = 'demo'): Locator {
  return page.getByRole('article', { name, exact: true });
}

/** Waits until the stream's mode reads so. */
export async function mode(stream: Locator, words: RegExp, timeout = 15_000): Promise<void> {
  await expect
    .poll(
      () =>
        stream
          .locator('.mode')
          .textContent({ timeout: 1_000 })
          .catch(() => ''),
      { timeout },
    )
    .toMatch(words);
}

/** Waits until the video flows: more than seven frames a second over two seconds. */
export async function flows(stream: Locator): Promise<void> {
  await expect.poll(() => framesIn(stream, 2_000), { timeout: 20_000 }).toBeGreaterThan(15);
}

/** The frames that reach the screen in `ms` milliseconds. */
function framesIn(stream: Locator, ms: number): Promise<number> {
  return stream.locator('video').evaluate((video: HTMLVideoElement, ms) => {
    let frames = 0;
    const count = () => {
      frames += 1;
      video.requestVideoFrameCallback(count);
    };
    video.requestVideoFrameCallback(count);
    return new Promise<number>((resolve) => setTimeout(() => resolve(frames), ms));
  }, ms);
}

/** A digest of the pixels of the video's present frame. */
export function pixels(stream: Locator): Promise<number> {
  return stream.locator('video').evaluate((video: HTMLVideoElement) => {
    const canvas = new OffscreenCanvas(320, 180);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context?.drawImage(video, 0, 0, 320, 180);
    const data = context?.getImageData(0, 0, 320, 180).data ?? new Uint8ClampedArray();
    return data.reduce((sum, value) => (Math.imul(sum, 31) + value) | 0, 7);
  });
}

/** Answers the list of streams with what `change` makes of the real demo stream. */
export async function streams(page: Page, change: (demo: object) => object[]): Promise<void> {
  await page.route('**/api/v1/streams', async (route) => {
    const answer = await fetch(new URL('/api/v1/streams', DIRECT));
    const { streams } = (await answer.json()) as { streams: { name: string }[] };
    const demo = streams.find((one) => one.name === 'demo') ?? {};
    // The page may have been closed in the meantime.
    await route.fulfill({ json: { streams: change(demo) } }).catch(() => undefined);
  });
}
