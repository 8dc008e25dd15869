// Puts a box in memory behind the network of a page.
//
// Owns: the routes. The page itself, and media, come from the real daemon.

import type { Browser, Page } from 'playwright-core';
import { open, type Opened } from './browser';
import type { FakeBox } from './fake-box';

/** A desk and a phone; each colour scheme once. */
export const LOOKS = [
  { viewport: { width: 1440, height: 900 }, colorScheme: 'light' as const },
  { viewport: { width: 360, height: 740 }, colorScheme: 'dark' as const },
];

/** A camera that is away: no media is needed for what is tested here. */
export const GATE = {
  name: 'gate',
  state: 'offline',
  reason: 'refused',
  tracks: [],
  recording: null as object | null,
};

/** Opens the page on `box`. */
export function openOn(
  browser: Browser,
  box: FakeBox,
  options: Parameters<typeof open>[1] = {},
): Promise<Opened> {
  const prepare = (page: Page) => answerFrom(page, box);
  return open(browser, { reducedMotion: 'reduce', ...options, prepare });
}

/** Answers the page's requests to the API out of `box`. */
async function answerFrom(page: Page, box: FakeBox): Promise<void> {
  await page.route(/\/(api\/v1\/|ca\.pem$)/, async (route) => {
    const request = route.request();
    const answered = box.answer({
      method: request.method(),
      path: new URL(request.url()).pathname.slice(1),
      headers: new Headers(request.headers()),
      body: isJson(request.headers()) ? (request.postDataJSON() as unknown) : null,
    });
    const body = answered.status === 204 ? '' : JSON.stringify(answered.json);
    const headers = { 'content-type': 'application/json', ...answered.headers };
    // The page may have been closed in the meantime.
    await route.fulfill({ status: answered.status, headers, body }).catch(() => undefined);
  });
}

/** Uploads are bytes. */
function isJson(headers: Record<string, string>): boolean {
  return headers['content-type'] === 'application/json';
}
