// What an installer does on site: from another computer, on a box and with a camera that are real.

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { close, flows, HOST, launch, mode, open, streamOf } from '../browser';
import { button, field, heading, shot } from '../forms';

const PASSWORD = 'correct horse battery';
/** A title that would do harm if it were anything but text. */
const MARKUP = '<img src=x onerror="throw 1"> gate';
const key = process.env['HOLDFAST_SPKI'] ?? '';
const code = process.env['HOLDFAST_CLAIM_CODE'] ?? '';
const camera = process.env['HOLDFAST_CAMERA'] ?? '';
const camera_password = process.env['HOLDFAST_CAMERA_PASSWORD'] ?? '';

let browser: Browser;
beforeAll(async () => {
  browser = await launch([`--ignore-certificate-errors-spki-list=${key}`]);
});
afterAll(() => browser.close());

test('claims the box, signs in over https, and sees a camera before it is saved', async () => {
  const opened = await open(browser, { base: `https://${HOST}/` });
  const { page } = opened;
  await heading(page, 'Claim this box').waitFor();
  const own = page.getByRole('img', { name: 'What own sees' });
  await expect.poll(() => own.evaluate((img: HTMLImageElement) => img.naturalWidth)).toBe(320);
  await field(page, 'Code of the box').fill(code);
  await field(page, 'Your name').fill('ada');
  await field(page, 'Password').fill(PASSWORD);
  await field(page, 'Password again').fill(PASSWORD);
  await button(page, 'Claim').click();
  await mode(streamOf(page, 'own'), /^Live/);
  await page.locator('.account summary').click();
  await button(page, 'Sign out').click();
  await heading(page, 'Sign in').waitFor();
  await field(page, 'Name').fill('ada');
  await field(page, 'Password').fill(PASSWORD);
  await button(page, 'Sign in').click();
  await page.locator('.account summary').click();
  await page.getByRole('link', { name: 'Add camera' }).click();
  await field(page, 'Address of the camera').fill(camera);
  await button(page, 'Try').click();
  await page.getByText('The camera asks for a user name and password.').waitFor();
  await field(page, 'User name of the camera').fill('viewer');
  await field(page, 'Password of the camera').fill(camera_password);
  await button(page, 'Try').click();
  await heading(page, 'The camera answers').waitFor();
  const seen = page.getByRole('img', { name: 'What the camera sees' });
  await expect
    .poll(() => seen.evaluate((img: HTMLImageElement) => img.naturalWidth))
    .toBeGreaterThan(100);
  const list = await page.evaluate(async () => (await fetch('api/v1/streams')).text());
  expect(list).not.toContain('"gate"');
  await field(page, 'Name').fill('gate');
  await shot(page, 'installer');
  await button(page, 'Save camera').click();
  await mode(streamOf(page, 'gate'), /^Live/);
  await flows(streamOf(page, 'gate'));
  await changesIt(page);
  await close(opened);
});

/** What people do later: another title, a fault that is said where it is, and the way back. */
async function changesIt(page: Page): Promise<void> {
  await page.getByRole('link', { name: 'Settings' }).click();
  await heading(page, 'Settings of gate').waitFor();
  await field(page, 'Title').fill(MARKUP);
  await field(page, 'Place in the list').fill('first');
  await button(page, 'Save').click();
  const order = field(page, 'Place in the list');
  await expect.poll(() => order.getAttribute('aria-invalid')).toBe('true');
  await order.fill('1');
  await field(page, 'Keep at most').fill('64MiB');
  await shot(page, 'installer-settings');
  await button(page, 'Save').click();
  await heading(page, `Settings of ${MARKUP}`).waitFor();
  expect(await field(page, 'Keep at most').inputValue()).toBe('64MiB');
  await button(page, 'Take it back').click();
  await heading(page, 'Settings of gate').waitFor();
  await field(page, 'Record it').uncheck();
  await button(page, 'Save').click();
  await page.getByText('Saved.').waitFor();
  await field(page, 'Switched on').uncheck();
  await button(page, 'Save').click();
  await page.getByText('Saved.').waitFor();
  // A stream that is switched off is found by the box's settings.
  await page.evaluate(() => (location.hash = '#settings'));
  await page.getByText('switched off').waitFor();
  await page.getByRole('link', { name: 'Settings of gate' }).click();
  await button(page, 'Remove this stream').click();
  await button(page, 'Remove gate').click();
  await streamOf(page, 'own').waitFor();
  expect(await page.evaluate(async () => (await fetch('api/v1/streams')).text())).not.toContain(
    '"gate"',
  );
  await page.evaluate(() => (location.hash = '#credentials'));
  await field(page, 'Name').fill('nvr');
  await field(page, 'Belongs to').selectOption('ada');
  await button(page, 'Add').click();
  // The box of this test serves no RTSP, so it has no address to show.
  await page.getByLabel('The password').waitFor();
  await page.getByText('Watches all streams · belongs to ada').waitFor();
  await shot(page, 'installer-credentials');
  await button(page, 'Remove nvr').click();
  await page.getByRole('group', { name: 'Remove nvr' }).getByRole('button').first().click();
  await page.getByText('None yet.').waitFor();
}
