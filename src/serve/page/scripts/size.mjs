// Holds the built page to its budgets: `npm run size` after `npm run build`.
//
// Owns: the budgets. Sizes are gzip -9, in kB of 1000 bytes.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const FIRST_LOAD_BYTES_MAX = 60_000;
const LATER_BYTES_MAX = 25_000;
const EMBED_BYTES_MAX = 150_000;

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist');

function files(directory) {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    return entry.isDirectory() ? files(path) : [path];
  });
}

const sizes = new Map(
  files(dist).map((path) => [
    relative(dist, path),
    gzipSync(readFileSync(path), { level: 9 }).length,
  ]),
);
const index = readFileSync(join(dist, 'index.html'), 'utf8');

// The first load is index.html and all that it names.
const first = [...sizes].filter(([name]) => name === 'index.html' || index.includes(`/${name}`));
const total = (entries) => entries.reduce((sum, [, bytes]) => sum + bytes, 0);
const kilo = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;

for (const [name, bytes] of sizes) console.log(`${kilo(bytes).padStart(9)}  ${name}`);

const faults = [];
const foreign = [...sizes.keys()].filter((name) => extname(name) === '.map');
if (foreign.length > 0) faults.push(`source maps are not to be embedded: ${foreign.join(', ')}`);
const later = [...sizes].filter((entry) => !first.some(([name]) => name === entry[0]));
for (const [what, bytes, max] of [
  ['first load', total(first), FIRST_LOAD_BYTES_MAX],
  ['loaded later', total(later), LATER_BYTES_MAX],
  ['embedded', total([...sizes]), EMBED_BYTES_MAX],
]) {
  console.log(`${kilo(bytes).padStart(9)}  ${what}, of at most ${kilo(max)}`);
  if (bytes > max) faults.push(`${what} is ${kilo(bytes - max)} over its budget`);
}
for (const fault of faults) console.error(`size: ${fault}`);
process.exitCode = faults.length > 0 ? 1 : 0;
