// The picture of a recording, with the words over it and the controls below it.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { Recordings, StreamInfo } from '../../logic/api';
import { clock } from '../../logic/format';
import { lastFootage, seekTarget } from '../../logic/span';
import { RecordedPlayer } from '../../media/recorded-player';
import { Prose } from '../prose';
import { Controls } from './controls';

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
          <video ref={video} muted playsInline aria-label={`Recording of ${stream.name}`} />
          {player !== null && <Overlay player={player} />}
        </div>
      </div>
      {player !== null && <Controls stream={stream} recordings={recordings} player={player} />}
    </>
  );
}

/** The words over the picture: why it stopped, or which gap was just skipped. */
function Overlay({ player }: { player: RecordedPlayer }) {
  const trouble = player.trouble.value;
  const gap = player.gap.value;
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
