// The page: header, notices, and either all streams or one of them.
//
// Owns: the landmarks and which of the states (waiting, empty, unreachable, streams) is shown.

import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { LIVE_TILES_MAX } from '../logic/mode';
import { live_count, outage, streams } from '../state/box';
import { selectedStream, selectedView, timelineLocation, type View } from '../state/route';
import { account, claimable, type Door, door, inside, rights } from '../state/session';
import { Announcer } from './announcer';
import { Card } from './card';
import { Claim } from './door/claim';
import { Password } from './door/password';
import { SignIn } from './door/sign-in';
import { Exports } from './exports';
import { Header } from './header';
import { Detail } from './detail';
import { Unconfirmed } from './unconfirmed';
import { Empty, Forbidden, HowToClaim, OpenBox, Outage, Unknown, Waiting } from './notice';

export function App() {
  const name = selectedStream.value;
  const count = streams.value?.length ?? 0;
  useFocusOn(name);
  useFocusInside(door.value, selectedView.value);
  const shown = streams.value?.find((one) => one.name === name)?.title ?? name;
  const title = titleOf(shown, selectedView.value, `${live_count.value} of ${count} online`);
  useEffect(() => {
    if (title !== null) document.title = title;
  }, [title]);
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
        <Unconfirmed />
        <Place name={name} />
      </main>
      <Announcer />
    </>
  );
}

const VIEW_NAMES: Record<View, string> = {
  claim: 'Claim',
  password: 'Change password',
  people: 'People',
  credentials: 'Players and recorders',
  tokens: 'API tokens',
  'add-camera': 'Add camera',
  settings: 'Settings',
  system: 'System',
};

/** The title of the place; null where the place sets it itself. */
function titleOf(name: string | null, view: View | null, counts: string): string | null {
  if (!inside.value) return 'Holdfast';
  if (view !== null) return `${VIEW_NAMES[view]} – Holdfast`;
  if (timelineLocation() !== null) return null;
  return name === null ? `Holdfast – ${counts}` : `${name} – Holdfast`;
}

/** After a log-in, or when a view was opened or left, what is read next is what is there now. */
function useFocusInside(now: Door, view: View | null): void {
  const before = useRef({ door: now, view });
  useEffect(() => {
    // The page opens at its top.
    const opened = before.current.door === 'asking' || before.current.door === now;
    const entered = !opened && inside.peek();
    const moved = view !== before.current.view;
    before.current = { door: now, view };
    const main = document.getElementById('main');
    // A form that was opened with the view has put the focus into itself.
    if ((entered || moved) && !main?.contains(document.activeElement)) main?.focus();
  }, [now, view]);
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
    case 'window':
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
const credentials = () => import('./admin/credentials').then((module) => module.Credentials);
const settings = () => import('./admin/settings').then((module) => module.Settings);
const tokens = () => import('./admin/tokens').then((module) => module.Tokens);
const system = () => import('./admin/system').then((module) => module.System);
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
    case 'tokens':
      return rights.value.admin && account.value !== null ? <Later load={tokens} /> : <Forbidden />;
    case 'credentials':
      return rights.value.admin ? <Later load={credentials} /> : <Forbidden />;
    case 'settings':
      return rights.value.admin ? <Later load={settings} /> : <Forbidden />;
    case 'add-camera':
      return rights.value.admin ? <Later load={addCamera} /> : <Forbidden />;
    case 'system':
      return rights.value.admin ? <Later load={system} /> : <Forbidden />;
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
