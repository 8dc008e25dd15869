// The browser tests: `HOLDFAST_URL=http://127.0.0.1:8080 npm run e2e`, against a running daemon
// that has the pattern stream "demo" and is open to this computer; with HOLDFAST_CLAIM_CODE those
// of the way in, against an unclaimed one; with HOLDFAST_CAMERA too those of the installer.

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Each kind needs a daemon of its own. */
function tests(): string {
  if (process.env['HOLDFAST_CAMERA']) return 'e2e/installer/*.e2e.ts';
  return process.env['HOLDFAST_CLAIM_CODE'] ? 'e2e/unclaimed/*.e2e.ts' : 'e2e/*.e2e.ts';
}

export default defineConfig({
  test: {
    root: dirname(dirname(fileURLToPath(import.meta.url))),
    include: [tests()],
    // Software decoding on two cores: one browser at a time, and patience.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
  },
});
