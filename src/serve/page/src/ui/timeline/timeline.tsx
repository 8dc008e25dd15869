// The past of a stream: its picture, the buttons that play it, and the strips that find it.
//
// Owns: what is on view, the marked range, the keys. Does not own: playing (`past/player`).

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { StreamInfo } from '../../logic/api';
import { age, clock } from '../../logic/format';
import {
  around,
  before,
  dayOf,
  follow,
  landing,
  length,
  LEVELS,
  type Span,
  zoom,
} from '../../logic/span';
import { RecordedPlayer } from '../../media/recorded-player';
import { streams } from '../../state/box';
import {
  replaceTimelineAddress,
  streamAddress,
  timelineAddress,
  timelineLocation,
} from '../../state/route';
import { boxUrl } from '../../net/url';
import { useRecordings } from '../../state/recordings';
import { Icon } from '../icon';
import { Empty, Unknown, Waiting } from '../notice';
import { exact, offsetMs, TimeRuler } from './ruler';
import '../../style/timeline.css';

const SPEEDS = [-16, -8, -4, -2, -1, 0.25, 0.5, 1, 2, 4, 8, 16];
/** Playing begins this far before the end, where no date is asked for. */
const NEWEST_MS = 10_000;
/** The address bar follows this often while playing. */
const REMEMBER_MS = 1_000;
const KEYS_SETTING = 'holdfast.keys';

export function Timeline() {
  const all = streams.value;
  const place = timelineLocation();
  if (all === null || place === null) return <Waiting lost={false} />;
  const recorded = all.filter((one) => one.recording !== null);
  const stream = place.cam === null ? recorded[0] : all.find((one) => one.name === place.cam);
  if (stream === undefined) return place.cam === null ? <Empty /> : <Unknown name={place.cam} />;
  return <Past key={stream.name} stream={stream} recorded={recorded} start_ms={place.ms} />;
}

interface PastProps {
  readonly stream: StreamInfo;
  readonly recorded: readonly StreamInfo[];
  readonly start_ms: number | null;
}

function Past({ stream, recorded, start_ms }: PastProps) {
  const held = useRecordings(stream.name);
  const newest_ms = held?.runs.at(-1)?.end_ms ?? null;
  const first_ms = useRef<number | null>(null);
  if (first_ms.current === null && held !== null)
    first_ms.current = start_ms ?? (newest_ms === null ? null : newest_ms - NEWEST_MS);
  useEffect(() => {
    document.title = `${stream.name}, recorded – Holdfast`;
  }, [stream.name]);
  return (
    <article class="past" aria-labelledby="past-name">
      <div class="top">
        <a class="button" href={streamAddress(stream.name)}>
          <Icon name="play" /> Live
        </a>
        <h1 id="past-name">{stream.name}, recorded</h1>
        {recorded.length > 1 && (
          <label class="pick">
            Camera{' '}
            <select
              value={stream.name}
              onChange={(event) => location.assign(timelineAddress(event.currentTarget.value))}
            >
              {recorded.map((one) => (
                <option key={one.name}>{one.name}</option>
              ))}
            </select>
          </label>
        )}
      </div>
      {held === null && <p class="quiet">Asking what is recorded…</p>}
      {held !== null && first_ms.current === null && <p class="quiet">Nothing is recorded yet.</p>}
      {held !== null && first_ms.current !== null && (
        <TimelinePlayer stream={stream} held={held} start_ms={first_ms.current} />
      )}
    </article>
  );
}

type Held = NonNullable<ReturnType<typeof useRecordings>>;

/** The picture with everything that moves it. */
function TimelinePlayer({
  stream,
  held,
  start_ms,
}: {
  stream: StreamInfo;
  held: Held;
  start_ms: number;
}) {
  const video = useRef<HTMLVideoElement>(null);
  const runs = useRef(held.runs);
  runs.current = held.runs;
  const [player, setPlayer] = useState<RecordedPlayer | null>(null);
  useEffect(() => {
    if (video.current === null) return;
    const made = new RecordedPlayer(
      video.current,
      stream.name,
      landing(start_ms, runs.current),
      (ms) => before(ms, runs.current),
    );
    setPlayer(made);
    return () => made.dispose();
  }, [stream.name]);
  return (
    <>
      <div class="stage">
        <div class="picture">
          <video ref={video} muted playsInline aria-label={`Recorded picture of ${stream.name}`} />
          {player !== null && <Overlay player={player} />}
        </div>
      </div>
      {player !== null && <Board stream={stream} held={held} player={player} />}
    </>
  );
}

/** What is said over the picture. */
function Overlay({ player }: { player: RecordedPlayer }) {
  const trouble = player.trouble.value;
  const gap = player.gap.value;
  if (trouble !== null)
    return (
      <p class="over" role="alert">
        <b>Stopped</b>
        <span>{trouble}</span>
      </p>
    );
  if (gap === null) return null;
  return (
    <p class="passed" role="status">
      No footage {clock(gap.start_ms)}–{clock(gap.end_ms)}: {gap.message}
    </p>
  );
}

