// A change of the configuration that may lock people out, on the real daemon.

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { violations } from './axe';
import { close, DIRECT, HOST, launch, open, type Opened } from './browser';
import { button, shot } from './forms';

let browser: Browser;
let opened: Opened;
beforeAll(async () => void (browser = await launch()));
afterAll(() => browser.close());
afterEach(() => close(opened));

/** Names by which the box may be called; one that goes may lock people out. */
async function call(names: string[], secs: number): Promise<void> {
  const url = new URL(`/api/v1/config/settings?confirm_within=${secs}`, DIRECT);
  const headers = { 'If-Match': '*', 'Content-Type': 'application/json' };
  const body = JSON.stringify({ http: { hosts: names } });
  const answer = await fetch(url, { method: 'PATCH', headers, body });
  expect(answer.status).toBe(200);
}

async function called(): Promise<unknown> {
  const answer = await fetch(new URL('/api/v1/config/settings', DIRECT));
  return ((await answer.json()) as { http: { hosts: unknown } }).http.hosts;
}

async function page(): Promise<Page> {
  await call([HOST, 'spare.test'], 90);
  opened = await open(browser);
  await button(opened.page, 'Timeline').or(opened.page.getByRole('article')).first().waitFor();
  return opened.page;
}

test('it is kept by whoever still reaches the box', async () => {
  const shown = await page();
  await call([HOST], 60);
  await shown.getByText(/Goes back in \d+ s/).waitFor();
  expect(await violations(shown)).toEqual([]);
  await shot(shown, 'unconfirmed');
  await button(shown, 'Keep this change').click();
  await shown.getByText('The change of the configuration stays.').waitFor();
  const state = await fetch(new URL('/api/v1/config', DIRECT));
  expect(await state.json()).not.toHaveProperty('confirm_within');
  expect(await called()).toEqual([HOST]);
  await button(shown, 'OK').click();
  await expect.poll(() => shown.getByText('The change of the configuration').count()).toBe(0);
});

test('it goes back by itself, and the page says so', async () => {
  const shown = await page();
  await call([HOST], 5);
  await button(shown, 'Keep this change').waitFor();
  await shown.getByText('Nobody kept the change of the configuration').waitFor();
  expect(await called()).toEqual([HOST, 'spare.test']);
});
