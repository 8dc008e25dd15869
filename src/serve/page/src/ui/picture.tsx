// The picture of a tile: the video, the still over it, and what must be known about it.
//
// Owns: the two elements and the tile that drives them.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { Tile } from '../live/tile';
import type { StreamInfo } from '../logic/api';
import { age, delay } from '../logic/format';
import { modeText } from '../logic/mode';
import { hurry, outage } from '../state/box';
import { Icon, type IconName } from './icon';

interface PictureProps {
  readonly stream: StreamInfo;
  readonly wants_live: boolean;
  /** What lies over the picture, given its tile. */
  readonly children?: (tile: Tile, video: HTMLVideoElement) => ComponentChildren;
}

export function Picture({ stream, wants_live, children }: PictureProps) {
  const frame = useRef<HTMLDivElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const image = useRef<HTMLImageElement>(null);
  const [tile, setTile] = useState<Tile | null>(null);

  useEffect(() => {
    if (frame.current === null || video.current === null || image.current === null) return;
    const made = new Tile(video.current, image.current, stream, hurry);
    const observer = new IntersectionObserver((seen) => made.shown(seen.at(-1)?.isIntersecting ?? false), { rootMargin: '64px' });
    observer.observe(frame.current);
    setTile(made);
    return () => {
      observer.disconnect();
      made.dispose();
    };
  }, [stream.name, stream.urls.mse]);
  useEffect(() => tile?.informed(stream), [tile, stream]);
  useEffect(() => tile?.wantsLive(wants_live), [tile, wants_live]);

  const mode = tile?.mode.value ?? { kind: 'paused' as const };
  const frozen_secs = tile?.frozen_secs.value ?? null;
  const surface = tile?.surface.value ?? 'video';
  return (
    <div class="picture" ref={frame} data-mode={mode.kind} data-surface={surface} data-frozen={frozen_secs !== null}>
      <video ref={video} muted playsInline aria-label={`Live picture of ${stream.name}`} />
      <img ref={image} alt={surface === 'image' ? `Latest picture of ${stream.name}` : ''} />
      {tile !== null && <Overlay stream={stream} tile={tile} />}
      {tile !== null && video.current !== null && children?.(tile, video.current)}
    </div>
  );
}

/** What is said over the picture when there is none, or none of now. */
function Overlay({ stream, tile }: { stream: StreamInfo; tile: Tile }) {
  const mode = tile.mode.value;
  const frozen_secs = tile.frozen_secs.value;
  const lost = stream.state === 'offline' && mode.kind !== 'live';
  if (lost) return <Message title="No signal" text={frozen_secs === null ? '' : `picture is ${age(frozen_secs)} old`} />;
  if (mode.kind === 'pictures' && tile.missing.value !== null) return <Message title="No picture" text={tile.missing.value} />;
  if (frozen_secs !== null && mode.kind !== 'paused') return <Message title="Frozen" text={`picture is ${age(frozen_secs)} old`} />;
  if (mode.kind === 'connecting') return <Message title={stream.state === 'starting' ? 'Starting' : 'Connecting'} text="" />;
  if (mode.kind === 'paused') return <Message title="Paused" text="" />;
  return null;
}

function Message({ title, text }: { title: string; text: string }) {
  return (
    <p class="over">
      <b>{title}</b>
      {text !== '' && <span>{text}</span>}
    </p>
  );
}

const MODE_ICONS: Record<string, IconName> = { live: 'play', pictures: 'image', connecting: 'wait', paused: 'pause', 'no-signal': 'off' };

/** "Live 0.2 s", "Pictures: this browser cannot play H.265". */
export function ModeLine({ tile }: { tile: Tile }) {
  const mode = tile.mode.value;
  const delay_secs = tile.delay_secs.value;
  const stale = outage.value !== null && mode.kind === 'live';
  return (
    <p class="mode" data-mode={mode.kind}>
      <Icon name={MODE_ICONS[mode.kind] ?? 'wait'} />
      <span>{modeText(mode)}</span>
      {delay_secs !== null && <span class="delay" title="How long ago, by the clock of the box, this frame was taken">{delay(delay_secs)}</span>}
      {stale && <span class="quiet">(facts are old)</span>}
    </p>
  );
}
