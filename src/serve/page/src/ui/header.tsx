// The header: product, overall health in words, counts, clock of the box.
//
// Owns: the words for "healthy". State is always a word and a shape, never a colour alone.

import { useRef } from 'preact/hooks';
import type { Check, HealthStatus } from '../logic/api';
import { clock, count, zone } from '../logic/format';
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
import { inside } from '../state/session';
import { AccountMenu } from './account-menu';
import { Icon, Logo } from './icon';
import { useCloseOutside } from './panel';
import { Prose } from './prose';

type Verdict = HealthStatus | 'unreachable' | 'unknown';

const CHECK_WORDS: Record<HealthStatus, string> = {
  ok: 'OK',
  degraded: 'Needs attention',
  failed: 'Failed',
};
/** The worst first. */
const ORDER: readonly HealthStatus[] = ['failed', 'degraded', 'ok'];

export function Header() {
  return (
    <header class="head">
      <a class="brand" href={homeAddress()}>
        <Logo />
        <span>Holdfast</span>
        <span class="host">{location.hostname}</span>
      </a>
      {inside.value && (
        <>
          <HealthBox />
          <Counts />
          <Clock />
          <AccountMenu />
        </>
      )}
    </header>
  );
}

/** "All well", "3 problems", "Disconnected". */
function verdictWords(verdict: Verdict, checks: readonly Check[]): string {
  const problems = checks.filter((one) => one.status !== 'ok').length;
  switch (verdict) {
    case 'ok':
      return 'All well';
    case 'degraded':
    case 'failed':
      return problems === 0 ? CHECK_WORDS[verdict] : count(problems, 'problem');
    case 'unreachable':
      return 'Disconnected';
    case 'unknown':
      return 'Checking…';
  }
}

function HealthBox() {
  const state = health.value;
  const verdict: Verdict = outage.value !== null ? 'unreachable' : (state?.status ?? 'unknown');
  const checks = [...(state?.checks ?? [])].sort(
    (a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status),
  );
  const panel = useRef<HTMLDetailsElement>(null);
  useCloseOutside(panel);
  return (
    <details
      class="health"
      ref={panel}
      data-status={verdict}
      onKeyDown={(event) => {
        if (event.key !== 'Escape' || !event.currentTarget.open) return;
        event.preventDefault();
        event.currentTarget.open = false;
        event.currentTarget.querySelector('summary')?.focus();
      }}
    >
      <summary>
        <Icon name={verdict === 'ok' ? 'check' : verdict === 'unknown' ? 'wait' : 'warn'} />
        <span class="hidden">Health of the box: </span>
        {verdictWords(verdict, checks)}
      </summary>
      <div class="panel">
        <ul class="checks">
          {checks.map((one) => (
            <CheckLine key={one.name} check={one} />
          ))}
        </ul>
        {checks.length === 0 && <p>Only admins see the details.</p>}
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
        <b>{check.name}</b> <span class="quiet">{CHECK_WORDS[check.status]}</span>
        <br />
        <Prose text={check.message} />
      </span>
    </li>
  );
}

function Counts() {
  const total = streams.value?.length ?? 0;
  if (total === 0) return null;
  const [recording, recorded] = [recording_count.value, recorded_count.value];
  return (
    <p class="counts">
      <span data-complete={live_count.value === total}>
        {live_count.value} of {total} online
      </span>
      <span data-complete={recording === recorded}>
        {recorded === 0 ? 'Recording is off' : `${recording} of ${recorded} recording`}
      </span>
    </p>
  );
}

function Clock() {
  if (streams.value === null) return null;
  return (
    <time
      class="clock"
      dateTime={new Date(now_ms.value).toISOString()}
      title="The clock of the box, in the time zone of this browser"
    >
      {clock(now_ms.value)} <span class="quiet">{zone(now_ms.value)}</span>
    </time>
  );
}
