// What the panels below the header's buttons have in common.

import type { RefObject } from 'preact';
import { useEffect } from 'preact/hooks';

/** Closes the panel when something else is pressed. */
export function useCloseOutside(panel: RefObject<HTMLDetailsElement | null>): void {
  useEffect(() => {
    const press = (event: Event) => {
      const inside = event.target instanceof Node && panel.current?.contains(event.target);
      if (panel.current !== null && !inside) panel.current.open = false;
    };
    document.addEventListener('pointerdown', press);
    return () => document.removeEventListener('pointerdown', press);
  }, []);
}
