// The page: header, notices, and either all streams or one of them.
//
// Owns: the landmarks and which of the states (waiting, empty, unreachable, streams) is shown.

import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { LIVE_TILES_MAX } from '../logic/mode';
import { live_count, outage, streams } from '../state/box';
import { selectedStream, timelineLocation } from '../state/route';
import { Announcer } from './announcer';
import { Card } from './card';
import { Exports } from './exports';
import { Header } from './header';
import { Detail } from './detail';
import { Empty, Outage, Unknown, Waiting } from './notice';

export function App() {
  const name = selectedStream.value;
  const count = streams.value?.length ?? 0;
  useFocusOn(name);
  useEffect(() => {
    if (timelineLocation() !== null) return;
    document.title =
      name === null ? `Holdfast – ${live_count.value} of ${count} online` : `${name} – Holdfast`;
  }, [name, count, live_count.value]);
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the streams
      </a>
      <Header />
      <main id="main" tabIndex={-1}>
        {outage.value !== null && (
          <Outage since_ms={outage.value.since_ms} reason={outage.value.reason} />
        )}
        {timelineLocation() === null ? <Content name={name} /> : <Recordings />}
      </main>
      <Announcer />
    </>
  );
}

/** After a stream was opened or left, the focus is where the eye is: on its name, or its tile. */
function useFocusOn(name: string | null): void {
  const before = useRef(name);
  useEffect(() => {
    if (before.current === name) return;
    const left = CSS.escape(before.current ?? '');
    before.current = name;
    const target = name === null ? `[data-stream="${left}"] .enlarge` : '#detail-name';
    document.querySelector<HTMLElement>(target)?.focus();
  }, [name]);
}

/** Moves the focus. The address stays: it names the place in the page. */
function skip(event: MouseEvent): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

/** The timeline, which is loaded when it is opened. */
function Recordings() {
  const [Timeline, setTimeline] = useState<ComponentType | null>(null);
  useEffect(() => {
    void import('./timeline/timeline').then((module) => setTimeline(() => module.Timeline));
  }, []);
  return Timeline === null ? <Waiting lost={outage.value !== null} /> : <Timeline />;
}

function Content({ name }: { name: string | null }) {
  const all = streams.value;
  if (all === null) return <Waiting lost={outage.value !== null} />;
  if (name !== null) {
    const stream = all.find((one) => one.name === name);
    return stream === undefined ? <Unknown name={name} /> : <Detail key={name} stream={stream} />;
  }
  if (all.length === 0) return <Empty />;
  return (
    <>
      <h1 class="hidden">Streams</h1>
      {all.length > LIVE_TILES_MAX && (
        <p class="quiet hint">Stills, one per second. Point at a camera for live video.</p>
      )}
      <ul class="grid" data-count={Math.min(all.length, 5)}>
        {all.map((stream) => (
          <li key={stream.name}>
            <Card stream={stream} crowded={all.length} />
          </li>
        ))}
      </ul>
      <Exports />
    </>
  );
}
