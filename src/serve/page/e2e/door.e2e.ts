// Claim, log-in and what each role is offered, on a box in memory: every answer the real one could
// give is at hand. `browser.rs` looks at the same on the real daemon.

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { violations } from './axe';
import { close, launch, type Opened } from './browser';
import { CODE, FakeBox, PASSWORD } from './fake-box';
import { GATE, LOOKS, openOn as openPage } from './fake-net';
import { button, field, fits, heading, shot } from './forms';

let browser: Browser;
let opened: Opened;
beforeAll(async () => void (browser = await launch()));
afterAll(() => browser.close());
afterEach(() => close(opened));

/** The camera, recorded. */
const RECORDED = { ...GATE, recording: { state: 'waiting', reason: null, bytes: 0, lost: 0 } };

async function openOn(box: FakeBox, options: Parameters<typeof openPage>[2] = {}): Promise<Page> {
  opened = await openPage(browser, box, options);
  return opened.page;
}

const focused = (page: Page) => page.evaluate(() => document.activeElement?.getAttribute('name'));

async function signIn(page: Page, name: string, password = PASSWORD): Promise<void> {
  await field(page, 'Name').fill(name);
  await field(page, 'Password').fill(password);
  await button(page, 'Sign in').click();
}

describe.each(LOOKS)('at $viewport.width, $colorScheme', ({ viewport, colorScheme }) => {
  test('axe finds nothing on the way in', async () => {
    const box = new FakeBox();
    const page = await openOn(box, { viewport, colorScheme });
    await heading(page, 'Claim this box').waitFor();
    expect(await violations(page)).toEqual([]);
    await fits(page);
    await shot(page, `claim-${colorScheme}`);
    await field(page, 'Code of the box').fill('AAAA2222');
    await field(page, 'Your name').fill('ada');
    await field(page, 'Password').fill(PASSWORD);
    await field(page, 'Password again').fill(PASSWORD);
    await button(page, 'Claim').click();
    await page.getByText('This is not the code of this box.').waitFor();
    expect(await violations(page)).toEqual([]);
    await shot(page, `claim-wrong-${colorScheme}`);
    // Another person is faster.
    box.state = 'claimed';
    await heading(page, 'Sign in').waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByText('The browser warns of the secure page?').click();
    expect(await violations(page)).toEqual([]);
    await fits(page);
    await shot(page, `sign-in-${colorScheme}`);
  });

  test('axe finds nothing inside', async () => {
    const box = FakeBox.claimed();
    box.session = 'ada';
    box.streams = [GATE];
    const page = await openOn(box, { viewport, colorScheme });
    await page.locator('.account summary').click();
    expect(await violations(page)).toEqual([]);
    await fits(page);
    await shot(page, `account-${colorScheme}`);
    await page.getByRole('link', { name: 'Change password' }).click();
    await heading(page, 'Change password').waitFor();
    expect(await violations(page)).toEqual([]);
    await shot(page, `password-${colorScheme}`);
  });
});

test('claiming signs in; the code from a label is taken out of the address', async () => {
  const box = new FakeBox();
  const page = await openOn(box, { hash: `#c=${CODE}` });
  expect(await field(page, 'Code of the box').inputValue()).toBe(CODE);
  expect(page.url()).not.toContain(CODE);
  await expect.poll(() => focused(page)).toBe('username');
  await field(page, 'Your name').fill('ada');
  await field(page, 'Password').fill('too short');
  await field(page, 'Password again').fill('too short');
  await button(page, 'Claim').click();
  await page.getByText('At least 12 characters. Three or four').waitFor();
  await field(page, 'Password').fill(PASSWORD);
  await button(page, 'Claim').click();
  await page.getByText('The two passwords differ.').waitFor();
  expect(box.asked.some(({ method }) => method === 'POST')).toBe(false);
  await field(page, 'Password again').fill(PASSWORD);
  await button(page, 'Show: Password').click();
  expect(await field(page, 'Password').getAttribute('type')).toBe('text');
  await button(page, 'Claim').click();
  await page.locator('.account').waitFor();
  await heading(page, 'No cameras yet').waitFor();
});

test('the fields are those that password managers know', async () => {
  const page = await openOn(FakeBox.claimed());
  const hint = async (name: string) => field(page, name).getAttribute('autocomplete');
  expect([await hint('Name'), await hint('Password')]).toEqual(['username', 'current-password']);
  await expect.poll(() => focused(page)).toBe('username');
  expect(await page.locator('form [type=submit]').count()).toBe(1);
});

