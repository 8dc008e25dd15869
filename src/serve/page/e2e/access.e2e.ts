// The page for everyone: axe's rules (WCAG 2.2 AA and good practice), narrow screens, keyboard.

import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { violations } from './axe';
import { close, launch, mode, open, type Opened, RESULTS, streamOf, streams } from './browser';

let browser: Browser;
let opened: Opened;
beforeAll(async () => void (browser = await launch()));
afterAll(() => browser.close());
afterEach(() => close(opened));

const SCREENS = [
  { width: 1440, height: 900 },
  { width: 360, height: 740 },
];

describe.each(SCREENS)('at $width x $height', (viewport) => {
  describe.each(['light', 'dark'] as const)('%s', (colorScheme) => {
    test.each(['', '#/demo', '#/nobody', 'timeline?cam=demo'])(
      'axe finds nothing on /%s',
      async (hash) => {
        opened = await open(browser, { hash, viewport, colorScheme, reducedMotion: 'reduce' });
        const { page } = opened;
        if (hash === '#/nobody')
          await page.getByRole('heading', { name: 'No stream named' }).waitFor();
        else await shows(page, hash);
        expect(await violations(page)).toEqual([]);
        await page.locator('.health summary').click();
        expect(await violations(page)).toEqual([]);
        await page.locator('.health summary').click();
        const name = hash === '' ? 'all' : hash.replace(/^#\/|\?.*$/g, '');
        await page.screenshot({
          path: join(RESULTS, `${name}-${viewport.width}-${colorScheme}.png`),
          fullPage: viewport.width < 500,
        });
      },
    );
  });
});

test('axe finds nothing while the box cannot be reached', async () => {
  opened = await open(browser, {
    prepare: (page) => page.route('**/api/**', (route) => route.abort()),
  });
  await opened.page.getByRole('alert').waitFor({ timeout: 10_000 });
  expect(await violations(opened.page)).toEqual([]);
});

test('axe finds nothing on a box without streams', async () => {
  opened = await open(browser, {
    viewport: { width: 360, height: 740 },
    prepare: (page) =>
      page.route('**/api/v1/streams', (route) => route.fulfill({ json: { streams: [] } })),
  });
  await opened.page.getByRole('heading', { name: 'No cameras yet' }).waitFor();
  expect(await violations(opened.page)).toEqual([]);
});

test.each(['light', 'dark'] as const)(
  'axe finds nothing on tiles without a live picture, %s',
  async (colorScheme) => {
    const since = new Date(Date.now() - 35_000).toISOString();
    const waiting = { state: 'waiting', reason: 'No picture arrives.', since, bytes: 0, lost: 0 };
    const failed = { ...waiting, state: 'failed', reason: 'The disk is read-only.' };
    opened = await open(browser, {
      colorScheme,
      reducedMotion: 'reduce',
      prepare: async (page) => {
        await page.routeWebSocket(/\/live\//, (route) => route.close());
        await page.route('**/snap/**', (route) => route.abort());
        await streams(page, (demo) => [
          {
            ...demo,
            name: 'back-door',
            state: 'offline',
            reason: 'refused',
            since,
            recording: waiting,
          },
          { ...demo, name: 'gate', state: 'starting', since, recording: waiting },
          { ...demo, name: 'yard', recording: failed, last_frame_age_ms: 9_000 },
          { ...demo, name: 'dock', recording: null },
        ]);
      },
    });
    const { page } = opened;
    await mode(streamOf(page, 'back-door'), /^No signal/);
    await mode(streamOf(page, 'yard'), /^Interrupted: connection lost/);
    expect(await streamOf(page, 'yard').textContent()).toContain('No picture for 9 s');
    expect(await streamOf(page, 'dock').textContent()).toContain('Recording is off');
    // One reason is given once.
    expect(await streamOf(page, 'back-door').textContent()).toMatch(
      /No signal for \d+ s – refused.*Not recording: no picture from the camera/,
    );
    expect(await violations(page)).toEqual([]);
    await page.screenshot({ path: join(RESULTS, `dead-${colorScheme}.png`) });
  },
);

test('the focus follows into a stream and back, and Escape leads back', async () => {
  opened = await open(browser);
  const { page } = opened;
  await mode(streamOf(page), /^Live/);
  const focused = () =>
    page.evaluate(() => document.activeElement?.textContent?.replace(/\s+/g, ' ').trim());
  await page.getByRole('link', { name: 'Enlarge demo' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'All streams' }).waitFor();
  await expect.poll(focused).toBe('demo');
  await page.locator('.health summary').click();
  await page.keyboard.press('Escape');
  // The first Escape closed the panel only.
  expect(await page.locator('.health').getAttribute('open')).toBe(null);
  expect(new URL(page.url()).hash).toBe('#/demo');
  await page.keyboard.press('Escape');
  await expect.poll(() => new URL(page.url()).hash).toBe('#/');
  await expect.poll(focused).toMatch(/^Enlarge demo/);
});

test.each(['', '#/demo', 'timeline?cam=demo'])('320 px is wide enough for /%s', async (hash) => {
  opened = await open(browser, { hash, viewport: { width: 320, height: 640 } });
  await shows(opened.page, hash);
  const [page, screen] = await opened.page.evaluate(() => [
    document.documentElement.scrollWidth,
    innerWidth,
  ]);
  expect(page).toBeLessThanOrEqual(screen ?? 0);
});

test('everything is reached by keyboard, and where one is can be seen', async () => {
  opened = await open(browser);
  const { page } = opened;
  await mode(streamOf(page), /^Live/);
  const seen: string[] = [];
  for (;;) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement === document.body)) break;
    const [name, outlined] = await page.evaluate(() => {
      const at = document.activeElement;
      const marked = (one: Element | null | undefined) =>
        one && getComputedStyle(one).outlineStyle !== 'none';
      return [
        at?.getAttribute('aria-label') ?? at?.textContent ?? '',
        Boolean(marked(at) || marked(at?.closest('label'))),
      ] as const;
    });
    expect.soft(outlined, `focus on ${name} can be seen`).toBe(true);
    seen.push(name.trim());
  }
  expect(seen).toEqual(
    expect.arrayContaining([
      'Skip to the streams',
      'Enlarge demo',
      'Copy RTSP address of demo',
      'Copy HLS address of demo',
    ]),
  );
});

/** Waits for the live or the recorded picture. */
async function shows(page: Page, hash: string): Promise<void> {
  if (!hash.startsWith('timeline')) return mode(streamOf(page), /^Live/);
  await expect.poll(() => page.locator('.at').textContent(), { timeout: 15_000 }).toMatch(/\d:\d/);
}
