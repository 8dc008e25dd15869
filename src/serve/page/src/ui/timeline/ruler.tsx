// A strip of time: footage, gaps, marks and the position, drawn on a canvas.
//
// Owns: the drawing, and what the pointer and the keys do to it. Dates come in and go out; what is
// played there is the timeline's business.

import { useEffect, useRef } from 'preact/hooks';
import type { Recordings } from '../../logic/api';
import { clock, zone } from '../../logic/format';
import { bars, keyStep, length, ticks, pan, type Span, toMs, toPx, zoom } from '../../logic/span';

export interface TimeRulerProps {
  readonly label: string;
  readonly span: Span;
  readonly held: Recordings;
  readonly at_ms: number;
  readonly range: { readonly in_ms: number | null; readonly out_ms: number | null };
  /** Another stretch that is on view elsewhere, drawn as a frame. */
  readonly inner?: Span;
  readonly onSeek: (ms: number, done: boolean) => void;
  /** The wheel and the edges change what is on view; without, it stays. */
  readonly onSpan?: (span: Span) => void;
}

const WHEEL_FACTOR = 1.25;
const TRACK = { top: 20, bottom: 6 };

/** Minutes are added, not subtracted, as `Date` has it. */
export function offsetMs(ms: number): number {
  return -new Date(ms).getTimezoneOffset() * 60_000;
}

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
      class="strip"
      role="slider"
      tabIndex={0}
      aria-label={props.label}
      aria-valuemin={Math.round(props.span.start_ms)}
      aria-valuemax={Math.round(props.span.end_ms)}
      aria-valuenow={Math.round(props.at_ms)}
      aria-valuetext={said(props)}
      onKeyDown={(event) => press(event, props)}
      {...drag}
    />
  );
}

/** "14:05:23, recorded", "14:05:23, no footage: the camera could not be reached". */
function said({ at_ms, held }: TimeRulerProps): string {
  const inside = (one: { start_ms: number; end_ms: number }) =>
    one.start_ms <= at_ms && at_ms < one.end_ms;
  if (held.runs.some(inside)) return `${clock(at_ms)}, recorded`;
  const gap = held.gaps.find(inside);
  return `${clock(at_ms)}, no footage${gap === undefined ? '' : `: ${gap.message}`}`;
}

function press(event: KeyboardEvent, { span, at_ms, held, onSeek }: TimeRulerProps): void {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const step = keyStep(span);
  const first = held.runs[0]?.start_ms ?? at_ms;
  const last = held.runs.at(-1)?.end_ms ?? at_ms;
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

function draw(canvas: HTMLCanvasElement, props: TimeRulerProps): void {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = devicePixelRatio;
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== across) canvas.width = across;
  if (canvas.height !== down) canvas.height = down;
  const context = canvas.getContext('2d');
  if (context === null || width === 0) return;
  const style = getComputedStyle(canvas);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = `12px ${style.fontFamily}`;
  const track = { top: TRACK.top, height: height - TRACK.top - TRACK.bottom };
  drawScale(context, props.span, width, height, colour);
  drawFootage(context, props, width, track, colour);
  drawRange(context, props, width, track, colour);
  const inner = props.inner;
  if (inner !== undefined) {
    const left = toPx(props.span, width, inner.start_ms);
    context.strokeStyle = colour('ink');
    context.lineWidth = 1.5;
    const wide = Math.max(3, (length(inner) / length(props.span)) * width);
    context.strokeRect(left, track.top - 3, wide, track.height + 6);
  }
  const at = toPx(props.span, width, props.at_ms);
  context.fillStyle = colour('bad');
  context.fillRect(at - 1, 0, 2, height);
  context.fillRect(at - 4, 0, 8, 5);
}

type Colour = (name: string) => string;
type Track = { readonly top: number; readonly height: number };

function drawScale(
  context: CanvasRenderingContext2D,
  span: Span,
  width: number,
  height: number,
  colour: Colour,
): void {
  const short = length(span) > 3 * 3_600_000;
  for (const ms of ticks(span, width, offsetMs(span.start_ms))) {
    const x = toPx(span, width, ms);
    context.fillStyle = colour('line');
    context.fillRect(x, 0, 1, height);
    context.fillStyle = colour('quiet');
    context.fillText(short ? clock(ms).slice(0, 5) : clock(ms), x + 4, 12);
  }
}

function drawFootage(
  context: CanvasRenderingContext2D,
  { span, held }: TimeRulerProps,
  width: number,
  track: Track,
  colour: Colour,
): void {
  context.fillStyle = colour('sunk');
  context.fillRect(0, track.top, width, track.height);
  context.fillStyle = colour('accent');
  for (const { left, right } of bars(held.runs, span, width))
    context.fillRect(left, track.top, Math.max(1, right - left), track.height);
  for (const { left, right, of } of bars(held.gaps, span, width)) {
    hatch(context, left, right, track, colour('warn'));
    const room = right - left - 8;
    if (room < 60) continue;
    context.fillStyle = colour('ink');
    context.fillText(fitted(context, of.message, room), left + 4, track.top + track.height / 2 + 4);
  }
  context.fillStyle = colour('warn');
  for (const mark of held.marks) {
    const x = toPx(span, width, mark.at_ms);
    if (x >= 0 && x <= width) context.fillRect(x - 1.5, track.top - 4, 3, 8);
  }
}

/** A gap is hatched: not told from footage by its colour alone. */
function hatch(
  context: CanvasRenderingContext2D,
  left: number,
  right: number,
  track: Track,
  colour: string,
): void {
  context.save();
  context.beginPath();
  context.rect(left, track.top, Math.max(1, right - left), track.height);
  context.clip();
  context.globalAlpha = 0.45;
  context.strokeStyle = colour;
  context.beginPath();
  for (let x = left - track.height; x < right; x += 6) {
    context.moveTo(x, track.top + track.height);
    context.lineTo(x + track.height, track.top);
  }
  context.stroke();
  context.restore();
}

function fitted(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (context.measureText(text).width <= room) return text;
  let cut = text;
  while (cut.length > 1 && context.measureText(`${cut}…`).width > room) cut = cut.slice(0, -1);
  return `${cut}…`;
}

function drawRange(
  context: CanvasRenderingContext2D,
  { span, range }: TimeRulerProps,
  width: number,
  track: Track,
  colour: Colour,
): void {
  const { in_ms, out_ms } = range;
  const x = (ms: number) => toPx(span, width, ms);
  context.fillStyle = colour('ink');
  if (in_ms !== null && out_ms !== null) {
    context.globalAlpha = 0.3;
    context.fillRect(x(in_ms), track.top, x(out_ms) - x(in_ms), track.height);
    context.globalAlpha = 1;
  }
  for (const [ms, way] of [
    [in_ms, 1],
    [out_ms, -1],
  ] as const) {
    if (ms === null) continue;
    context.fillRect(x(ms) - 1, track.top - 4, 2, track.height + 8);
    context.fillRect(way === 1 ? x(ms) : x(ms) - 6, track.top - 4, 6, 2);
    context.fillRect(way === 1 ? x(ms) : x(ms) - 6, track.top + track.height + 2, 6, 2);
  }
}

/** "22 Nov 2026, 14:05:23.480 +01:00". */
export function exact(ms: number): string {
  const at = new Date(ms);
  const day = at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
  return `${day}, ${clock(ms)}.${String(at.getMilliseconds()).padStart(3, '0')} ${zone(ms)}`;
}
