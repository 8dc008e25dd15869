// The picture of a tile: the video, the still over it, and the line that says what it is.
//
// Owns: the two elements and the tile that drives them. The mode is beside the picture, not on it:
// cameras write their own clock into its corners.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { RefObject } from 'preact';
import { Tile } from '../media/tile';
import type { StreamInfo } from '../logic/api';
import { instant } from '../logic/json';
import { age, delay } from '../logic/format';
import { modeText } from '../logic/mode';
import { refreshNow, now_ms, outage } from '../state/box';
import { Icon, type IconName } from './icon';
import { Prose } from './prose';

/** The elements of a picture, and its tile once they are there. */
export interface View {
  readonly frame: RefObject<HTMLDivElement | null>;
  readonly video: RefObject<HTMLVideoElement | null>;
  readonly image: RefObject<HTMLImageElement | null>;
  readonly tile: Tile | null;
}

/** Runs a tile for as long as the component lives. Its picture is drawn by `Picture`. */
export function useView(stream: StreamInfo, wants_live: boolean): View {
  const frame = useRef<HTMLDivElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const image = useRef<HTMLImageElement>(null);
  const [tile, setTile] = useState<Tile | null>(null);
  useEffect(() => {
    if (frame.current === null || video.current === null || image.current === null) return;
    const parts = { video: video.current, image: image.current };
    const made = new Tile({ ...parts, stream, wants_live, refreshNow });
    const observer = new IntersectionObserver(
      (seen) => made.setOnScreen(seen.at(-1)?.isIntersecting ?? false),
      { rootMargin: '64px' },
    );
    observer.observe(frame.current);
    setTile(made);
    return () => {
      observer.disconnect();
      made.dispose();
    };
  }, [stream.name, stream.urls.mse]);
  useEffect(() => tile?.update(stream), [tile, stream]);
  useEffect(() => tile?.setWantsLive(wants_live), [tile, wants_live]);
  return { frame, video, image, tile };
}

interface PictureProps {
  readonly stream: StreamInfo;
  readonly view: View;
}

export function Picture({ stream, view }: PictureProps) {
  const { tile } = view;
  const surface = tile?.surface.value ?? 'video';
  return (
    <div
      class="picture"
      ref={view.frame}
      data-mode={tile?.mode.value.kind ?? 'paused'}
      data-surface={surface}
      data-frozen={(tile?.frozen_secs.value ?? null) !== null}
    >
      <video ref={view.video} muted playsInline aria-label={`Live picture of ${stream.title}`} />
      <img ref={view.image} alt={surface === 'image' ? `Latest picture of ${stream.title}` : ''} />
      {tile !== null && <Overlay stream={stream} tile={tile} />}
    </div>
  );
}

/** The words over the picture when there is none, or only an old one. */
function Overlay({ stream, tile }: { stream: StreamInfo; tile: Tile }) {
  const mode = tile.mode.value;
  const frozen_secs = tile.frozen_secs.value;
  const since_ms = instant(stream.since);
  if (stream.state === 'offline' && mode.kind !== 'live' && mode.kind !== 'paused') {
    const held = since_ms === null ? '' : `for ${age((now_ms.value - since_ms) / 1000)}`;
    return <Message title="No signal" text={held} />;
  }
  const missing = mode.kind === 'stills' ? tile.missing.value : null;
  if (frozen_secs !== null && (mode.kind === 'live' || mode.kind === 'stills')) {
    return (
      <Message title="Frozen" text={`This picture is ${age(frozen_secs)} old. ${missing ?? ''}`} />
    );
  }
  if (missing !== null) return <Message title="No picture" text={missing} />;
  if (mode.kind === 'connecting')
    return <Message title={stream.state === 'starting' ? 'Starting' : 'Connecting'} text="" />;
  if (mode.kind === 'paused') return <Message title="Paused" text="" />;
  return null;
}

function Message({ title, text }: { title: string; text: string }) {
  return (
    <p class="overlay">
      <b>{title}</b>
      {text !== '' && (
        <span>
          <Prose text={text} />
        </span>
      )}
    </p>
  );
}

const MODE_ICONS: Record<string, IconName> = {
  live: 'play',
  stills: 'image',
  connecting: 'wait',
  paused: 'pause',
  'no-signal': 'off',
};

/** "Live 0.2 s", "Stills: this browser cannot play H.265". */
export function ModeLine({ tile }: { tile: Tile | null }) {
  if (tile === null) return null;
  const mode = tile.mode.value;
  const delay_secs = tile.delay_secs.value;
  const stale = outage.value !== null && mode.kind === 'live';
  return (
    <p class="mode" data-mode={mode.kind === 'stills' ? mode.cause : mode.kind}>
      <Icon name={MODE_ICONS[mode.kind] ?? 'wait'} />
      <span>{modeText(mode)}</span>
      {delay_secs !== null && (
        <span class="delay" title="The delay of this picture, by the clock of the box">
          {delay(delay_secs)}
        </span>
      )}
      {stale && <span class="quiet">(out of date)</span>}
    </p>
  );
}
