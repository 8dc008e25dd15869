// The page behind a reverse proxy that serves it below a path: everything stays below that path.

import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { close, DIRECT, HOST, launch, mode, open, type Opened, streamOf } from './browser';

const PATH = '/cameras';

let browser: Browser;
let server: Server;
let base: string;
let opened: Opened;
/** Requests that left the path. */
const strays: string[] = [];

beforeAll(async () => {
  server = createServer();
  server.on('request', (asked, answer) => {
    const onward = forwarded(asked, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    });
    if (onward === null) answer.writeHead(404).end();
    else asked.pipe(onward);
  });
  server.on('upgrade', (asked: IncomingMessage, socket: Duplex) => tunnel(asked, socket));
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  base = `http://${HOST}:${(server.address() as AddressInfo).port}${PATH}/`;
  browser = await launch();
});
afterAll(async () => {
  await browser.close();
  server.closeAllConnections();
  server.close();
});
afterEach(() => close(opened));

/** The request to the box behind the path; null, and noted, outside of it. */
function forwarded(asked: IncomingMessage, reply?: (reply: IncomingMessage) => void) {
  const url = asked.url ?? '';
  // Browsers ask for a host's icon on their own.
  if (url === '/favicon.ico') return null;
  if (!url.startsWith(`${PATH}/`)) {
    strays.push(url);
    return null;
  }
  const onward = request(new URL(url.slice(PATH.length), DIRECT), {
    method: asked.method ?? 'GET',
    headers: { ...asked.headers, 'x-forwarded-prefix': PATH },
  });
  onward.on('error', () => asked.destroy());
  if (reply !== undefined) onward.on('response', reply);
  return onward;
}

function tunnel(asked: IncomingMessage, socket: Duplex): void {
  const onward = forwarded(asked);
  if (onward === null) {
    socket.destroy();
    return;
  }
  onward.on('upgrade', (reply, box, head) => {
    const headers = Object.entries(reply.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers.join('')}\r\n`);
    socket.write(head);
    box.pipe(socket).pipe(box);
    for (const one of [box, socket]) one.on('error', () => (box.destroy(), socket.destroy()));
  });
  onward.on('response', () => socket.destroy());
  onward.end();
}

test('live video, recordings and exports work below the path', async () => {
  opened = await open(browser, { base });
  const { page } = opened;
  await mode(streamOf(page), /^Live/);
  const hls = await page.getByRole('textbox', { name: 'HLS address of demo' }).inputValue();
  expect(hls.startsWith(base)).toBe(true);
  await page.getByRole('link', { name: 'Enlarge demo' }).click();
  await page.getByRole('link', { name: 'Recordings' }).click();
  await expect.poll(() => page.locator('.at').textContent(), { timeout: 15_000 }).toMatch(/\d:\d/);
  expect(new URL(page.url()).pathname).toBe(`${PATH}/timeline`);
  // A step counts only once the first picture is there: mark, step, mark again until it did.
  await expect
    .poll(async () => {
      for (const key of ['[', '.']) await page.keyboard.press(key);
      await page.waitForTimeout(300);
      await page.keyboard.press(']');
      return page.getByRole('link', { name: 'Download clip' }).count();
    })
    .toBe(1);
  const clip = await page.getByRole('link', { name: 'Download clip' }).getAttribute('href');
  expect(new URL(clip ?? '', page.url()).pathname).toBe(`${PATH}/export/demo.mp4`);
  await page.getByRole('link', { name: 'Live view' }).click();
  await mode(streamOf(page), /^Live/);
  await page.getByRole('link', { name: 'Holdfast' }).click();
  await page.getByText('New export').click();
  await page.getByRole('button', { name: 'Export as signed ZIP' }).click();
  await page.getByText(/^Ready/).waitFor({ timeout: 20_000 });
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: /^Download the export of demo/ }).click(),
  ]);
  expect(new URL(download.url()).pathname.startsWith(`${PATH}/api/`)).toBe(true);
  await page.getByRole('button', { name: /^Remove the export of demo/ }).click();
  await expect.poll(() => page.getByText(/^Ready/).count()).toBe(0);
  expect(strays).toEqual([]);
});
