// The place in the page that the address bar names: `/#/`, `/#/NAME`, `/timeline?cam=NAME&t=DATE`.
//
// Owns: the address. Everything on the page can be reached and shared by it.

import { signal } from '@preact/signals';

/** The stream shown large, or null for all of them. */
export const selectedStream = signal<string | null>(read(location.hash));

window.addEventListener('hashchange', () => {
  selectedStream.value = read(location.hash);
});

/** The address of a stream shown large. */
export function streamAddress(name: string): string {
  return `#/${encodeURIComponent(name)}`;
}

/** The address of a stream's past, from a date on. */
export function timelineAddress(name: string, ms?: number): string {
  const query = new URLSearchParams({ cam: name });
  if (ms !== undefined) query.set('t', new Date(ms).toISOString());
  return `/timeline?${query.toString()}`;
}

/** The stream and the date of the past that the address names; null elsewhere. */
export function timelineLocation(): { cam: string | null; ms: number | null } | null {
  if (location.pathname !== '/timeline') return null;
  const query = new URLSearchParams(location.search);
  const ms = Date.parse(query.get('t') ?? '');
  return { cam: query.get('cam'), ms: Number.isNaN(ms) ? null : ms };
}

/** Writes the date into the address, without a step in the browser's history. */
export function replaceTimelineAddress(name: string, ms: number): void {
  history.replaceState(null, '', timelineAddress(name, ms));
}

function read(hash: string): string | null {
  const name = hash.replace(/^#\/?/, '');
  try {
    return name === '' ? null : decodeURIComponent(name);
  } catch {
    return null;
  }
}
