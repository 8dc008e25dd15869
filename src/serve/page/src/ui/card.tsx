// One stream in the grid: its picture and the line of facts that people glance at.

import { useState } from 'preact/hooks';
import type { StreamInfo } from '../logic/api';
import { LIVE_TILES_MAX } from '../logic/mode';
import { addressOf } from '../state/route';
import { Addresses, Facts } from './facts';
import { ModeLine, Picture } from './picture';
import { RecordingLine, StateLine } from './state';

/** `crowded` is the number of cards on the page: above four, only what is pointed at is live. */
export function Card({ stream, crowded }: { stream: StreamInfo; crowded: number }) {
  const [pointed, setPointed] = useState(false);
  return (
    <article
      class="card"
      aria-label={stream.name}
      onMouseEnter={() => setPointed(true)}
      onMouseLeave={() => setPointed(false)}
      onFocusIn={() => setPointed(true)}
      onFocusOut={() => setPointed(false)}
    >
      <a class="enlarge" href={addressOf(stream.name)} aria-label={`Enlarge ${stream.name}`}>
        <Picture stream={stream} wants_live={crowded <= LIVE_TILES_MAX || pointed}>
          {(tile) => <ModeLine tile={tile} />}
        </Picture>
      </a>
      <div class="about">
        <h2>
          <a href={addressOf(stream.name)}>{stream.name}</a>
        </h2>
        <StateLine stream={stream} />
        <RecordingLine stream={stream} />
        <Facts stream={stream} />
        <Addresses stream={stream} />
      </div>
    </article>
  );
}
