// One stream shown large, with its sound, its recordings and its addresses.

import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Recordings, StreamInfo, TimeRange } from '../logic/api';
import { duration, moment, size } from '../logic/format';
import type { Tile } from '../media/tile';
import { now_ms } from '../state/box';
import { boxUrl } from '../net/url';
import { useRecordings } from '../state/recordings';
import { configurable } from '../state/cameras';
import { homeAddress, settingsAddress, timelineAddress } from '../state/route';
import { rights } from '../state/session';
import { Addresses, Facts } from './facts';
import { Icon } from './icon';
import { ModeLine, Picture, useView } from './picture';
import { Prose } from './prose';
import { RecordingLine, StateLine } from './state';

/** The list here changes slowly. */
const PERIOD_MS = 5_000;
const ROWS_MAX = 12;

export function Detail({ stream }: { stream: StreamInfo }) {
  const stage = useRef<HTMLDivElement>(null);
  const view = useView(stream, true);
  useEscape();
  return (
    <article class="detail" aria-labelledby="detail-name">
      <div class="top">
        <a class="button" href={homeAddress()}>
          <Icon name="back" /> All streams
        </a>
        <h1 id="detail-name" tabIndex={-1}>
          {stream.title}
        </h1>
        <ModeLine tile={view.tile} />
        {stream.recording !== null && rights.value.past && (
          <a class="button" href={timelineAddress(stream.name)}>
            <Icon name="wait" /> Recordings
          </a>
        )}
        {rights.value.admin && configurable.value && (
          <a class="button" href={settingsAddress(stream.name)}>
            Settings
          </a>
        )}
      </div>
      <div class="stage" ref={stage}>
        <Picture stream={stream} view={view} />
        {view.tile !== null && (
          <Controls stream={stream} tile={view.tile} video={view.video} stage={stage} />
        )}
      </div>
      <div class="about">
        <StateLine stream={stream} />
        <RecordingLine stream={stream} />
        <Facts stream={stream} />
        <Addresses stream={stream} />
        {stream.recording !== null && rights.value.past && <RecordingList name={stream.name} />}
      </div>
    </article>
  );
}

/** Escape goes back to all streams, unless it closes something else. */
function useEscape(): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.defaultPrevented) return;
      if (document.fullscreenElement === null) location.assign(homeAddress());
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, []);
}

interface ControlsProps {
  readonly stream: StreamInfo;
  readonly tile: Tile;
  readonly video: RefObject<HTMLVideoElement | null>;
  readonly stage: RefObject<HTMLElement | null>;
}

function Controls({ stream, tile, video, stage }: ControlsProps) {
  const [muted, setMuted] = useState(true);
  const { playing, dropped } = tile.audio.value;
  const toggle = () => {
    if (video.current !== null) video.current.muted = !muted;
    setMuted(!muted);
  };
  return (
    <div class="controls">
      {playing && tile.mode.value.kind === 'live' && (
        <button type="button" aria-pressed={!muted} onClick={toggle}>
          <Icon name={muted ? 'mute' : 'sound'} /> Sound
        </button>
      )}
      {dropped !== null && (
        <span class="chip">
          <Prose text={dropped} />
        </span>
      )}
      <a class="button" href={boxUrl(stream.urls.snapshot).href} download={`${stream.name}.jpg`}>
        <Icon name="save" /> Save picture
      </a>
      {document.fullscreenEnabled && (
        <button
          type="button"
          onClick={() =>
            void (document.fullscreenElement
              ? document.exitFullscreen()
              : stage.current?.requestFullscreen())
          }
        >
          <Icon name="full" /> Full screen
        </button>
      )}
    </div>
  );
}

/** The newest footage, and the gaps in it. */
function RecordingList({ name }: { name: string }) {
  const { recordings } = useRecordings(name, PERIOD_MS);
  if (recordings === null) return null;
  return (
    <section class="recordings">
      <h2>Recordings</h2>
      {recordings.runs.length === 0 ? (
        <p class="quiet">None yet.</p>
      ) : (
        <RecordingTable name={name} recordings={recordings} />
      )}
    </section>
  );
}

interface Row extends TimeRange {
  readonly type: 'Footage' | 'Gap';
  /** Why there is nothing; null for footage. */
  readonly reason: string | null;
}

function rowsOf({ runs, gaps }: Recordings): Row[] {
  const footage = runs.map((one) => ({ ...one, type: 'Footage' as const, reason: null }));
  const missing = gaps.map((one) => ({ ...one, type: 'Gap' as const, reason: one.message }));
  return [...footage, ...missing].sort((a, b) => b.start_ms - a.start_ms);
}

function RecordingTable({ name, recordings }: { name: string; recordings: Recordings }) {
  const rows = rowsOf(recordings);
  return (
    <>
      <table>
        <thead>
          <tr>
            <th scope="col">Type</th>
            <th scope="col">Start</th>
            <th scope="col">End</th>
            <th scope="col">Length</th>
            <th scope="col">Size</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, ROWS_MAX).map((row) => (
            <TableRow key={`${row.type}${row.start_ms}`} name={name} row={row} />
          ))}
        </tbody>
      </table>
      {rows.length > ROWS_MAX && (
        <p class="quiet">
          {rows.length - ROWS_MAX} more on the <a href={timelineAddress(name)}>timeline</a>.
        </p>
      )}
    </>
  );
}

/** A row; below a gap is its reason, over the whole width. */
function TableRow({ name, row }: { name: string; row: Row }) {
  const goal_ms = row.type === 'Gap' ? row.end_ms : row.start_ms;
  return (
    <>
      <tr data-type={row.type}>
        <th scope="row">{row.type}</th>
        <td>
          <a href={timelineAddress(name, goal_ms)}>{moment(row.start_ms, now_ms.value)}</a>
        </td>
        <td>{moment(row.end_ms, now_ms.value)}</td>
        <td>{duration((row.end_ms - row.start_ms) / 1000)}</td>
        <td>{row.bytes === null ? '' : size(row.bytes)}</td>
      </tr>
      {row.reason !== null && row.reason !== '' && (
        <tr class="reason">
          <td colSpan={5}>
            <Prose text={row.reason} />
          </td>
        </tr>
      )}
    </>
  );
}
