// How old the live picture is when it reaches the screen: `HOLDFAST_URL=… node e2e/latency.mjs`,
// for `make bench`. Prints one line of JSON.
//
// Owns: the reading of the test picture's date, a row of 48 blocks at its bottom. The daemon runs
// on the same machine: its clock is this one's.

import { chromium } from 'playwright-core';

const HOST = 'box.test';
const SECS = Number(process.env.SECS ?? 20);
/** Not counted at the beginning, while the page finds the live edge, in seconds. */
const SETTLE_SECS = 5;

const target = new URL(process.env.HOLDFAST_URL ?? 'http://127.0.0.1:8080');
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', `--host-resolver-rules=MAP ${HOST} ${target.hostname}`],
});
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.addInitScript(measure);
  await page.goto(`http://${HOST}:${target.port || '80'}/#/demo`);
  await page.waitForFunction(() => globalThis.seen?.length > 0, null, { timeout: 30_000 });
  await page.waitForTimeout((SETTLE_SECS + SECS) * 1000);
  const { first_ms, seen } = await page.evaluate(() => ({
    first_ms: globalThis.seen[0].at_ms,
    seen: globalThis.seen,
  }));
  const counted = seen.filter((one) => one.at_ms > first_ms + SETTLE_SECS * 1000);
  const ages = counted.map((one) => one.age_ms).sort((a, b) => a - b);
  const at = (share) => ages[Math.min(ages.length - 1, Math.floor(ages.length * share))];
  const numbers = counted.map((one) => one.number);
  const span = Math.max(...numbers) - Math.min(...numbers) + 1;
  console.log(
    JSON.stringify({
      first_ms,
      pictures: ages.length,
      left_out: span - new Set(numbers).size,
      p50_ms: at(0.5),
      p95_ms: at(0.95),
      max_ms: ages.at(-1),
    }),
  );
} finally {
  await browser.close();
}

/** Runs in the page: notes every picture that the video presents. */
function measure() {
  globalThis.seen = [];
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  /** Reads the two rows alone, at their own size: a whole picture would cost what is measured. */
  const read = (video) => {
    const { videoWidth: width, videoHeight: height } = video;
    const bar = Math.max(2, Math.floor(height / 45));
    canvas.width = width;
    canvas.height = 2 * bar;
    context.drawImage(video, 0, height - 2 * bar, width, 2 * bar, 0, 0, width, 2 * bar);
    return [0.5, 1.5].map((row) => {
      const { data } = context.getImageData(0, Math.floor(row * bar), width, 1);
      let value = 0;
      for (let bit = 0; bit < 48; bit += 1)
        value = value * 2 + (data[Math.floor(((bit + 0.5) * width) / 48) * 4] > 127 ? 1 : 0);
      return value;
    });
  };
  const watch = (video) =>
    video.requestVideoFrameCallback((_, frame) => {
      const [number, wall_ms] = read(video);
      // When it is on the screen, as far as the browser knows.
      const shown_ms = performance.timeOrigin + frame.expectedDisplayTime;
      globalThis.seen.push({ number, age_ms: shown_ms - wall_ms, at_ms: performance.now() });
      watch(video);
    });
  const find = setInterval(() => {
    const video = document.querySelector('video');
    if (video === null) return;
    clearInterval(find);
    watch(video);
  }, 20);
}
