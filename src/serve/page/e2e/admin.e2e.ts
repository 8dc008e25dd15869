// People and cameras, on a box in memory.

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { violations } from './axe';
import { close, launch, type Opened } from './browser';
import { FakeBox, PASSWORD, TOKEN } from './fake-box';
import { GATE, LOOKS, openOn as openPage } from './fake-net';
import { button, field, fits, heading, shot } from './forms';

let browser: Browser;
let opened: Opened;
beforeAll(async () => void (browser = await launch()));
afterAll(() => browser.close());
afterEach(() => close(opened));

async function openOn(
  box: FakeBox,
  hash: string,
  options: Parameters<typeof openPage>[2] = {},
): Promise<Page> {
  box.session = 'ada';
  opened = await openPage(browser, box, { ...options, hash });
  return opened.page;
}

function household(): FakeBox {
  const box = FakeBox.claimed();
  const bob = { role: 'viewer' as const, streams: ['gate'], past: false, password: PASSWORD };
  box.people.set('bob', { name: 'bob', ...bob });
  box.streams = [GATE, { ...GATE, name: 'yard' }];
  const source = { kind: 'rtsp_pull', url: 'rtsp://10.0.0.7/main', password: { set: true } };
  box.cameras.set('gate', { source });
  return box;
}

describe.each(LOOKS)('at $viewport.width, $colorScheme', ({ viewport, colorScheme }) => {
  test('axe finds nothing', async () => {
    const page = await openOn(household(), '#people', { viewport, colorScheme });
    await button(page, 'Change bob').click();
    await button(page, 'Remove bob').click();
    await button(page, 'Change ada').click();
    expect(await violations(page)).toEqual([]);
    await fits(page);
    await shot(page, `people-${colorScheme}`);
    await page.evaluate(() => (location.hash = '#tokens'));
    await field(page, 'What is it for?').fill('Prometheus');
    await button(page, 'Make').click();
    await button(page, 'Revoke Prometheus').click();
    expect(await violations(page)).toEqual([]);
    await fits(page);
    await shot(page, `tokens-${colorScheme}`);
    await page.evaluate(() => (location.hash = '#credentials'));
    await field(page, 'Name').fill('nvr');
    await button(page, 'Add').click();
    await button(page, 'Remove nvr').click();
    expect(await violations(page)).toEqual([]);
    await fits(page);
    await shot(page, `credentials-${colorScheme}`);
    await page.evaluate(() => (location.hash = '#settings/gate'));
    await field(page, 'Title').fill('Gate');
    await button(page, 'Remove this stream').click();
    expect(await violations(page)).toEqual([]);
    await fits(page);
    await shot(page, `settings-${colorScheme}`);
    await page.evaluate(() => (location.hash = '#settings'));
    await field(page, 'Size of the recordings').waitFor();
    expect(await violations(page)).toEqual([]);
    await fits(page);
    await page.evaluate(() => (location.hash = '#add-camera'));
    await field(page, 'Address of the camera').fill('rtsp://10.0.0.7:554/main');
    await field(page, 'User name of the camera').fill('viewer');
    await field(page, 'Password of the camera').fill('secret');
    expect(await violations(page)).toEqual([]);
    await button(page, 'Try').click();
    await heading(page, 'The camera answers').waitFor();
    expect(await violations(page)).toEqual([]);
    await fits(page);
    await shot(page, `camera-${colorScheme}`);
  });
});

test('a person is added, changed and removed', async () => {
  const box = household();
  const page = await openOn(box, '#people');
  await page.getByText('Viewer · gate · live only').waitFor();
  await field(page, 'Name').fill('eve');
  await field(page, 'First password').fill('eve');
  await button(page, 'Add').click();
  await page.getByText('The password is too short, or holds the name.').waitFor();
  await field(page, 'First password').fill('a long first one');
  const add = page.getByRole('form', { name: 'Add a person' });
  await add.getByLabel('operator also exports footage').check();
  await add.getByLabel('Only these').check();
  await add.getByLabel('yard').uncheck();
  await button(page, 'Add').click();
  await page.getByText('eve can sign in now.').waitFor();
  expect(box.people.get('eve')).toEqual({
    name: 'eve',
    role: 'operator',
    streams: ['gate'],
    past: true,
    password: 'a long first one',
  });
  await button(page, 'Change eve').click();
  const row = page.getByRole('listitem').filter({ hasText: 'eve' }).first();
  await row.getByLabel('viewer watches').check();
  await row.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Viewer · gate · live and recordings').waitFor();
  expect(box.people.get('eve')).toMatchObject({ role: 'viewer', password: 'a long first one' });
  await button(page, 'Remove eve').first().click();
  await page.getByText('eve is signed out at once').waitFor();
  await row.getByRole('button', { name: 'Remove eve' }).last().click();
  await expect.poll(() => box.people.has('eve')).toBe(false);
  await expect.poll(() => page.getByText('eve', { exact: true }).count()).toBe(0);
});

