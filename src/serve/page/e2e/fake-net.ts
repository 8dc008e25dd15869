// Puts a box in memory behind the network of a page.
//
// Owns: the routes. Whatever the box in memory does not know is left to the real daemon.

import type { Page } from 'playwright-core';
import type { FakeBox } from './fake-box';

/** Answers the page's requests to the API out of `box`. */
export async function answerFrom(page: Page, box: FakeBox): Promise<void> {
  await page.route(/\/(api\/v1\/|ca\.pem$)/, async (route) => {
    const request = route.request();
    const answered = box.answer({
      method: request.method(),
      path: new URL(request.url()).pathname.slice(1),
      headers: new Headers(request.headers()),
      body: request.postDataJSON() as unknown,
    });
    const body = answered.status === 204 ? '' : JSON.stringify(answered.json);
    const headers = { 'content-type': 'application/json', ...answered.headers };
    // The page may have been closed in the meantime.
    await route.fulfill({ status: answered.status, headers, body }).catch(() => undefined);
  });
}