test('a wrong password is said, and too many are counted down', async () => {
  const page = await openOn(FakeBox.claimed());
  await signIn(page, 'ada', 'wrong');
  await page.getByRole('alert').getByText('Name or password is wrong.').waitFor();
  expect(await field(page, 'Password').inputValue()).toBe('');
  expect(await focused(page)).toBe('password');
  await signIn(page, 'ada', 'wrong');
  await signIn(page, 'ada', 'wrong');
  await expect.poll(() => page.getByRole('alert').textContent()).toContain('Name or password');
  await signIn(page, 'ada');
  const wait = page.getByRole('button', { name: /^Try again in 0:3\d$/ });
  await wait.waitFor();
  expect(await wait.isDisabled()).toBe(true);
  await shot(page, 'slowed-down');
});

test('a lost session leads through the log-in back to where one was', async () => {
  const box = FakeBox.claimed();
  box.session = 'ada';
  box.streams = [RECORDED];
  const page = await openOn(box, { hash: '#/gate' });
  await heading(page, 'gate').waitFor();
  box.session = null;
  await page.getByText('Your session has ended.').waitFor();
  expect(await field(page, 'Name').inputValue()).toBe('ada');
  await expect.poll(() => focused(page)).toBe('password');
  await shot(page, 'session-ended');
  await field(page, 'Password').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await heading(page, 'gate').waitFor();
  expect(new URL(page.url()).hash).toBe('#/gate');
});

test('signing out shows nothing of what was seen', async () => {
  const box = FakeBox.claimed();
  box.session = 'ada';
  box.streams = [GATE];
  const page = await openOn(box);
  await page.locator('.account summary').click();
  await button(page, 'Sign out').click();
  await heading(page, 'Sign in').waitFor();
  expect(await page.getByText('gate').count()).toBe(0);
  expect(await page.getByText('Your session has ended').count()).toBe(0);
});

test.each([
  ['viewer', { past: false }, { recordings: 0, exports: 0, people: 0 }],
  ['viewer', { past: true }, { recordings: 1, exports: 0, people: 0 }],
  ['operator', { past: true }, { recordings: 1, exports: 1, people: 0 }],
  ['admin', { past: true }, { recordings: 1, exports: 1, people: 1 }],
] as const)('a %s with %o is offered %o', async (role, more, offered) => {
  const box = FakeBox.claimed('bob', role, more);
  box.session = 'bob';
  box.streams = [RECORDED];
  const page = await openOn(box);
  await page.locator('.account summary').click();
  await page.getByRole('link', { name: 'Change password' }).waitFor();
  for (const name of ['People', 'Add camera'])
    await expect.poll(() => page.getByRole('link', { name }).count()).toBe(offered.people);
  expect(await heading(page, 'Exports').count()).toBe(offered.exports);
  await page.getByRole('link', { name: 'gate', exact: true }).click();
  await heading(page, 'gate').waitFor();
  expect(await page.getByRole('link', { name: 'Recordings' }).count()).toBe(offered.recordings);
});

test('an open box says that it is, and how it is claimed', async () => {
  const box = new FakeBox('open');
  box.streams = [GATE];
  const page = await openOn(box);
  await page.getByText('Open to this computer only').waitFor();
  await shot(page, 'open');
  await page.getByRole('link', { name: 'Claim it' }).click();
  await heading(page, 'Claim this box').waitFor();
  await page.getByText('claim = "loopback"').waitFor();
  expect(await violations(page)).toEqual([]);
  await shot(page, 'open-claim');
  await page.getByRole('link', { name: 'Show all streams' }).click();
  await page.getByText('Open to this computer only').waitFor();
});

test('the password is changed by whoever knows it', async () => {
  const box = FakeBox.claimed();
  box.session = 'ada';
  const page = await openOn(box, { hash: '#password' });
  await field(page, 'Present password').fill('wrong');
  await field(page, 'New password').fill('another long one');
  await field(page, 'New password again').fill('another long one');
  await button(page, 'Change').click();
  await page.getByText('This is not your present password.').waitFor();
  await field(page, 'Present password').fill(PASSWORD);
  await button(page, 'Change').click();
  await page.getByText('The password of ada is changed.').waitFor();
  expect(box.people.get('ada')?.password).toBe('another long one');
});
