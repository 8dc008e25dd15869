// The controls below a recording: playback, the time rulers, the clip, the gaps.
//
// Owns: the span on view and the selection. Does not own: playing (`media/recorded-player`).

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Recordings, StreamInfo } from '../../logic/api';
import { clock, count, duration, exact, offsetMs } from '../../logic/format';
import {
  around,
  dayOf,
  follow,
  length,
  LEVELS,
  seekTarget,
  type Span,
  zoom,
} from '../../logic/span';
import type { RecordedPlayer } from '../../media/recorded-player';
import { boxUrl } from '../../net/url';
import { rights } from '../../state/session';
import { Icon } from '../icon';
import { Prose } from '../prose';
import { TimeRuler } from './ruler';
import { type Actions, JUMP_MS, NOTHING_SELECTED, playerActions, type Selection } from './actions';
import { Protect, Protected } from './protect';
import { useAddress, useScrub } from './scrub';
import { Shortcuts } from './shortcuts';

const SPEEDS = [-16, -8, -4, -2, -1, 0.25, 0.5, 1, 2, 4, 8, 16];
/** Gaps in view beyond these are left to the ruler. */
const GAPS_LISTED_MAX = 20;

interface ControlsProps {
  readonly stream: StreamInfo;
  readonly recordings: Recordings;
  readonly player: RecordedPlayer;
}

export function Controls({ stream, recordings, player }: ControlsProps) {
  const at_ms = player.date_ms.value ?? 0;
  const [span, setSpan] = useState<Span>(() => around(at_ms, LEVELS[3]?.ms ?? 600_000));
  const [selection, setSelection] = useState<Selection>(NOTHING_SELECTED);
  useEffect(() => setSpan((now) => follow(now, at_ms)), [at_ms]);
  useAddress(stream.name, at_ms);
  const scrub = useScrub(player);
  const seek = (ms: number, done: boolean) => scrub(seekTarget(ms, recordings.runs), done);
  const latest_seek = useRef(seek);
  latest_seek.current = seek;
  const actions = useMemo(
    () => playerActions(player, (ms) => latest_seek.current(ms, true), setSelection, setSpan),
    [player],
  );
  const day = dayOf(at_ms, offsetMs);
  const ruler = { recordings, at_ms, selection, onSeek: seek };
  return (
    <div class="player-controls">
      <Playback player={player} actions={actions} />
      <TimeRuler {...ruler} label={`Day of ${stream.title}`} span={day} inner={span} />
      <TimeRuler {...ruler} label={`Time of ${stream.title}`} span={span} onSpan={setSpan} />
      <div class="row">
        <Zoom span={span} at_ms={at_ms} setSpan={setSpan} />
        {rights.value.exports && <Clip stream={stream} selection={selection} actions={actions} />}
      </div>
      <Protected pins={recordings.pins} span={span} may_end={rights.value.exports} />
      <Gaps recordings={recordings} span={span} player={player} />
      <Shortcuts actions={actions} />
    </div>
  );
}

function Playback({ player, actions }: { player: RecordedPlayer; actions: Actions }) {
  const playing = player.playing.value;
  const at_ms = player.date_ms.value;
  const { dropped, playing: sounds } = player.audio.value;
  return (
    <div class="buttons">
      <button type="button" onClick={() => actions.jump(-JUMP_MS)} title="10 seconds back">
        −10 s
      </button>
      <button type="button" onClick={() => actions.step(-1)} aria-label="Previous frame">
        <Icon name="prev" />
      </button>
      <button type="button" class="main" onClick={actions.toggle}>
        <Icon name={playing ? 'pause' : 'play'} /> {playing ? 'Pause' : 'Play'}
      </button>
      <button type="button" onClick={() => actions.step(1)} aria-label="Next frame">
        <Icon name="next" />
      </button>
      <button type="button" onClick={() => actions.jump(JUMP_MS)} title="10 seconds forward">
        +10 s
      </button>
      <label>
        <span class="hidden">Speed</span>
        <select
          value={player.speed.value}
          onChange={(event) => player.setSpeed(Number(event.currentTarget.value))}
        >
          {SPEEDS.map((speed) => (
            <option key={speed} value={speed}>
              {speed < 0 ? `${-speed}× reverse` : `${speed}×`}
            </option>
          ))}
        </select>
      </label>
      <time class="at" dateTime={at_ms === null ? '' : new Date(at_ms).toISOString()}>
        {at_ms === null ? '' : exact(at_ms)}
      </time>
      <span class="state" data-state={player.live.value ? 'live' : 'recorded'}>
        {statusWords(player)}
      </span>
      {dropped !== null && !sounds && (
        <span class="quiet">
          <Prose text={dropped} />
        </span>
      )}
    </div>
  );
}

