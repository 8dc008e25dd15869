// The past: dates, single pictures, speeds, gaps and clips, over what the box really recorded.
//
// The test picture carries its number and its date in two rows of 48 blocks; both are read back.

import { join } from 'node:path';
import type { Browser, Page, WebSocketRoute } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { close, DIRECT, launch, open, type Opened, RESULTS } from './browser';

/** The stream; its recording has a gap, because the daemon was started twice. */
const STEADY = 'demo';

let browser: Browser;
let opened: Opened;
beforeAll(async () => void (browser = await launch()));
afterAll(() => browser.close());
afterEach(() => close(opened));

interface Seen {
  readonly number: number;
  readonly wall_ms: number;
}

/** The number and the date that the picture on the screen carries. */
async function seen(page: Page): Promise<Seen> {
  return page.locator('video').evaluate((video: HTMLVideoElement) => {
    const { videoWidth: width, videoHeight: height } = video;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context?.drawImage(video, 0, 0);
    const bar = Math.max(2, Math.floor(height / 45));
    const row = (y: number) => {
      const data = context?.getImageData(0, Math.round(y), width, 1).data ?? [];
      let value = 0;
      for (let bit = 0; bit < 48; bit += 1) {
        const x = Math.floor(((bit + 0.5) * width) / 48);
        value = value * 2 + ((data[x * 4] ?? 0) > 127 ? 1 : 0);
      }
      return value;
    };
    return { number: row(height - 1.5 * bar), wall_ms: row(height - 0.5 * bar) };
  });
}

/** The date that the page shows beside the picture, in Unix milliseconds. */
async function told(page: Page): Promise<number> {
  return Date.parse((await page.locator('.at').getAttribute('datetime')) ?? '');
}

/** Opens the past of the steady stream so many seconds before now, and waits for its picture. */
async function past(secs: number): Promise<Page> {
  const t = new Date(Date.now() - secs * 1000).toISOString();
  opened = await open(browser, { hash: `timeline?cam=${STEADY}&at=${t}` });
  await settled(opened.page);
  return opened.page;
}

async function settled(page: Page): Promise<void> {
  await expect
    .poll(
      () =>
        page
          .locator('video')
          .evaluate((video: HTMLVideoElement) => !video.seeking && video.readyState >= 2)
          .catch(() => false),
      { timeout: 20_000 },
    )
    .toBe(true);
  await expect.poll(() => page.locator('.buttons .state').textContent()).not.toBe('Loading…');
}

/** Presses a key and waits until another picture is on the screen, and then its date beside it. */
async function press(page: Page, key: string): Promise<Seen> {
  const before = (await seen(page)).number;
  const told_before_ms = await told(page);
  await page.keyboard.press(key);
  await expect.poll(async () => (await seen(page)).number, { timeout: 10_000 }).not.toBe(before);
  await expect.poll(() => told(page), { timeout: 10_000 }).not.toBe(told_before_ms);
  return seen(page);
}

test('an address with a date shows the picture of that date', async () => {
  const page = await past(12);
  const wanted_ms = Date.parse(new URL(page.url()).searchParams.get('at') ?? '');
  const { wall_ms } = await seen(page);
  expect(Math.abs(wall_ms - wanted_ms)).toBeLessThan(120);
  expect(Math.abs((await told(page)) - wall_ms)).toBeLessThan(80);
  // All of the controls are on the screen.
  expect(await page.evaluate(() => document.documentElement.scrollHeight - innerHeight)).toBe(0);
  await page.screenshot({ path: join(RESULTS, 'timeline-1440.png') });
});

