// The header: product, overall health in words, counts, clock of the box.
//
// Owns: what "healthy" is called. State is always a word and a shape, never a colour alone.

import type { Check, HealthStatus } from '../logic/api';
import { clock, zone } from '../logic/format';
import {
  health,
  live_count,
  now_ms,
  outage,
  recorded_count,
  recording_count,
  streams,
} from '../state/box';
import { homeAddress } from '../state/route';
import { Icon, Mark } from './icon';

type Verdict = HealthStatus | 'unreachable' | 'unknown';

const WORDS: Record<Verdict, string> = {
  ok: 'All well',
  degraded: 'Needs attention',
  failed: 'Failed',
  unreachable: 'No contact',
  unknown: 'Asking…',
};

export function Header() {
  return (
    <header class="head">
      <a class="brand" href={homeAddress()}>
        <Mark />
        <span>Holdfast</span>
        <span class="host">{location.hostname}</span>
      </a>
      <HealthBox />
      <Counts />
      <Clock />
    </header>
  );
}

function HealthBox() {
  const state = health.value;
  const verdict: Verdict = outage.value !== null ? 'unreachable' : (state?.status ?? 'unknown');
  return (
    <details
      class="health"
      data-status={verdict}
      onKeyDown={(event) => {
        if (event.key === 'Escape') event.currentTarget.open = false;
      }}
    >
      <summary>
        <Icon name={verdict === 'ok' ? 'check' : verdict === 'unknown' ? 'wait' : 'warn'} />
        <span class="hidden">Health of the box: </span>
        {WORDS[verdict]}
      </summary>
      <div class="panel">
        <ul class="checks">
          {(state?.checks ?? []).map((one) => (
            <CheckLine key={one.name} check={one} />
          ))}
        </ul>
        {state?.version && <p class="quiet">Holdfast {state.version}</p>}
      </div>
    </details>
  );
}

function CheckLine({ check }: { check: Check }) {
  return (
    <li data-status={check.status}>
      <Icon name={check.status === 'ok' ? 'check' : 'warn'} />
      <span>
        <b>{check.name}</b> <span class="quiet">{WORDS[check.status].toLowerCase()}</span>
        <br />
        {check.message}
      </span>
    </li>
  );
}

function Counts() {
  const total = streams.value?.length ?? 0;
  if (total === 0) return null;
  return (
    <p class="counts">
      <span>
        {live_count.value}/{total} live
      </span>
      <span>
        {recorded_count.value === 0
          ? 'Not recording'
          : `REC ${recording_count.value}/${recorded_count.value}`}
      </span>
    </p>
  );
}

function Clock() {
  if (health.value === null) return null;
  return (
    <time
      class="clock"
      dateTime={new Date(now_ms.value).toISOString()}
      title="The clock of the box, in the zone of this browser"
    >
      {clock(now_ms.value)} <span class="quiet">{zone(now_ms.value)}</span>
    </time>
  );
}