function statusWords(player: RecordedPlayer): string {
  if (player.reconnecting.value) return 'Reconnecting…';
  if (player.live.value) return 'Live';
  return player.waiting.value ? 'Loading…' : '';
}

function Zoom({ span, at_ms, setSpan }: { span: Span; at_ms: number; setSpan: (s: Span) => void }) {
  return (
    <div class="buttons" role="group" aria-label="Time in view">
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
      <button type="button" onClick={() => setSpan(zoom(span, at_ms, 2))} aria-label="Zoom out">
        −
      </button>
      <button type="button" onClick={() => setSpan(zoom(span, at_ms, 0.5))} aria-label="Zoom in">
        +
      </button>
    </div>
  );
}

interface ClipProps {
  readonly stream: StreamInfo;
  readonly selection: Selection;
  readonly actions: Actions;
}

function Clip({ stream, selection: { start_ms, end_ms }, actions }: ClipProps) {
  return (
    <div class="buttons" role="group" aria-label="Clip">
      <button type="button" onClick={actions.setStart}>
        [ Set start
      </button>
      <button type="button" onClick={actions.setEnd}>
        Set end ]
      </button>
      <span class="clip">
        {start_ms === null ? '–' : clock(start_ms)} to {end_ms === null ? '–' : clock(end_ms)}
        {start_ms !== null && end_ms !== null && ` (${duration((end_ms - start_ms) / 1000)})`}
      </span>
      {start_ms !== null && end_ms !== null && (
        <Protect
          key={`${start_ms} ${end_ms}`}
          stream={stream.name}
          start_ms={start_ms}
          end_ms={end_ms}
        />
      )}
      {start_ms !== null && end_ms !== null && (
        <a
          class="button"
          href={clipUrl(stream.name, start_ms, end_ms)}
          download={`${stream.name}-${new Date(start_ms).toISOString().replaceAll(':', '')}.mp4`}
        >
          <Icon name="save" /> Download clip
        </a>
      )}
    </div>
  );
}

/** The address of a range of a stream as one MP4 file. */
function clipUrl(name: string, start_ms: number, end_ms: number): string {
  const url = boxUrl(`export/${encodeURIComponent(name)}.mp4`);
  url.searchParams.set('start', new Date(start_ms).toISOString());
  url.searchParams.set('end', new Date(end_ms).toISOString());
  return url.href;
}

interface GapsProps {
  readonly recordings: Recordings;
  readonly span: Span;
  readonly player: RecordedPlayer;
}

/** The gaps in view, in words, for those who do not see the ruler or cannot hit them. */
function Gaps({ recordings, span, player }: GapsProps) {
  const in_view = recordings.gaps.filter(
    (gap) => gap.end_ms > span.start_ms && gap.start_ms < span.end_ms,
  );
  if (in_view.length === 0) return null;
  return (
    <details class="gaps">
      <summary>{count(in_view.length, 'gap')} in view</summary>
      <ul>
        {in_view.slice(-GAPS_LISTED_MAX).map((gap) => (
          <li key={gap.start_ms}>
            <span>
              {clock(gap.start_ms)}–{clock(gap.end_ms)}: <Prose text={gap.message} />
            </span>
            <button type="button" onClick={() => player.seek(gap.end_ms)}>
              Skip gap
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