test('an account of a recorder is made, shown once, given another password and removed', async () => {
  const box = household();
  const page = await openOn(box, '#credentials');
  await page.getByText('None yet.').waitFor();
  const add = page.getByRole('form', { name: 'Add a player or recorder' });
  await field(page, 'Name').fill('nvr');
  await add.getByRole('group', { name: 'Watches' }).getByLabel('Only these').check();
  await add.getByRole('group', { name: 'Watches' }).getByLabel('yard').uncheck();
  await field(page, 'Belongs to').selectOption('bob');
  await button(page, 'Add').click();
  await page.getByText(PASSWORD, { exact: true }).waitFor();
  await page.getByText('rtsp://nvr@box.test:8554/gate').waitFor();
  expect(box.credentials[0]).toMatchObject({ read: ['gate'], publish: [], owner: 'bob' });
  await button(page, 'I have copied it').click();
  expect(await page.getByText(PASSWORD, { exact: true }).count()).toBe(0);
  await page.getByText('Watches gate · belongs to bob · not used since the box began').waitFor();
  await field(page, 'Name').fill('nvr');
  await button(page, 'Add').click();
  await page.getByText('There is one of this name already.').waitFor();
  await button(page, 'New password for nvr').click();
  await button(page, 'Change the password of nvr').click();
  await page.getByText(`${PASSWORD} anew`).waitFor();
  await button(page, 'Remove nvr').click();
  await page.getByRole('group', { name: 'Remove nvr' }).getByRole('button').first().click();
  await expect.poll(() => box.credentials.length).toBe(0);
});

test('a token is made, shown once, and revoked', async () => {
  const box = household();
  const page = await openOn(box, '#tokens');
  await page.getByText('No tokens yet.').waitFor();
  await field(page, 'What is it for?').fill(' ');
  await button(page, 'Make').click();
  await page.getByText('A label has 1 to 64 characters.').waitFor();
  await field(page, 'What is it for?').fill('Home Assistant');
  await page.getByLabel('Only these').check();
  await page.getByLabel('yard').uncheck();
  await page.getByLabel('30 days').check();
  await button(page, 'Make').click();
  await page.getByText(TOKEN).waitFor();
  const made = box.tokens[0];
  expect(made).toMatchObject({ label: 'Home Assistant', role: 'viewer', streams: ['gate'] });
  const days = (Date.parse(String(made?.['expires'])) - Date.now()) / 86_400_000;
  expect(days).toBeGreaterThan(29);
  expect(days).toBeLessThan(31);
  await button(page, 'I have copied it').click();
  expect(await page.getByText(TOKEN).count()).toBe(0);
  await page.getByText('Viewer · gate · live and recordings').waitFor();
  await field(page, 'What is it for?').fill('Prometheus');
  await page.getByLabel('Figures only').check();
  await page.getByLabel('Until it is revoked').check();
  await button(page, 'Make').click();
  await page.getByText('Figures only (/metrics)').waitFor();
  expect(box.tokens[1]).toMatchObject({ label: 'Prometheus', scope: 'metrics', expires: null });
  await page.reload();
  await page.getByText('Figures only (/metrics)').waitFor();
  expect(await page.getByText(TOKEN).count()).toBe(0);
  await button(page, 'Revoke Prometheus').click();
  await page.getByText('Whatever uses this token is shut out at once.').waitFor();
  await button(page, 'Revoke Prometheus').last().click();
  await expect.poll(() => box.tokens.length).toBe(1);
  await expect.poll(() => page.getByText('Figures only (/metrics)').count()).toBe(0);
});

