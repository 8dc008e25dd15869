// The page over https: its pictures come over wss, on a connection of their own beside HTTP/2.

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { close, flows, HOST, launch, mode, open, pixels, streamOf } from './browser';

const port = process.env['HOLDFAST_HTTPS_PORT'];
const key = process.env['HOLDFAST_SPKI'];
const base = `https://${HOST}:${port}/`;

let browser: Browser;
beforeAll(async () => {
  const flags = [`--ignore-certificate-errors-spki-list=${key}`];
  browser = await (port === undefined ? launch() : launch(flags));
});
afterAll(() => browser.close());

test.skipIf(port === undefined)('plays over HTTP/2 and wss', async () => {
  const opened = await open(browser, { base });
  const { page } = opened;
  const demo = streamOf(page);
  await mode(demo, /^Live/);
  await flows(demo);
  const before = await pixels(demo);
  await expect.poll(() => pixels(demo)).not.toBe(before);
  expect(opened.watch.sockets()).toBeGreaterThan(0);
  expect(await page.evaluate(() => isSecureContext)).toBe(true);
  const protocols = await page.evaluate(() =>
    performance.getEntriesByType('resource').map((entry) => {
      return (entry as PerformanceResourceTiming).nextHopProtocol;
    }),
  );
  expect(protocols).toContain('h2');
  await close(opened);
});

test.skipIf(port === undefined)('is not opened with a key that is not the box’s', async () => {
  const other = await launch();
  const page = await other.newPage();
  await expect(page.goto(base)).rejects.toThrow(/ERR_CERT/);
  await other.close();
});
