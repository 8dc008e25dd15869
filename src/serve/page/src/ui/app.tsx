// The page: header, notices, and either all streams or one of them.
//
// Owns: the landmarks and which of the states (waiting, empty, unreachable, streams) is shown.

import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { LIVE_TILES_MAX } from '../logic/mode';
import { live_count, outage, streams } from '../state/box';
import { selectedStream, selectedView, timelineLocation, type View } from '../state/route';
import { account, claimable, door, inside, rights } from '../state/session';
import { Announcer } from './announcer';
import { Card } from './card';
import { Claim } from './door/claim';
import { Password } from './door/password';
import { SignIn } from './door/sign-in';
import { Exports } from './exports';
import { Header } from './header';
import { Detail } from './detail';
import { Empty, Forbidden, HowToClaim, OpenBox, Outage, Unknown, Waiting } from './notice';

export function App() {
  const name = selectedStream.value;
  const count = streams.value?.length ?? 0;
  useFocusOn(name);
  useEffect(() => {
    if (!inside.value) document.title = 'Holdfast';
    else if (timelineLocation() === null)
      document.title =
        name === null ? `Holdfast – ${live_count.value} of ${count} online` : `${name} – Holdfast`;
  }, [name, count, live_count.value, inside.value]);
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
        <Place name={name} />
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

/** What is shown to whoever may be in, and else the way in. */
function Place({ name }: { name: string | null }) {
  switch (door.value) {
    case 'asking':
      return <Waiting lost={outage.value !== null} />;
    case 'unclaimed':
    case 'locked':
      return <Claim />;
    case 'signed-out':
      return <SignIn />;
    case 'open':
    case 'signed-in':
      return timelineLocation() === null || selectedView.value !== null ? (
        <Content name={name} />
      ) : (
        <Recordings />
      );
  }
}

/** A part of the page that is loaded when it is opened. */
function Later({ load }: { load: () => Promise<ComponentType> }) {
  const [Part, setPart] = useState<ComponentType | null>(null);
  useEffect(() => void load().then((part) => setPart(() => part)), [load]);
  return Part === null ? <Waiting lost={outage.value !== null} /> : <Part />;
}

const timeline = () => import('./timeline/timeline').then((module) => module.Timeline);
const people = () => import('./admin/people').then((module) => module.People);
const addCamera = () => import('./admin/add-camera').then((module) => module.AddCamera);

function Recordings() {
  return rights.value.past ? <Later load={timeline} /> : <Forbidden />;
}

/** A view of its own instead of the streams. */
function ViewOf({ view }: { view: View }) {
  switch (view) {
    case 'claim':
      return claimable.value ? <HowToClaim /> : <Forbidden />;
    case 'password':
      return account.value === null ? <Forbidden /> : <Password />;
    case 'people':
      return rights.value.admin && account.value !== null ? <Later load={people} /> : <Forbidden />;
    case 'add-camera':
      return rights.value.admin ? <Later load={addCamera} /> : <Forbidden />;
  }
}

function Content({ name }: { name: string | null }) {
  const all = streams.value;
  if (selectedView.value !== null) return <ViewOf view={selectedView.value} />;
  if (all === null) return <Waiting lost={outage.value !== null} />;
  if (name !== null) {
    const stream = all.find((one) => one.name === name);
    return stream === undefined ? <Unknown name={name} /> : <Detail key={name} stream={stream} />;
  }
  if (all.length === 0) return <Empty />;
  return (
    <>
      <h1 class="hidden">Streams</h1>
      {claimable.value && <OpenBox />}
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
      {rights.value.exports && <Exports />}
    </>
  );
}
