// A ruler of time: footage, gaps, marks and the position, on a canvas that can be clicked, dragged
// and driven by keys.
//
// Owns: what the pointer and the keys do. Dates come in and go out; playing is the business of the
// controls.

import { useEffect, useRef } from 'preact/hooks';
import { clock } from '../../logic/format';
import { plain } from '../../logic/prose';
import { keyStep, pan, type Span, toMs, zoom } from '../../logic/span';
import { draw, type RulerView } from './draw';

export interface TimeRulerProps extends RulerView {
  readonly label: string;
  readonly onSeek: (ms: number, done: boolean) => void;
  /** The wheel and the edges change the span; without, it stays. */
  readonly onSpan?: (span: Span) => void;
}

const WHEEL_FACTOR = 1.25;

export function TimeRuler(props: TimeRulerProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef(props);
  latest.current = props;
  useEffect(() => {
    if (canvas.current !== null) draw(canvas.current, props);
  });
  useEffect(() => {
    if (canvas.current === null) return;
    const element = canvas.current;
    const again = new ResizeObserver(() => draw(element, latest.current));
    again.observe(element);
    // Preact's own listener would be passive, and the page would scroll.
    const wheel = (event: WheelEvent) => {
      const { span, onSpan } = latest.current;
      if (onSpan === undefined || event.deltaY === 0) return;
      event.preventDefault();
      const at_ms = toMs(span, element.clientWidth, event.offsetX);
      onSpan(zoom(span, at_ms, event.deltaY > 0 ? WHEEL_FACTOR : 1 / WHEEL_FACTOR));
    };
    element.addEventListener('wheel', wheel, { passive: false });
    return () => {
      again.disconnect();
      element.removeEventListener('wheel', wheel);
    };
  }, []);
  const drag = useDrag(latest);
  return (
    <canvas
      ref={canvas}
      class="ruler"
      role="slider"
      tabIndex={0}
      aria-label={props.label}
      aria-valuemin={Math.round(props.span.start_ms)}
      aria-valuemax={Math.round(props.span.end_ms)}
      aria-valuenow={Math.round(props.at_ms)}
      aria-valuetext={positionWords(props)}
      onKeyDown={(event) => press(event, props)}
      {...drag}
    />
  );
}

/** "14:05:23, recorded", "14:05:23, no footage: the camera could not be reached". */
function positionWords({ at_ms, recordings }: TimeRulerProps): string {
  const inside = (one: { start_ms: number; end_ms: number }) =>
    one.start_ms <= at_ms && at_ms < one.end_ms;
  if (recordings.runs.some(inside)) return `${clock(at_ms)}, recorded`;
  const gap = recordings.gaps.find(inside);
  return `${clock(at_ms)}, no footage${gap === undefined ? '' : `: ${plain(gap.message, at_ms)}`}`;
}

function press(event: KeyboardEvent, { span, at_ms, recordings, onSeek }: TimeRulerProps): void {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const step = keyStep(span);
  const first = recordings.runs[0]?.start_ms ?? at_ms;
  const last = recordings.runs.at(-1)?.end_ms ?? at_ms;
  const goals: Record<string, number> = {
    ArrowLeft: at_ms - step,
    ArrowDown: at_ms - step,
    ArrowRight: at_ms + step,
    ArrowUp: at_ms + step,
    PageDown: at_ms - 10 * step,
    PageUp: at_ms + 10 * step,
    Home: first,
    End: last - 1_000,
  };
  const goal = goals[event.key];
  if (goal === undefined) return;
  event.preventDefault();
  onSeek(goal, true);
}

function useDrag(latest: { current: TimeRulerProps }) {
  const dragged = useRef<number | null>(null);
  const at = (event: PointerEvent) => {
    const element = event.currentTarget as HTMLCanvasElement;
    const { span } = latest.current;
    return toMs(span, element.clientWidth, event.offsetX);
  };
  return {
    onPointerDown: (event: PointerEvent) => {
      if (event.button !== 0) return;
      (event.currentTarget as HTMLCanvasElement).setPointerCapture(event.pointerId);
      dragged.current = event.pointerId;
      latest.current.onSeek(at(event), false);
    },
    onPointerMove: (event: PointerEvent) => {
      if (dragged.current !== event.pointerId) return;
      const { span, onSpan, onSeek } = latest.current;
      const width = (event.currentTarget as HTMLCanvasElement).clientWidth;
      const by_ms = pan(span, width, event.offsetX);
      if (by_ms !== 0) onSpan?.({ start_ms: span.start_ms + by_ms, end_ms: span.end_ms + by_ms });
      onSeek(at(event), false);
    },
    onPointerUp: (event: PointerEvent) => {
      if (dragged.current !== event.pointerId) return;
      dragged.current = null;
      latest.current.onSeek(at(event), true);
    },
    onPointerCancel: () => (dragged.current = null),
  };
}