test('steps on and back by exactly one picture, over what is buffered and beyond', async () => {
  const page = await past(18);
  const visited = [{ ...(await seen(page)), told_ms: await told(page) }];
  for (let step = 0; step < 50; step += 1)
    visited.push({ ...(await press(page, '.')), told_ms: await told(page) });
  const from_ms = visited[0]?.told_ms ?? 0;
  const until_ms = visited.at(-1)?.told_ms ?? 0;
  // All that is recorded in between, each picture once: a busy machine may have recorded fewer.
  const recorded = (await dates(page, from_ms, until_ms)).map(Math.floor);
  expect(visited.map((one) => one.told_ms)).toEqual(recorded);
  // The date beside a picture is that in the picture, to the jitter of a busy test picture.
  for (const [at, one] of visited.entries()) {
    expect(one.number).toBeGreaterThan(visited[at - 1]?.number ?? 0);
    expect(Math.abs(one.told_ms - one.wall_ms)).toBeLessThan(80);
  }
  for (const one of visited.slice(0, -1).reverse())
    expect((await press(page, ',')).number).toBe(one.number);
  // On, beyond what was ever received.
  const begins = await seen(page);
  const told_ms = await told(page);
  for (let step = 0; step < 30; step += 1) await press(page, ',');
  const back = await dates(page, await told(page), told_ms);
  expect(back.length).toBe(31);
  expect((await seen(page)).number).toBeLessThanOrEqual(begins.number - 30);
});

/** The dates of all pictures that the box has between two dates. */
function dates(page: Page, from_ms: number, until_ms: number): Promise<number[]> {
  const path = `/play/${STEADY}/ws?start=${new Date(from_ms).toISOString()}`;
  return page.evaluate(
    ({ path, from_ms, until_ms }) =>
      new Promise<number[]>((resolve) => {
        const socket = new WebSocket(new URL(path, location.href).href.replace('http', 'ws'));
        const all: number[] = [];
        socket.onmessage = ({ data }) => {
          const part = typeof data === 'string' ? JSON.parse(data).part : undefined;
          if (part === undefined) return;
          for (const secs of part.pictures)
            all.push(part.wall_ms + (secs - part.media_secs) * 1000);
          socket.send(JSON.stringify({ at: part.end_secs }));
          if ((all.at(-1) ?? 0) <= until_ms) return;
          socket.close();
          resolve(all.filter((ms) => ms > from_ms - 1 && ms < until_ms + 1));
        };
      }),
    { path, from_ms, until_ms },
  );
}

test('plays, pauses, and plays fast and backwards', async () => {
  const page = await past(18);
  const rate = async (ms: number) => {
    const [from, began] = [await seen(page), performance.now()];
    await page.waitForTimeout(ms);
    const to = await seen(page);
    return (to.wall_ms - from.wall_ms) / (performance.now() - began);
  };
  await page.getByRole('button', { name: 'Play', exact: true }).click();
  await expect.poll(() => rate(1_000)).toBeGreaterThan(0.8);
  const speed = page.getByLabel('Speed');
  await speed.selectOption('0.25');
  await expect.poll(() => rate(1_500)).toBeLessThan(0.4);
  await speed.selectOption('-4');
  await expect.poll(() => rate(1_500)).toBeLessThan(-2);
  await speed.selectOption('8');
  await expect.poll(() => rate(800)).toBeGreaterThan(4);
  // It reaches the present and continues live.
  await expect.poll(() => speed.inputValue(), { timeout: 20_000 }).toBe('1');
  await expect
    .poll(async () => Date.now() - (await seen(page)).wall_ms, { timeout: 20_000 })
    .toBeLessThan(6_000);
  await page.getByRole('button', { name: 'Pause' }).click();
  const still = await seen(page);
  await page.waitForTimeout(500);
  expect((await seen(page)).number).toBe(still.number);
});

test('a click on the ruler goes there, and the address says so', async () => {
  const page = await past(10);
  const ruler = page.getByRole('slider', { name: `Time of ${STEADY}` });
  await page.getByRole('button', { name: '1 min', exact: true }).click();
  const box = await ruler.boundingBox();
  if (box === null) throw new Error('no ruler');
  const before = await told(page);
  // A pixel is 60 s / width.
  const px = (8_000 / 60_000) * box.width;
  await ruler.click({ position: { x: box.width / 2 - px, y: box.height / 2 } });
  await expect.poll(() => told(page)).toBeLessThan(before - 6_000);
  await settled(page);
  const { wall_ms } = await seen(page);
  expect(Math.abs(wall_ms - (before - 8_000))).toBeLessThan(300);
  await expect
    .poll(() => Date.parse(new URL(page.url()).searchParams.get('at') ?? '') - wall_ms)
    .toBeLessThan(200);
  expect(await ruler.getAttribute('aria-valuetext')).toMatch(/^\d\d:\d\d:\d\d, recorded$/);
  await ruler.focus();
  await page.keyboard.press('ArrowRight');
  await expect.poll(async () => (await seen(page)).wall_ms - wall_ms).toBeGreaterThan(800);
});

