// The picture of a recording, with the words over it and the controls below it.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { Recordings, StreamInfo } from '../../logic/api';
import { clock } from '../../logic/format';
import { lastFootage, seekTarget } from '../../logic/span';
import { RecordedPlayer } from '../../media/recorded-player';
import { boxUrl } from '../../net/url';
import { rights } from '../../state/session';
import { Prose } from '../prose';
import { Controls } from './controls';

/** How long the position rests before its still is asked for. */
const STILL_WAIT_MS = 200;

interface TimelinePlayerProps {
  readonly stream: StreamInfo;
  readonly recordings: Recordings;
  readonly start_ms: number;
}

export function TimelinePlayer({ stream, recordings, start_ms }: TimelinePlayerProps) {
  const video = useRef<HTMLVideoElement>(null);
  const runs = useRef(recordings.runs);
  runs.current = recordings.runs;
  const [player, setPlayer] = useState<RecordedPlayer | null>(null);
  useEffect(() => {
    if (video.current === null) return;
    const made = new RecordedPlayer(
      video.current,
      stream.name,
      seekTarget(start_ms, runs.current),
      (ms) => lastFootage(ms, runs.current),
    );
    setPlayer(made);
    return () => made.dispose();
  }, [stream.name]);
  return (
    <>
      <div class="stage">
        <div class="picture">
          <video ref={video} muted playsInline aria-label={`Recording of ${stream.title}`} />
          {player !== null && player.stills_only.value !== null && (
            <Still name={stream.name} player={player} />
          )}
          {player !== null && <Overlay player={player} />}
        </div>
      </div>
      {player !== null && <Controls stream={stream} recordings={recordings} player={player} />}
    </>
  );
}

/** The picture of the moment, for a browser that cannot play the recording. */
function Still({ name, player }: { name: string; player: RecordedPlayer }) {
  const at_ms = player.date_ms.value;
  const [url, setUrl] = useState('');
  const [missing, setMissing] = useState(false);
  useEffect(() => {
    if (at_ms === null) return;
    // While something is dragged, only the moment at which it rests is asked for.
    const timer = setTimeout(() => setUrl(snapshotAt(name, at_ms).href), STILL_WAIT_MS);
    return () => clearTimeout(timer);
  }, [name, at_ms]);
  return (
    <>
      {url !== '' && (
        <img
          src={url}
          alt={`Recording of ${name}`}
          hidden={missing}
          onLoad={() => setMissing(false)}
          onError={() => setMissing(true)}
        />
      )}
      <p class="skipped" role="status">
        {missing && 'There is no picture of this moment. '}
        Stills only: <Prose text={player.stills_only.value ?? ''} />
        {rights.value.exports && ' Clips can be downloaded.'}
      </p>
    </>
  );
}

/** The address of the still of a date. */
function snapshotAt(name: string, ms: number): URL {
  const url = boxUrl(`snap/${encodeURIComponent(name)}.jpg`);
  url.searchParams.set('t', new Date(ms).toISOString());
  return url;
}

/** The words over the picture: why it stopped, or which gap was just skipped. */
function Overlay({ player }: { player: RecordedPlayer }) {
  const trouble = player.trouble.value;
  const gap = player.gap.value;
  // Stills need no socket: that it ended stops nothing.
  if (player.stills_only.value !== null) return null;
  if (trouble !== null)
    return (
      <p class="overlay" role="alert">
        <b>Stopped</b>
        <span>
          <Prose text={trouble} />
        </span>
      </p>
    );
  if (gap === null) return null;
  return (
    <p class="skipped" role="status">
      Skipped a gap, {clock(gap.start_ms)}–{clock(gap.end_ms)}: <Prose text={gap.message} />
    </p>
  );
}
