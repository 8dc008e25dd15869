// The recordings of one stream, on a page of their own.
//
// Owns: which stream is shown, and what the page says before it can play.

import { useEffect, useRef } from 'preact/hooks';
import type { StreamInfo } from '../../logic/api';
import { streams } from '../../state/box';
import { useRecordings } from '../../state/recordings';
import { streamAddress, timelineAddress, timelineLocation } from '../../state/route';
import { Icon } from '../icon';
import { NothingRecorded, Unknown, Waiting } from '../notice';
import { Prose } from '../prose';
import { TimelinePlayer } from './player';
import '../../style/timeline.css';

/** Without a date in the address, playback starts this far before the end. */
const NEWEST_MS = 10_000;

export function Timeline() {
  const all = streams.value;
  const place = timelineLocation();
  if (all === null || place === null) return <Waiting lost={false} />;
  const recorded = all.filter((one) => one.recording !== null);
  const stream = place.cam === null ? recorded[0] : all.find((one) => one.name === place.cam);
  if (stream === undefined)
    return place.cam === null ? <NothingRecorded /> : <Unknown name={place.cam} />;
  return <StreamTimeline key={stream.name} stream={stream} recorded={recorded} ms={place.ms} />;
}

interface StreamTimelineProps {
  readonly stream: StreamInfo;
  readonly recorded: readonly StreamInfo[];
  /** The date that the address names. */
  readonly ms: number | null;
}

function StreamTimeline({ stream, recorded, ms }: StreamTimelineProps) {
  const { recordings, refused } = useRecordings(stream.name);
  const newest_ms = recordings?.runs.at(-1)?.end_ms ?? null;
  const start_ms = useRef<number | null>(null);
  if (start_ms.current === null && recordings !== null)
    start_ms.current = ms ?? (newest_ms === null ? null : newest_ms - NEWEST_MS);
  useEffect(() => {
    document.title = `${stream.title} recordings – Holdfast`;
  }, [stream.title]);
  return (
    <article class="timeline" aria-labelledby="timeline-name">
      <div class="top">
        <a class="button" href={streamAddress(stream.name)}>
          <Icon name="play" /> Live view
        </a>
        <h1 id="timeline-name">{stream.title} recordings</h1>
        {recorded.length > 1 && <CameraPicker stream={stream} recorded={recorded} />}
      </div>
      {recordings !== null && start_ms.current !== null ? (
        <TimelinePlayer stream={stream} recordings={recordings} start_ms={start_ms.current} />
      ) : (
        <p class="quiet">
          {refused !== null && <Prose text={refused} />}
          {refused === null && (recordings === null ? 'Loading recordings…' : 'No recordings yet.')}
        </p>
      )}
    </article>
  );
}

type PickerProps = Pick<StreamTimelineProps, 'stream' | 'recorded'>;

function CameraPicker({ stream, recorded }: PickerProps) {
  return (
    <label class="pick">
      Camera{' '}
      <select
        value={stream.name}
        onChange={(event) => {
          // The moment stays when the camera changes.
          const at_ms = timelineLocation()?.ms ?? undefined;
          location.assign(timelineAddress(event.currentTarget.value, at_ms));
        }}
      >
        {recorded.map((one) => (
          <option key={one.name} value={one.name}>
            {one.title}
          </option>
        ))}
      </select>
    </label>
  );
}