test('marks a range and offers it as a clip', async () => {
  const page = await past(12);
  await page.keyboard.press('[');
  const from = await told(page);
  for (let step = 0; step < 5; step += 1) await press(page, '.');
  await page.keyboard.press(']');
  const href = await page.getByRole('link', { name: 'Download clip' }).getAttribute('href');
  const url = new URL(href ?? '', page.url());
  expect(url.pathname).toBe(`/export/${STEADY}.mp4`);
  // Both are cut to milliseconds, out of fractions that differ in their last digits.
  const start = Date.parse(url.searchParams.get('start') ?? '');
  expect(Math.abs(start - from)).toBeLessThanOrEqual(1);
  expect(Date.parse(url.searchParams.get('end') ?? '') - from).toBeGreaterThan(150);
  // Ten seconds forward and back.
  const here = await told(page);
  await press(page, 'j');
  expect(Math.abs((await told(page)) - (here - 10_000))).toBeLessThan(300);
  // Single keys can be switched off.
  await page.keyboard.press('?');
  await page.getByRole('checkbox').uncheck();
  const still = await seen(page);
  await page.keyboard.press('.');
  await page.waitForTimeout(500);
  expect((await seen(page)).number).toBe(still.number);
});

test('protects a range, shows that it is, and ends it', async () => {
  const page = await past(12);
  await page.keyboard.press('[');
  for (let step = 0; step < 5; step += 1) await press(page, '.');
  await page.keyboard.press(']');
  await page.getByRole('button', { name: 'Protect' }).click();
  await page.getByText('Protected: it is not overwritten.').waitFor();
  await page.screenshot({ path: join(RESULTS, 'timeline-protect-1440.png') });
  await page.getByText('1 protected range in view').click();
  const listed = async () => {
    const answer = await fetch(`${DIRECT}/api/v1/pins`);
    return ((await answer.json()) as { pins: { stream: string }[] }).pins.length;
  };
  expect(await listed()).toBe(1);
  await page.getByRole('button', { name: 'End the protection' }).click();
  await expect.poll(() => page.getByText('protected range in view').count()).toBe(0);
  expect(await listed()).toBe(0);
});

test('a gap is drawn with its reason, skipped, and a click in it goes past it', async () => {
  const answer = await fetch(`${DIRECT}/api/v1/recordings/${STEADY}`);
  const { gaps } = (await answer.json()) as { gaps: { start: string; end: string }[] };
  const gap = gaps[0];
  if (gap === undefined) throw new Error('the recording has no gap');
  const [start_ms, end_ms] = [Date.parse(gap.start), Date.parse(gap.end)];
  opened = await open(browser, {
    hash: `timeline?cam=${STEADY}&t=${new Date(start_ms - 1_500).toISOString()}`,
  });
  const { page } = opened;
  await settled(page);
  expect(Math.abs((await seen(page)).wall_ms - start_ms + 1_500)).toBeLessThan(200);
  await page.getByRole('button', { name: 'Play', exact: true }).click();
  await page.getByText(/^Skipped a gap, \d\d:\d\d:\d\d–/).waitFor();
  expect((await seen(page)).wall_ms).toBeGreaterThan(end_ms - 200);
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.screenshot({ path: join(RESULTS, 'timeline-gap-1440.png') });

  await page.getByRole('button', { name: '1 min', exact: true }).click();
  const ruler = page.getByRole('slider', { name: `Time of ${STEADY}` });
  const box = await ruler.boundingBox();
  if (box === null) throw new Error('no ruler');
  const shown = async (name: string) => Number(await ruler.getAttribute(name));
  const [from, until] = [await shown('aria-valuemin'), await shown('aria-valuemax')];
  const x = (((start_ms + end_ms) / 2 - from) / (until - from)) * box.width;
  await ruler.click({ position: { x, y: box.height / 2 } });
  await expect.poll(async () => Math.abs((await seen(page)).wall_ms - end_ms)).toBeLessThan(200);
  // Back over the gap by one picture.
  const behind = await seen(page);
  const before = await press(page, ',');
  expect(before.wall_ms).toBeLessThan(start_ms + 200);
  expect((await press(page, '.')).number).toBe(behind.number);
  await page.getByText('1 gap in view').click();
  await page.getByRole('button', { name: 'Skip gap' }).waitFor();
});