test('the last admin stays one', async () => {
  const box = household();
  const page = await openOn(box, '#people');
  expect(await button(page, 'Remove ada').count()).toBe(0);
  await button(page, 'Change ada').click();
  const row = page.getByRole('listitem').filter({ hasText: 'ada' }).first();
  await row.getByLabel('viewer watches').check();
  await row.getByRole('button', { name: 'Save' }).click();
  await page.getByText('The last admin cannot be removed.').waitFor();
  expect(box.people.get('ada')?.role).toBe('admin');
});

test('a camera is tried, seen, and saved', async () => {
  const box = household();
  const page = await openOn(box, '#add-camera');
  await field(page, 'Address of the camera').fill('ftp://10.0.0.7/');
  await button(page, 'Try').click();
  await page.getByText('An address begins with rtsp:// or http://').waitFor();
  await field(page, 'Address of the camera').fill('rtsp://10.9.9.9/main');
  await button(page, 'Try').click();
  await page.getByText('Nothing answers at this address.').waitFor();
  expect(await button(page, 'Save camera').count()).toBe(0);
  await field(page, 'Address of the camera').fill('rtsp://10.0.0.7:554/main');
  await field(page, 'User name of the camera').fill('viewer');
  await button(page, 'Try').click();
  await page.getByText('The camera wants other credentials.').waitFor();
  await field(page, 'Password of the camera').fill('secret');
  await button(page, 'Try').click();
  await page
    .getByText('H.265 · 2560×1440 · 20 fps · a key frame every 10 s · 4.1 Mbit/s')
    .waitFor();
  await page.getByText('Set the interval to 1 or 2 s in the camera.').waitFor();
  const seen = page.getByRole('img', { name: 'What the camera sees' });
  await expect.poll(() => seen.evaluate((img: HTMLImageElement) => img.naturalWidth)).toBe(64);
  expect(await field(page, 'Name').inputValue()).toBe('camera-10-0-0-7');
  await field(page, 'Name').fill('gate');
  await button(page, 'Save camera').click();
  await page.getByText('There is a camera of this name already.').waitFor();
  await field(page, 'Name').fill('back-door');
  await button(page, 'Save camera').click();
  await expect
    .poll(() => box.cameras.get('back-door'))
    .toEqual({
      source: {
        kind: 'rtsp_pull',
        url: 'rtsp://10.0.0.7:554/main',
        username: 'viewer',
        password: 'secret',
      },
    });
  await expect.poll(() => new URL(page.url()).hash).toBe('#/back-door');
});

test('the transport can be chosen, and what is saved is what was tried', async () => {
  const box = household();
  const page = await openOn(box, '#add-camera');
  const transport = page.getByRole('combobox', { name: 'Transport' });
  await field(page, 'Address of the camera').fill('http://10.0.0.7/video.mjpg');
  await expect.poll(() => transport.count()).toBe(0);
  await field(page, 'Address of the camera').fill('rtsp://10.0.0.7/main');
  expect(await transport.inputValue()).toBe('auto');
  await transport.selectOption('UDP');
  await field(page, 'User name of the camera').fill('viewer');
  await field(page, 'Password of the camera').fill('secret');
  await button(page, 'Try').click();
  await heading(page, 'The camera answers').waitFor();
  expect(box.tried.at(-1)).toMatchObject({ transport: 'udp' });
  await transport.selectOption('TCP');
  expect(await button(page, 'Save camera').count()).toBe(0);
  await transport.selectOption('UDP');
  await field(page, 'Name').fill('back-door');
  await button(page, 'Save camera').click();
  const source = { kind: 'rtsp_pull', transport: 'udp' };
  await expect.poll(() => box.cameras.get('back-door')).toMatchObject({ source });
});

test('another address than the one that was tried cannot be saved', async () => {
  const page = await openOn(household(), '#add-camera');
  await field(page, 'Address of the camera').fill('rtsp://10.0.0.7/main');
  await field(page, 'User name of the camera').fill('viewer');
  await field(page, 'Password of the camera').fill('secret');
  await button(page, 'Try').click();
  await heading(page, 'The camera answers').waitFor();
  await field(page, 'Address of the camera').fill('rtsp://10.0.0.7/other');
  expect(await button(page, 'Save camera').count()).toBe(0);
});
