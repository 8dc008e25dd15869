// What happens in the box, as it happens: whatever became old is asked for anew.
//
// Owns: the socket, and its return after a loss. While there is none, the polls keep their own pace.

import { effect, signal } from '@preact/signals';
import { Backoff } from '../logic/backoff';
import { type Area, AREAS, isHello, readAreas } from '../logic/event';
import { MediaSocket } from '../net/socket';
import { socketUrl } from '../net/url';
import { inside } from './session';

const PATH = 'api/v1/events/ws';

/** The box says by itself when something changed. */
export const followed = signal(false);

const listeners = new Set<(area: Area) => void>();
const backoff = new Backoff({ first_ms: 2_000, max_ms: 60_000 });
let socket: MediaSocket | null = null;
let timer = 0;

/** Calls `heard` with each area that becomes old, until the returned function is called. */
export function onNews(heard: (area: Area) => void): () => void {
  listeners.add(heard);
  return () => void listeners.delete(heard);
}

/** Follows the box while somebody who may looks at the page. */
export function startFollowing(): void {
  document.addEventListener('visibilitychange', follow);
  effect(() => {
    // What the socket may tell depends on who is signed in.
    inside.value;
    hangUp();
    follow();
  });
}

function follow(): void {
  clearTimeout(timer);
  if (!inside.peek() || document.visibilityState !== 'visible') return hangUp();
  socket ??= new MediaSocket(socketUrl(PATH), { text: receive, bytes: () => undefined, closed });
}

function receive(text: string): void {
  const greets = isHello(text);
  if (greets) {
    backoff.reset();
    followed.value = true;
  }
  // What happened before the greeting was not heard.
  for (const area of greets ? AREAS : readAreas(text)) listeners.forEach((heard) => heard(area));
}

function closed(): void {
  hangUp();
  timer = window.setTimeout(follow, backoff.next());
}

function hangUp(): void {
  socket?.close();
  socket = null;
  followed.value = false;
}
