// Exports on the page: begun by a form, watched, downloaded, removed.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type axe from 'axe-core';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { close, launch, mode, open, type Opened, RESULTS, streamOf } from './browser';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let browser: Browser;
let opened: Opened;
beforeAll(async () => void (browser = await launch()));
afterAll(() => browser.close());
beforeEach(async () => {
  opened = await open(browser, { viewport: { width: 360, height: 740 }, reducedMotion: 'reduce' });
  await mode(streamOf(opened.page), /^Live/);
});
afterEach(() => close(opened));

test('an export is begun, becomes ready, is downloaded and removed', async () => {
  const { page } = opened;
  const section = page.getByRole('region', { name: 'Exports' });
  await section.getByText('New export').click();
  await section.getByRole('button', { name: 'Export as signed ZIP' }).click();
  await section.getByText(/^Ready/).waitFor({ timeout: 20_000 });
  await page.evaluate(AXE);
  const found = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run('.exports'),
  );
  expect(found.violations.map((one) => one.id)).toEqual([]);
  await section.screenshot({ path: join(RESULTS, 'exports.png') });
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    section.getByRole('link', { name: /^Download the export of demo/ }).click(),
  ]);
  expect(download.suggestedFilename()).toMatch(/^demo-.*\.zip$/);
  expect(
    readFileSync(await download.path())
      .subarray(0, 4)
      .toString('latin1'),
  ).toBe('PK\x03\x04');
  await section.getByRole('button', { name: /^Remove the export of demo/ }).click();
  await expect.poll(() => section.locator('li').count()).toBe(0);
});

test('a range that makes no sense is refused in words, and so is what only the box can know', async () => {
  const section = opened.page.getByRole('region', { name: 'Exports' });
  await section.getByText('New export').click();
  const submit = section.getByRole('button', { name: 'Export as signed ZIP' });
  await section.getByLabel('End').fill('2020-01-01T00:00:00');
  await submit.click();
  await section.getByText('The start must be earlier than the end.').waitFor();
  await section.getByLabel('Start').fill('2190-01-01T00:00:00');
  await section.getByLabel('End').fill('2190-01-01T01:00:00');
  await submit.click();
  await expect
    .poll(() => section.getByRole('alert').textContent())
    .not.toBe('The start must be earlier than the end.');
  expect(await section.getByRole('alert').textContent()).toMatch(/^[^`]+\.$/);
});
