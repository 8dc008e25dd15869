// The way in on the real, unclaimed daemon: claim, log-out, log-in, a viewer, a lost session. Each
// test continues where the one before left the box.

import { execFileSync } from 'node:child_process';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, afterEach, expect, test } from 'vitest';
import { close, DIRECT, launch, mode, open, type Opened, streamOf } from '../browser';
import { button, field, heading, shot } from '../forms';

const CODE = process.env['HOLDFAST_CLAIM_CODE'] ?? '';
const PASSWORD = 'correct horse battery';
/** Ends a person's sessions from outside, as root of the box would. */
const NEW_PASSWORD = 'another long password';

let browser: Browser;
let opened: Opened;
beforeAll(async () => void (browser = await launch()));
afterAll(() => browser.close());
afterEach(() => close(opened));

async function openPage(hash = ''): Promise<Page> {
  opened = await open(browser, { hash });
  return opened.page;
}

async function signIn(page: Page, name: string, password = PASSWORD): Promise<void> {
  await heading(page, 'Sign in').waitFor();
  await field(page, 'Name').fill(name);
  await field(page, 'Password').fill(password);
  await button(page, 'Sign in').click();
}

test('an unclaimed box shows the claim view, what its own camera sees, and no stream', async () => {
  const page = await openPage();
  await heading(page, 'Claim this box').waitFor();
  expect(await page.locator('video').count()).toBe(0);
  expect((await fetch(new URL('/api/v1/streams', DIRECT))).status).toBe(403);
  const seen = page.getByRole('img', { name: 'What demo sees' });
  await expect.poll(() => seen.evaluate((img: HTMLImageElement) => img.naturalWidth)).toBe(320);
  await field(page, 'Code of the box').fill('AAAA-2222');
  await field(page, 'Your name').fill('hedwig');
  await field(page, 'Password').fill(PASSWORD);
  await field(page, 'Password again').fill(PASSWORD);
  await button(page, 'Claim').click();
  await page.getByRole('alert').getByText('not the code of this box').waitFor();
  await shot(page, 'real-claim');
});

test('the code of the box claims it and signs in', async () => {
  const page = await openPage(`#c=${CODE}`);
  await field(page, 'Your name').fill('hedwig');
  await field(page, 'Password').fill('the owl is hedwig');
  await field(page, 'Password again').fill('the owl is hedwig');
  await button(page, 'Claim').click();
  await page
    .getByRole('alert')
    .getByText(/must not contain/)
    .waitFor();
  await field(page, 'Password').fill(PASSWORD);
  await field(page, 'Password again').fill(PASSWORD);
  await button(page, 'Claim').click();
  await mode(streamOf(page), /^Live/);
  await page.locator('.account summary').click();
  await page.getByRole('link', { name: 'People' }).click();
  await field(page, 'Name').fill('bob');
  await field(page, 'First password').fill(PASSWORD);
  await button(page, 'Add').click();
  await page.getByText('bob can sign in now.').waitFor();
  await shot(page, 'real-people');
});

test('a claimed box has no preview any more', async () => {
  expect((await fetch(new URL('/api/v1/preview', DIRECT))).status).toBe(409);
  expect((await fetch(new URL('/api/v1/preview/demo.jpg', DIRECT))).status).toBe(409);
  const page = await openPage();
  await heading(page, 'Sign in').waitFor();
  expect(await heading(page, 'What it sees now').count()).toBe(0);
});

test('a wrong password is refused, the right one lets in, and signing out ends it', async () => {
  const page = await openPage('#/demo');
  await signIn(page, 'hedwig', 'wrong');
  await page.getByRole('alert').getByText(/wrong/).waitFor();
  await field(page, 'Password').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await heading(page, 'demo').waitFor();
  await mode(streamOf(page), /^Live/);
  await page.locator('.account summary').click();
  await button(page, 'Sign out').click();
  await heading(page, 'Sign in').waitFor();
  await expect.poll(() => opened.watch.sockets()).toBe(0);
  await page.reload();
  await heading(page, 'Sign in').waitFor();
});

test('a viewer watches live and recordings, and is offered nothing else', async () => {
  const page = await openPage();
  await signIn(page, 'bob');
  await mode(streamOf(page), /^Live/);
  expect(await heading(page, 'Exports').count()).toBe(0);
  await page.locator('.account summary').click();
  expect(await page.getByRole('link', { name: 'People' }).count()).toBe(0);
  await page.locator('.health summary').click();
  await page.getByText('Only admins see the details.').waitFor();
  await page.goto(new URL('timeline?cam=demo', page.url()).href);
  await page.getByRole('heading', { name: 'demo recordings' }).waitFor();
  await expect.poll(() => page.locator('.at').textContent(), { timeout: 15_000 }).toMatch(/\d:\d/);
  expect(await button(page, '[ Set start').count()).toBe(0);
});

test('a session that is lost ends the picture, and the log-in leads back to it', async () => {
  const page = await openPage('#/demo');
  await signIn(page, 'bob');
  await mode(streamOf(page), /^Live/);
  // From outside, as a user with a shell on the box can.
  const command = (process.env['HOLDFAST_PASSWORD_COMMAND'] ?? '').split(' ');
  execFileSync(command[0] ?? '', command.slice(1), { input: NEW_PASSWORD });
  await page.getByText('Your session has ended.').waitFor();
  await expect.poll(() => opened.watch.sockets()).toBe(0);
  expect(await field(page, 'Name').inputValue()).toBe('bob');
  await field(page, 'Password').fill(NEW_PASSWORD);
  await button(page, 'Sign in').click();
  await heading(page, 'demo').waitFor();
  await mode(streamOf(page), /^Live/);
});