test('what is buffered plays on with its own dates while the box is away, and continues from there', async () => {
  let away = false;
  let route: WebSocketRoute | null = null;
  const t = new Date(Date.now() - 15_000).toISOString();
  opened = await open(browser, {
    hash: `timeline?cam=${STEADY}&t=${t}`,
    prepare: (page) =>
      page.routeWebSocket(/\/play\//, (one) => {
        if (away) return void one.close();
        route = one;
        one.connectToServer();
      }),
  });
  const { page } = opened;
  await settled(page);
  await page.getByRole('button', { name: 'Play', exact: true }).click();
  const start = await seen(page);
  await expect.poll(async () => (await seen(page)).number).toBeGreaterThan(start.number + 10);
  away = true;
  await (route as WebSocketRoute | null)?.close();
  await page.getByText('Reconnecting…').waitFor();
  const lost = await seen(page);
  let newest = lost;
  for (let look = 0; look < 8; look += 1) {
    const [before_ms, picture, after_ms] = [await told(page), await seen(page), await told(page)];
    // The date on the page changes after the picture, and while it is read.
    expect(picture.wall_ms).toBeGreaterThan(before_ms - 150);
    expect(picture.wall_ms).toBeLessThan(after_ms + 150);
    newest = picture;
    await page.waitForTimeout(150);
  }
  expect(newest.number).toBeGreaterThan(lost.number + 10);
  away = false;
  await expect.poll(() => page.getByText('Reconnecting…').count()).toBe(0);
  await settled(page);
  await expect.poll(async () => (await seen(page)).number).toBeGreaterThan(newest.number);
  expect(await told(page)).toBeGreaterThan(newest.wall_ms);
});

test('a browser that cannot play it shows stills of the moment, and says why', async () => {
  opened = await open(browser, {
    hash: `timeline?cam=${STEADY}&at=${new Date(Date.now() - 12_000).toISOString()}`,
    prepare: (page) => page.addInitScript(() => (MediaSource.isTypeSupported = () => false)),
  });
  const { page } = opened;
  const image = page.locator('.picture img');
  const drawn = async () => {
    await expect
      .poll(() => image.evaluate((one: HTMLImageElement) => one.complete && one.naturalWidth))
      .toBeGreaterThan(0);
    return image.getAttribute('src');
  };
  await page.getByText('Stills only: This browser cannot play H.264.').waitFor();
  const before = await drawn();
  const from_ms = await told(page);
  await page.keyboard.press(',');
  await expect.poll(() => told(page)).toBe(from_ms - 1_000);
  await expect.poll(drawn).not.toBe(before);
  expect(await page.getByText('Stopped', { exact: true }).count()).toBe(0);
});

test('a date in the future and a stream that is not there are said', async () => {
  opened = await open(browser, { hash: 'timeline?cam=nobody' });
  await opened.page.getByRole('heading', { name: 'No stream named' }).waitFor();
  await opened.page.goto(`${opened.page.url().split('?')[0]}?cam=${STEADY}&t=2199-01-01T00:00:00Z`);
  await settled(opened.page);
  // The newest footage.
  expect(Date.now() - (await seen(opened.page)).wall_ms).toBeLessThan(15_000);
});
