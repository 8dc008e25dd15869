// Draws a time ruler.
//
// Owns: the look. Colours come from the style sheet, so that dark and forced colours work.

import type { Recordings } from '../../logic/api';
import { clock, day, offsetMs } from '../../logic/format';
import { plain } from '../../logic/prose';
import { bars, isMidnight, length, showsSeconds, type Span, ticks, toPx } from '../../logic/span';
import type { Selection } from './actions';

const TRACK = { top: 20, bottom: 6 };
/** A gap narrower than this has no room for its reason, in pixels. */
const REASON_PX_MIN = 60;

/** What a ruler shows. */
export interface RulerView {
  readonly span: Span;
  readonly recordings: Recordings;
  readonly at_ms: number;
  readonly selection: Selection;
  /** The span of another ruler, drawn as a frame. */
  readonly inner?: Span;
}

/** Draws everything, to the canvas's size on the screen. */
export function draw(canvas: HTMLCanvasElement, props: RulerView): void {
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
  drawSelection(context, props, width, track, colour);
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
  const seconds = showsSeconds(span);
  for (const ms of ticks(span, width, offsetMs)) {
    const x = toPx(span, width, ms);
    context.fillStyle = colour('line');
    context.fillRect(x, 0, 1, height);
    context.fillStyle = colour('quiet');
    const time = seconds ? clock(ms) : clock(ms).slice(0, 5);
    context.fillText(isMidnight(ms, offsetMs) ? day(ms) : time, x + 4, 12);
  }
}

function drawFootage(
  context: CanvasRenderingContext2D,
  { span, recordings }: RulerView,
  width: number,
  track: Track,
  colour: Colour,
): void {
  context.fillStyle = colour('sunk');
  context.fillRect(0, track.top, width, track.height);
  context.fillStyle = colour('accent');
  for (const { left, right } of bars(recordings.runs, span, width))
    context.fillRect(left, track.top, Math.max(1, right - left), track.height);
  for (const { left, right, of } of bars(recordings.gaps, span, width)) {
    hatch(context, left, right, track, colour('warn'));
    const room = right - left - 8;
    if (room < REASON_PX_MIN) continue;
    context.fillStyle = colour('ink');
    context.fillText(
      fitted(context, plain(of.message, of.start_ms), room),
      left + 4,
      track.top + track.height / 2 + 4,
    );
  }
  context.fillStyle = colour('warn');
  for (const mark of recordings.marks) {
    const x = toPx(span, width, mark.at_ms);
    if (x >= 0 && x <= width) context.fillRect(x - 1.5, track.top - 4, 3, 8);
  }
}

/** A gap is hatched: it differs from footage by more than its colour. */
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

function drawSelection(
  context: CanvasRenderingContext2D,
  { span, selection }: RulerView,
  width: number,
  track: Track,
  colour: Colour,
): void {
  const { start_ms, end_ms } = selection;
  const x = (ms: number) => toPx(span, width, ms);
  context.fillStyle = colour('ink');
  if (start_ms !== null && end_ms !== null) {
    context.globalAlpha = 0.3;
    context.fillRect(x(start_ms), track.top, x(end_ms) - x(start_ms), track.height);
    context.globalAlpha = 1;
  }
  for (const [ms, way] of [
    [start_ms, 1],
    [end_ms, -1],
  ] as const) {
    if (ms === null) continue;
    context.fillRect(x(ms) - 1, track.top - 4, 2, track.height + 8);
    context.fillRect(way === 1 ? x(ms) : x(ms) - 6, track.top - 4, 6, 2);
    context.fillRect(way === 1 ? x(ms) : x(ms) - 6, track.top + track.height + 2, 6, 2);
  }
}
