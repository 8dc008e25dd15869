// The place in the page that the address bar names: `#/`, `#/NAME`, `timeline?cam=NAME&at=DATE`, and
// views such as `#people`, `#settings/NAME`.
//
// Owns: the address. Everything on the page can be reached and shared by it.

import { signal } from '@preact/signals';
import { oneOf } from '../logic/json';
import { boxUrl } from '../net/url';

const VIEWS = [
  'claim',
  'password',
  'people',
  'credentials',
  'tokens',
  'add-camera',
  'settings',
  'system',
] as const;
/** A view of its own; every other place shows streams. */
export type View = (typeof VIEWS)[number];

/** The code in the address on a box's label, `#c=CODE`; a fragment is neither sent nor logged. */
export const claimCode = takeCode();

/** The stream shown large, or null for all of them. */
export const selectedStream = signal<string | null>(streamIn(location.hash));
/** The view that is shown instead of streams, or null. */
export const selectedView = signal<View | null>(viewIn(location.hash));
/** The stream whose settings are shown, or null for the box's. */
export const selectedSection = signal<string | null>(sectionIn(location.hash));

window.addEventListener('hashchange', () => {
  selectedStream.value = streamIn(location.hash);
  selectedView.value = viewIn(location.hash);
  selectedSection.value = sectionIn(location.hash);
});

/** The address of a view. */
export function viewAddress(view: View): string {
  return `${boxUrl('').pathname}#${view}`;
}

/** The address of the settings of a stream. */
export function settingsAddress(name: string): string {
  return `${viewAddress('settings')}/${encodeURIComponent(name)}`;
}

/** The address of all streams. */
export function homeAddress(): string {
  return `${boxUrl('').pathname}#/`;
}

/** The address of a stream shown large. */
export function streamAddress(name: string): string {
  return homeAddress() + encodeURIComponent(name);
}

/** The address of a stream's recordings, from a date on. */
export function timelineAddress(name: string, ms?: number): string {
  const url = boxUrl('timeline');
  url.searchParams.set('cam', name);
  if (ms !== undefined) url.searchParams.set('at', new Date(ms).toISOString());
  return url.pathname + url.search;
}

/** The stream and the date that the address of the timeline names; null elsewhere. */
export function timelineLocation(): { cam: string | null; ms: number | null } | null {
  if (location.pathname !== boxUrl('timeline').pathname) return null;
  const query = new URLSearchParams(location.search);
  // Addresses that were shared before `at` have `t`.
  const ms = Date.parse(query.get('at') ?? query.get('t') ?? '');
  return { cam: query.get('cam'), ms: Number.isNaN(ms) ? null : ms };
}

/** Writes the date into the address, without a step in the browser's history. */
export function replaceTimelineAddress(name: string, ms: number): void {
  history.replaceState(null, '', timelineAddress(name, ms));
}

function streamIn(hash: string): string | null {
  return decoded(/^#\/(.+)$/.exec(hash)?.[1]);
}

function sectionIn(hash: string): string | null {
  return decoded(/^#settings\/(.+)$/.exec(hash)?.[1]);
}

function decoded(name: string | undefined): string | null {
  try {
    return name === undefined ? null : decodeURIComponent(name);
  } catch {
    return null;
  }
}

function viewIn(hash: string): View | null {
  return oneOf(hash.slice(1).split('/')[0], VIEWS);
}

/** Takes the code out of the address, so that it is in no bookmark and on no screenshot. */
function takeCode(): string {
  const code = /^#c=([A-Za-z0-9-]{1,32})$/.exec(location.hash)?.[1];
  if (code === undefined) return '';
  history.replaceState(null, '', `${location.pathname}${location.search}#/`);
  return code;
}