function Board({
  stream,
  held,
  player,
}: {
  stream: StreamInfo;
  held: Held;
  player: RecordedPlayer;
}) {
  const at_ms = player.date_ms.value ?? 0;
  const [span, setSpan] = useState<Span>(() => around(at_ms, LEVELS[3]?.ms ?? 600_000));
  const [range, setRange] = useState<Range>({ in_ms: null, out_ms: null });
  useEffect(() => setSpan((now) => follow(now, at_ms)), [at_ms]);
  useRemembered(stream.name, at_ms);
  const scrub = useScrub(player);
  const seek = (ms: number, done: boolean) => scrub(landing(ms, held.runs), done);
  const act = useMemo(() => actions(player, setRange, setSpan), [player]);
  const [keys, setKeys] = useKeys(act);
  const day = dayOf(at_ms, offsetMs(at_ms));
  const strip = { held, at_ms, range, onSeek: seek };
  return (
    <div class="board">
      <Buttons player={player} act={act} />
      <TimeRuler {...strip} label={`Day of ${stream.name}`} span={day} inner={span} />
      <TimeRuler {...strip} label={`Time of ${stream.name}`} span={span} onSpan={setSpan} />
      <Zoom span={span} at_ms={at_ms} setSpan={setSpan} />
      <Clip stream={stream} range={range} act={act} />
      <Gaps held={held} span={span} player={player} />
      <label class="keys quiet">
        <input
          type="checkbox"
          checked={keys}
          onChange={(event) => setKeys(event.currentTarget.checked)}
        />{' '}
        Keys: space plays, <kbd>,</kbd> and <kbd>.</kbd> step by one picture, <kbd>[</kbd> and{' '}
        <kbd>]</kbd> mark, <kbd>+</kbd> and <kbd>-</kbd> zoom
      </label>
    </div>
  );
}

interface Range {
  readonly in_ms: number | null;
  readonly out_ms: number | null;
}

interface Actions {
  readonly toggle: () => void;
  readonly step: (way: 1 | -1) => void;
  readonly markIn: () => void;
  readonly markOut: () => void;
  readonly zoom: (factor: number) => void;
}

function actions(
  player: RecordedPlayer,
  setRange: (change: (now: Range) => Range) => void,
  setSpan: (change: (now: Span) => Span) => void,
): Actions {
  const here = () => player.date_ms.peek() ?? 0;
  return {
    toggle: () => (player.playing.peek() ? player.pause() : player.play()),
    step: (way) => player.step(way),
    markIn: () =>
      setRange(({ out_ms }) => ({ in_ms: here(), out_ms: (out_ms ?? 0) > here() ? out_ms : null })),
    markOut: () =>
      setRange(({ in_ms }) => ({
        in_ms: in_ms !== null && in_ms < here() ? in_ms : null,
        out_ms: here(),
      })),
    zoom: (factor) => setSpan((now) => zoom(now, here(), factor)),
  };
}

/** One seek at a time while something is dragged: the newest waits for the one under way. */
function useScrub(player: RecordedPlayer): (ms: number, done: boolean) => void {
  const waiting = useRef<number | null>(null);
  const resume = useRef(false);
  const busy = player.waiting.value;
  useEffect(() => {
    if (busy || waiting.current === null) return;
    player.seek(waiting.current);
    waiting.current = null;
  }, [busy]);
  return (ms, done) => {
    if (!done && player.playing.peek()) {
      resume.current = true;
      player.pause();
    }
    if (player.waiting.peek() && !done) {
      waiting.current = ms;
      return;
    }
    waiting.current = null;
    player.seek(ms);
    if (done && resume.current) {
      resume.current = false;
      player.play();
    }
  };
}

function useRemembered(name: string, ms: number): void {
  const last = useRef(0);
  const timer = useRef(0);
  useEffect(() => {
    clearTimeout(timer.current);
    const wait_ms = Math.max(0, last.current + REMEMBER_MS - performance.now());
    timer.current = window.setTimeout(() => {
      last.current = performance.now();
      if (ms > 0) replaceTimelineAddress(name, ms);
    }, wait_ms);
    return () => clearTimeout(timer.current);
  }, [name, ms]);
}

