// The place in the page that the address bar names: `#/` or `#/NAME`.
//
// Owns: the hash. Everything on the page can be reached and shared by its address.

import { signal } from '@preact/signals';

/** The stream shown large, or null for all of them. */
export const enlarged = signal<string | null>(read(location.hash));

window.addEventListener('hashchange', () => {
  enlarged.value = read(location.hash);
});

/** The address of a stream shown large. */
export function addressOf(name: string): string {
  return `#/${encodeURIComponent(name)}`;
}

function read(hash: string): string | null {
  const name = hash.replace(/^#\/?/, '');
  try {
    return name === '' ? null : decodeURIComponent(name);
  } catch {
    return null;
  }
}
