// A stream's state and its recording, in words and a shape.

import type { RecordingStatus, StreamInfo } from '../logic/api';
import { age, count, moment, size } from '../logic/format';
import { instant } from '../logic/json';
import { now_ms, outage } from '../state/box';
import { Icon } from './icon';
import { Prose } from './prose';

/** A stream whose newest frame is older than this delivers nothing, whatever its state says. */
const STALLED_MS = 3_000;

/** The state in words, without running numbers. */
export function stateWords(stream: StreamInfo): string {
  const reason = stream.reason === null ? '' : ` – ${stream.reason}`;
  if (stream.state === 'live') return 'Online';
  return `${stream.state === 'starting' ? 'Starting' : 'No signal'}${reason}`;
}

/** "Online since 14:05:23", "No picture for 4 s", "No signal for 14 s – reason". */
export function StateLine({ stream }: { stream: StreamInfo }) {
  const since_ms = instant(stream.since);
  const frame_age_ms = stream.last_frame_age_ms ?? 0;
  const reason = stream.reason !== null && (
    <>
      {' – '}
      <Prose text={stream.reason} />
    </>
  );
  const held = since_ms === null ? '' : ` for ${age((now_ms.value - since_ms) / 1000)}`;
  if (stream.state === 'live' && frame_age_ms > STALLED_MS)
    return (
      <p class="state" data-state="starting">
        <Icon name="wait" />
        <span>
          <b>No picture</b> for {age(frame_age_ms / 1000)}
        </span>
      </p>
    );
  return (
    <p class="state" data-state={stream.state}>
      <Icon
        name={stream.state === 'live' ? 'play' : stream.state === 'starting' ? 'wait' : 'off'}
      />
      <span>
        <b>{{ live: 'Online', starting: 'Starting', offline: 'No signal' }[stream.state]}</b>
        {stream.state === 'live'
          ? since_ms !== null && ` since ${moment(since_ms, now_ms.value)}`
          : held}
        {stream.state !== 'live' && reason}
        {outage.value !== null && <span class="quiet"> (out of date)</span>}
      </span>
    </p>
  );
}

/** "Recording · saved up to 14:05:22 · 3.2 GB", "Not recording: no picture from the camera". */
export function RecordingLine({ stream }: { stream: StreamInfo }) {
  const { recording } = stream;
  if (recording === null)
    return (
      <p class="recording" data-state="none">
        <Icon name="record" />
        <span>Recording is off</span>
      </p>
    );
  return (
    <p class="recording" data-state={recording.state}>
      <Icon name={recording.state === 'failed' ? 'warn' : 'record'} />
      <span>
        <b>{recording.state === 'recording' ? 'Recording' : 'Not recording'}</b>
        <WhyNot stream={stream} recording={recording} />{' '}
        <span class="quiet">{recordingFacts(recording)}</span>
      </span>
    </p>
  );
}

/** Why nothing is recorded. What the line of the stream's state says already is not repeated. */
function WhyNot({ stream, recording }: { stream: StreamInfo; recording: RecordingStatus }) {
  if (recording.state === 'waiting' && stream.state !== 'live')
    return <>: no picture from the camera</>;
  const since_ms = recording.state === 'failed' ? instant(recording.since) : null;
  return (
    <>
      {since_ms !== null && ` since ${moment(since_ms, now_ms.value)}`}
      {recording.reason !== null && (
        <>
          {': '}
          <Prose text={recording.reason} />
        </>
      )}
    </>
  );
}

function recordingFacts(recording: RecordingStatus): string {
  const durable_ms = instant(recording.durable_until);
  const facts = [
    ...(durable_ms === null ? [] : [`saved up to ${moment(durable_ms, now_ms.value)}`]),
    ...(recording.bytes > 0 ? [size(recording.bytes)] : []),
    ...(recording.lost > 0 ? [`${count(recording.lost, 'frame')} not saved`] : []),
  ];
  return facts.map((one) => `· ${one}`).join(' ');
}
