// A stream's state and its recording, in words and a shape.

import type { StreamInfo } from '../logic/api';
import { instant } from '../logic/json';
import { age, moment, size } from '../logic/format';
import { now_ms } from '../state/box';
import { Icon } from './icon';

/** The state in words, without running numbers. */
export function stateWords(stream: StreamInfo): string {
  const reason = stream.reason === null ? '' : ` – ${stream.reason}`;
  if (stream.state === 'live') return 'Live';
  return `${stream.state === 'starting' ? 'Starting' : 'No signal'}${reason}`;
}

/** "Live since 14:05:23", "No signal 14 s – reason". */
export function StateLine({ stream }: { stream: StreamInfo }) {
  const since_ms = instant(stream.since);
  const reason = stream.reason === null ? '' : ` – ${stream.reason}`;
  const held = since_ms === null ? '' : age((now_ms.value - since_ms) / 1000);
  return (
    <p class="state" data-state={stream.state}>
      <Icon
        name={stream.state === 'live' ? 'play' : stream.state === 'starting' ? 'wait' : 'off'}
      />
      <span>
        {stream.state === 'live' && <b>Live</b>}
        {stream.state === 'live' && since_ms !== null && ` since ${moment(since_ms, now_ms.value)}`}
        {stream.state === 'starting' && (
          <>
            <b>Starting</b>
            {` ${held}${reason}`}
          </>
        )}
        {stream.state === 'offline' && (
          <>
            <b>No signal</b>
            {` ${held}${reason}`}
          </>
        )}
      </span>
    </p>
  );
}

/** "REC durable to 14:05:22 · 3.2 GB", "Not recorded", "Not recording since 14:05:22: reason". */
export function RecordingLine({ stream }: { stream: StreamInfo }) {
  const recording = stream.recording;
  if (recording === null) {
    return (
      <p class="recording" data-state="none">
        <Icon name="record" />
        <span>Not recorded</span>
      </p>
    );
  }
  const durable_ms = instant(recording.durable_until);
  const since_ms = recording.state === 'failed' ? instant(recording.since) : null;
  const facts = [
    ...(durable_ms === null ? [] : [`durable to ${moment(durable_ms, now_ms.value)}`]),
    size(recording.bytes),
    ...(recording.lost > 0 ? [`${recording.lost} units lost`] : []),
  ];
  const words = { recording: 'REC', waiting: 'REC waiting', failed: 'Not recording' }[
    recording.state
  ];
  return (
    <p class="recording" data-state={recording.state}>
      <Icon name={recording.state === 'failed' ? 'warn' : 'record'} />
      <span>
        <b>{words}</b>
        {since_ms !== null && ` since ${moment(since_ms, now_ms.value)}`}
        {recording.reason !== null && `: ${recording.reason}`}{' '}
        <span class="quiet">{facts.join(' · ')}</span>
      </span>
    </p>
  );
}
