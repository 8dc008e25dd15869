// The live picture on a LAN: it moves, its delay is shown, and nothing leaves the box.

import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  DIRECT,
  close,
  flows,
  launch,
  mode,
  open,
  type Opened,
  pixels,
  RESULTS,
  streamOf,
} from './browser';

let browser: Browser;
let opened: Opened;
beforeAll(async () => void (browser = await launch()));
afterAll(() => browser.close());
beforeEach(async () => void (opened = await open(browser)));
afterEach(() => close(opened));

test('is served with a strict policy and is not a secure context', async () => {
  const answer = await opened.page.request.get(DIRECT);
  const policy = answer.headers()['content-security-policy'] ?? '';
  expect(policy).toContain("default-src 'self'");
  expect(policy).not.toMatch(/unsafe|\*/);
  expect(await opened.page.evaluate(() => isSecureContext)).toBe(false);
});

test('the demo stream becomes live and moves', async () => {
  const demo = streamOf(opened.page);
  await mode(demo, /^Live/);
  await flows(demo);
  const before = await pixels(demo);
  await expect.poll(() => pixels(demo)).not.toBe(before);
  await opened.page.screenshot({ path: join(RESULTS, 'live-1440.png') });
});

test('shows a plausible delay that does not grow', async () => {
  const demo = streamOf(opened.page);
  await mode(demo, /^Live\d/);
  const delay = async () => parseFloat((await demo.locator('.delay').textContent()) ?? 'none');
  await opened.page.waitForTimeout(3_000);
  expect(await delay()).toBeLessThan(2);
  await opened.page.waitForTimeout(5_000);
  expect(await delay()).toBeLessThan(2);
  expect(await demo.locator('video').evaluate((video: HTMLVideoElement) => video.muted)).toBe(true);
});

test('says in words what the box and the stream do', async () => {
  const { page } = opened;
  const demo = streamOf(page);
  await mode(demo, /^Live/);
  await expect.poll(() => demo.textContent()).toMatch(/Online since \d\d:\d\d:\d\d/);
  expect(await demo.textContent()).toMatch(/H\.264 1280×720/);
  await expect.poll(() => demo.textContent()).toMatch(/\d (k|M)bit\/s/);
  await page
    .getByText(/All well|problem/)
    .first()
    .click();
  expect(await page.locator('.checks li').count()).toBeGreaterThan(0);
});

test('copies an address without a secure context', async () => {
  const { page } = opened;
  await page.getByRole('button', { name: 'Copy RTSP address of demo' }).click();
  await page.getByText('Copied').waitFor();
  await page.evaluate(() =>
    document.body.append(Object.assign(document.createElement('textarea'), { id: 'paste' })),
  );
  await page.locator('#paste').focus();
  await page.keyboard.press('Control+V');
  expect(await page.locator('#paste').inputValue()).toMatch(/^rtsp:\/\/box\.test:\d+\/demo$/);
});

test('enlarges a stream and comes back, by address too', async () => {
  const { page } = opened;
  await page.getByRole('link', { name: 'Enlarge demo' }).click();
  expect(new URL(page.url()).hash).toBe('#/demo');
  await mode(streamOf(page), /^Live/);
  await flows(streamOf(page));
  await page.reload();
  await mode(streamOf(page), /^Live/);
  await page.getByRole('link', { name: 'All streams' }).click();
  await page.getByRole('link', { name: 'Enlarge demo' }).waitFor();
  await expect.poll(() => opened.watch.sockets()).toBe(1);
});

test('the buffer behind the live edge stays short', async () => {
  const demo = streamOf(opened.page);
  await mode(demo, /^Live/);
  await opened.page.waitForTimeout(18_000);
  const behind = await demo
    .locator('video')
    .evaluate((video: HTMLVideoElement) => video.currentTime - video.buffered.start(0));
  expect(behind).toBeGreaterThan(5);
  expect(behind).toBeLessThan(17);
});
