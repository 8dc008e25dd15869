// Following the position: seeks while something is dragged, and the address bar.

import { useEffect, useRef } from 'preact/hooks';
import type { RecordedPlayer } from '../../media/recorded-player';
import { replaceTimelineAddress } from '../../state/route';

/** The address bar follows this often while playing. */
const ADDRESS_MS = 1_000;

/** One seek at a time while something is dragged: the newest waits for the one under way. */
export function useScrub(player: RecordedPlayer): (ms: number, done: boolean) => void {
  const pending_ms = useRef<number | null>(null);
  const resume = useRef(false);
  const busy = player.waiting.value;
  useEffect(() => {
    if (busy || pending_ms.current === null) return;
    player.seek(pending_ms.current);
    pending_ms.current = null;
  }, [busy]);
  return (ms, done) => {
    if (!done && player.playing.peek()) {
      resume.current = true;
      player.pause();
    }
    if (player.waiting.peek() && !done) {
      pending_ms.current = ms;
      return;
    }
    pending_ms.current = null;
    player.seek(ms);
    if (done && resume.current) {
      resume.current = false;
      player.play();
    }
  };
}

/** Keeps the date of the picture in the address bar, so that the moment can be shared. */
export function useAddress(name: string, ms: number): void {
  const last = useRef(0);
  const timer = useRef(0);
  useEffect(() => {
    clearTimeout(timer.current);
    const wait_ms = Math.max(0, last.current + ADDRESS_MS - performance.now());
    timer.current = window.setTimeout(() => {
      last.current = performance.now();
      if (ms > 0) replaceTimelineAddress(name, ms);
    }, wait_ms);
    return () => clearTimeout(timer.current);
  }, [name, ms]);
}
