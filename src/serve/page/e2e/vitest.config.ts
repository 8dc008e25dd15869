// The browser tests: `HOLDFAST_URL=http://127.0.0.1:8080 npm run e2e`, against a running daemon
// that has the pattern stream "demo".

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: dirname(dirname(fileURLToPath(import.meta.url))),
    include: ['e2e/**/*.e2e.ts'],
    // Software decoding on two cores: one browser at a time, and patience.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
  },
});
