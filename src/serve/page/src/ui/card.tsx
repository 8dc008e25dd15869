// One stream in the grid: its picture and the facts to glance at.

import { useState } from 'preact/hooks';
import type { StreamInfo } from '../logic/api';
import { LIVE_TILES_MAX } from '../logic/mode';
import { streamAddress } from '../state/route';
import { Addresses, Facts } from './facts';
import { ModeLine, Picture, useView } from './picture';
import { RecordingLine, StateLine } from './state';

/** `crowded`: the number of cards on the page. Above four, only the one pointed at is live. */
export function Card({ stream, crowded }: { stream: StreamInfo; crowded: number }) {
  const [pointed, setPointed] = useState(false);
  const view = useView(stream, crowded <= LIVE_TILES_MAX || pointed);
  return (
    <article
      class="card"
      data-stream={stream.name}
      aria-label={stream.title}
      onMouseEnter={() => setPointed(true)}
      onMouseLeave={() => setPointed(false)}
      onFocusIn={() => setPointed(true)}
      onFocusOut={() => setPointed(false)}
    >
      <div class="bar">
        <h2>
          <a href={streamAddress(stream.name)}>{stream.title}</a>
        </h2>
        <ModeLine tile={view.tile} />
      </div>
      <a class="enlarge" href={streamAddress(stream.name)}>
        <span class="hidden">Enlarge {stream.title}</span>
        <Picture stream={stream} view={view} />
      </a>
      <div class="about">
        <div class="lines">
          <StateLine stream={stream} />
          <RecordingLine stream={stream} />
        </div>
        <Facts stream={stream} />
        <Addresses stream={stream} />
      </div>
    </article>
  );
}
