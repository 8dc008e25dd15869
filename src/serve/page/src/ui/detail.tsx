// One stream shown large, with its sound, its recordings and its addresses.

import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { readRecordings, type Recordings, type StreamInfo } from '../logic/api';
import { age, moment, size } from '../logic/format';
import type { Tile } from '../media/tile';
import { now_ms } from '../state/box';
import { getJson } from '../net/request';
import { boxUrl } from '../net/url';
import { homeAddress, timelineAddress } from '../state/route';
import { Addresses, Facts } from './facts';
import { Icon } from './icon';
import { ModeLine, Picture, useView } from './picture';
import { RecordingLine, StateLine } from './state';

/** Recordings change slowly. */
const RECORDINGS_PERIOD_MS = 5_000;
const ROWS_MAX = 12;

export function Detail({ stream }: { stream: StreamInfo }) {
  const stage = useRef<HTMLDivElement>(null);
  const view = useView(stream, true);
  return (
    <article class="detail" aria-labelledby="detail-name">
      <div class="top">
        <a class="button" href={homeAddress()}>
          <Icon name="back" /> All streams
        </a>
        <h1 id="detail-name">{stream.name}</h1>
        <ModeLine tile={view.tile} />
        {stream.recording !== null && (
          <a class="button" href={timelineAddress(stream.name)}>
            <Icon name="wait" /> Recordings
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
        {stream.recording !== null && <RecordingList name={stream.name} />}
      </div>
    </article>
  );
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
      {dropped !== null && <span class="chip">{dropped}</span>}
      <a class="button" href={boxUrl(stream.urls.snapshot).href} download={`${stream.name}.jpg`}>
        <Icon name="save" /> Picture
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

/** The newest stretches of footage, and the gaps between them. */
function RecordingList({ name }: { name: string }) {
  const [held, setHeld] = useState<Recordings | null>(null);
  useEffect(() => {
    const ask = () => {
      if (document.visibilityState !== 'visible') return;
      getJson(`api/v1/recordings/${encodeURIComponent(name)}`).then(
        (value) => setHeld(readRecordings(value)),
        () => setHeld(null),
      );
    };
    ask();
    const timer = setInterval(ask, RECORDINGS_PERIOD_MS);
    return () => clearInterval(timer);
  }, [name]);
  if (held === null) return null;
  return (
    <section class="held">
      <h2>Recorded</h2>
      {held.runs.length === 0 ? (
        <p class="quiet">Nothing yet.</p>
      ) : (
        <RecordingTable name={name} held={held} />
      )}
    </section>
  );
}

function RecordingTable({ name, held }: { name: string; held: Recordings }) {
  const rows = [
    ...held.runs.map((one) => ({ ...one, what: 'Footage' })),
    ...held.gaps.map((one) => ({ ...one, what: 'Gap' })),
  ].sort((a, b) => b.start_ms - a.start_ms);
  return (
    <>
      <table>
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col">From</th>
            <th scope="col">To</th>
            <th scope="col">Length</th>
            <th scope="col">Size</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, ROWS_MAX).map((row) => (
            <tr key={`${row.what}${row.start_ms}`} data-what={row.what}>
              <th scope="row">{row.what}</th>
              <td>
                <a href={timelineAddress(name, row.what === 'Gap' ? row.end_ms : row.start_ms)}>
                  {moment(row.start_ms, now_ms.value)}
                </a>
              </td>
              <td>{moment(row.end_ms, now_ms.value)}</td>
              <td>{age((row.end_ms - row.start_ms) / 1000)}</td>
              <td>{row.bytes === null ? '' : size(row.bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > ROWS_MAX && <p class="quiet">and {rows.length - ROWS_MAX} older.</p>}
    </>
  );
}
