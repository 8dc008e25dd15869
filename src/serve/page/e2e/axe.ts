// What axe finds on a page: rules of WCAG 2.2 AA and good practice.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type axe from 'axe-core';
import type { Page } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export async function violations(page: Page): Promise<string[]> {
  // Through the debugger, because the page's own policy would refuse a script tag.
  await page.evaluate(AXE);
  const found = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run({
      rules: { 'target-size': { enabled: true } },
    }),
  );
  return found.violations.map(
    (one) =>
      `${one.id}: ${one.help} at ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`,
  );
}