/** Single keys, which can be switched off (WCAG 2.2, 2.1.4). */
function useKeys(act: Actions): [boolean, (on: boolean) => void] {
  const [on, setOn] = useState(() => localStorage.getItem(KEYS_SETTING) !== 'off');
  useEffect(() => {
    localStorage.setItem(KEYS_SETTING, on ? 'on' : 'off');
    if (!on) return;
    const keys: Record<string, () => void> = {
      ',': () => act.step(-1),
      '.': () => act.step(1),
      '[': act.markIn,
      ']': act.markOut,
      '+': () => act.zoom(0.5),
      '-': () => act.zoom(2),
      ' ': act.toggle,
    };
    const press = (event: KeyboardEvent) => {
      const target = event.target as Element;
      if (event.ctrlKey || event.altKey || event.metaKey || target.closest('input, select')) return;
      // Space presses the button that has the focus.
      if (event.key === ' ' && target.closest('button, a, summary')) return;
      const action = keys[event.key];
      if (action === undefined) return;
      event.preventDefault();
      action();
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, [on, act]);
  return [on, setOn];
}

function Buttons({ player, act }: { player: RecordedPlayer; act: Actions }) {
  const playing = player.playing.value;
  const at_ms = player.date_ms.value;
  const { dropped, playing: sounds } = player.audio.value;
  return (
    <div class="buttons">
      <button type="button" onClick={() => act.step(-1)} aria-label="One picture back">
        <Icon name="prev" />
      </button>
      <button type="button" class="main" onClick={act.toggle}>
        <Icon name={playing ? 'pause' : 'play'} /> {playing ? 'Pause' : 'Play'}
      </button>
      <button type="button" onClick={() => act.step(1)} aria-label="One picture on">
        <Icon name="next" />
      </button>
      <label>
        <span class="hidden">Speed</span>
        <select
          value={player.speed.value}
          onChange={(event) => player.setSpeed(Number(event.currentTarget.value))}
        >
          {SPEEDS.map((speed) => (
            <option key={speed} value={speed}>
              {speed < 0 ? `${-speed}× back` : `${speed}×`}
            </option>
          ))}
        </select>
      </label>
      <time class="at" dateTime={at_ms === null ? '' : new Date(at_ms).toISOString()}>
        {at_ms === null ? '' : exact(at_ms)}
      </time>
      <span class="state" data-state={player.live.value ? 'live' : 'past'}>
        {player.live.value ? 'as it happens' : player.waiting.value ? 'waiting…' : ''}
      </span>
      {dropped !== null && !sounds && <span class="quiet">{dropped}</span>}
    </div>
  );
}

function Zoom({ span, at_ms, setSpan }: { span: Span; at_ms: number; setSpan: (s: Span) => void }) {
  return (
    <div class="buttons" role="group" aria-label="Time on view">
      {LEVELS.map(({ name, ms }) => (
        <button
          key={name}
          type="button"
          aria-pressed={Math.abs(length(span) - ms) < 1_000}
          onClick={() => setSpan(around(at_ms, ms))}
        >
          {name}
        </button>
      ))}
      <button type="button" onClick={() => setSpan(zoom(span, at_ms, 2))} aria-label="More time">
        −
      </button>
      <button type="button" onClick={() => setSpan(zoom(span, at_ms, 0.5))} aria-label="Less time">
        +
      </button>
    </div>
  );
}

function Clip({ stream, range, act }: { stream: StreamInfo; range: Range; act: Actions }) {
  const { in_ms, out_ms } = range;
  return (
    <div class="buttons" role="group" aria-label="Clip">
      <button type="button" onClick={act.markIn}>
        [ Mark in
      </button>
      <button type="button" onClick={act.markOut}>
        Mark out ]
      </button>
      <span class="clip">
        {in_ms === null ? '–' : clock(in_ms)} to {out_ms === null ? '–' : clock(out_ms)}
        {in_ms !== null && out_ms !== null && ` (${age((out_ms - in_ms) / 1000)})`}
      </span>
      {in_ms !== null && out_ms !== null && (
        <a
          class="button"
          href={exportUrl(stream.name, in_ms, out_ms)}
          download={`${stream.name}-${new Date(in_ms).toISOString().replaceAll(':', '')}.mp4`}
        >
          <Icon name="save" /> Take the clip
        </a>
      )}
    </div>
  );
}

/** The address of a range of a stream as one MP4 file. */
function exportUrl(name: string, start_ms: number, end_ms: number): string {
  const url = boxUrl(`export/${encodeURIComponent(name)}.mp4`);
  url.searchParams.set('start', new Date(start_ms).toISOString());
  url.searchParams.set('end', new Date(end_ms).toISOString());
  return url.href;
}

/** The gaps on view, in words, for who does not see the strip or cannot hit them. */
function Gaps({ held, span, player }: { held: Held; span: Span; player: RecordedPlayer }) {
  const on_view = held.gaps.filter(
    (gap) => gap.end_ms > span.start_ms && gap.start_ms < span.end_ms,
  );
  if (on_view.length === 0) return null;
  return (
    <details class="gaps">
      <summary>{on_view.length === 1 ? 'One gap' : `${on_view.length} gaps`} on view</summary>
      <ul>
        {on_view.slice(-20).map((gap) => (
          <li key={gap.start_ms}>
            {clock(gap.start_ms)}–{clock(gap.end_ms)}: {gap.message}{' '}
            <button type="button" onClick={() => player.seek(gap.end_ms)}>
              Go behind it
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
