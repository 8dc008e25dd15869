// The update of the box, on a box in memory.

import { Buffer } from 'node:buffer';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { violations } from './axe';
import { close, launch, type Opened } from './browser';
import { FakeBox } from './fake-box';
import { LOOKS, openOn } from './fake-net';
import { button, field, fits, shot } from './forms';

let browser: Browser;
let opened: Opened;
beforeAll(async () => void (browser = await launch()));
afterAll(() => browser.close());
afterEach(() => close(opened));

async function system(box: FakeBox, options: Parameters<typeof openOn>[2] = {}): Promise<Page> {
  box.session = 'ada';
  opened = await openOn(browser, box, { ...options, hash: '#system' });
  return opened.page;
}

function updated(update: FakeBox['update']): FakeBox {
  const box = FakeBox.claimed();
  box.update = update;
  return box;
}

const FILE = {
  name: 'new.raucb',
  mimeType: 'application/octet-stream',
  buffer: Buffer.from('new'),
};

describe.each(LOOKS)('at $viewport.width, $colorScheme', ({ viewport, colorScheme }) => {
  test('axe finds nothing', async () => {
    const page = await system(updated({ state: 'none' }), { viewport, colorScheme });
    await page.getByText('Version 0.1.0 runs.').waitFor();
    expect(await violations(page)).toEqual([]);
    await fits(page);
    await shot(page, `system-${colorScheme}`);
  });
});

test('an update is uploaded, then installed', async () => {
  const page = await system(updated({ state: 'none' }));
  await field(page, 'Update file (.raucb)').setInputFiles(FILE);
  await button(page, 'Upload').click();
  await page.getByText('Version 0.2.0 is ready.').waitFor();
  expect(await violations(page)).toEqual([]);
  await button(page, 'Install and restart').click();
  await page.getByText('Installing 0.2.0. Recording goes on.').waitFor();
  expect(await violations(page)).toEqual([]);
});

test('what was refused is said, and another file may be chosen', async () => {
  const message = 'The update is for another board.';
  const page = await system(updated({ state: 'refused', message }));
  await page.getByText(message).waitFor();
  await field(page, 'Update file (.raucb)').waitFor();
});

test('a box that has no updates says so', async () => {
  const page = await system(updated(null));
  await page.getByText('This system is not updated by images.').waitFor();
  expect(await button(page, 'Upload').count()).toBe(0);
});

test('a factory reset wants the name of the box', async () => {
  const box = updated({ state: 'none' });
  const page = await system(box);
  await field(page, 'Name of this box').fill('another');
  await button(page, 'Delete everything').click();
  await page.getByText('send its name: holdfast-1a2b.').waitFor();
  expect(box.reset).toBe(false);
  await field(page, 'Name of this box').fill('holdfast-1a2b');
  await button(page, 'Delete everything').click();
  await page.getByText('The box deletes everything and starts again.').waitFor();
  expect(box.reset).toBe(true);
});
