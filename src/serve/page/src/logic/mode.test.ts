import { expect, test } from 'vitest';
import { choose, modeText, runsPlayer, type TileInputs } from './mode';

const WELL: TileInputs = {
  visible: true,
  state: 'live',
  wants_live: true,
  unplayable: null,
  waited_secs: 0.04,
  playing: true,
  trouble: null,
};

const CASES: readonly [string, Partial<TileInputs>, string][] = [
  ['is live', {}, 'Live'],
  ['connects before the first frame', { playing: false, waited_secs: 1 }, 'Connecting'],
  ['is paused when nobody looks', { visible: false }, 'Paused (off screen)'],
  [
    'names the codec it cannot play',
    { unplayable: 'this browser cannot play H.265' },
    'Stills: this browser cannot play H.265',
  ],
  ['spares the machine with many tiles', { wants_live: false }, 'Stills'],
  ['falls back after 3 s', { waited_secs: 3 }, 'Interrupted: no live video for 3 s, reconnecting'],
  [
    'says what the player met',
    { waited_secs: 3, trouble: 'connection lost, reconnecting' },
    'Interrupted: connection lost, reconnecting',
  ],
  ['holds on for short stalls', { waited_secs: 2.9 }, 'Live'],
  ['plays out what it has of a lost stream', { state: 'offline' }, 'Live'],
  ['has no stills of a lost stream', { state: 'offline', waited_secs: 3 }, 'No signal'],
  [
    'does not pretend to connect to a lost stream',
    { state: 'offline', playing: false },
    'No signal',
  ],
  [
    'waits with a stream that starts',
    { state: 'starting', playing: false, waited_secs: 9 },
    'Connecting',
  ],
  ['an unplayable lost stream is lost', { state: 'offline', unplayable: 'no' }, 'No signal'],
];

test.each(CASES)('%s', (_, change, words) => {
  expect(modeText(choose({ ...WELL, ...change }))).toBe(words);
});

test('the socket is open behind stills, to come back', () => {
  expect(runsPlayer({ ...WELL, playing: false, waited_secs: 60 })).toBe(true);
});

test.each<Partial<TileInputs>>([{ visible: false }, { wants_live: false }, { unplayable: 'no' }])(
  'no socket for %o',
  (change) => {
    expect(runsPlayer({ ...WELL, ...change })).toBe(false);
  },
);
