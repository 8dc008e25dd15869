// The technical line of a stream and the addresses to copy.

import { useRef, useState } from 'preact/hooks';
import type { Encoding, StreamInfo } from '../logic/api';
import { bitrate, count, track } from '../logic/format';
import { remarks } from '../logic/remark';
import { boxUrl } from '../net/url';
import { bitrates, unit_rates } from '../state/box';
import { Prose } from './prose';

/** "H.264 1280×720 25 fps · AAC 48 kHz stereo · 2.1 Mbit/s · 3 viewers". */
export function Facts({ stream }: { stream: StreamInfo }) {
  const bps = bitrates.value.get(stream.name) ?? 0;
  const units_per_sec = unit_rates.value.get(stream.name) ?? 0;
  const parts = stream.tracks.map(track);
  // A stream that does not state its frame rate, and has only video, is counted.
  const only = stream.tracks.length === 1 ? stream.tracks[0] : undefined;
  if (only?.kind === 'video' && !only.frame_rate && units_per_sec > 0 && stream.state === 'live') {
    parts.push(`${Math.round(units_per_sec)} fps`);
  }
  if (bps > 0 && stream.state === 'live') parts.push(bitrate(bps));
  const { rtsp, hls, mse } = stream.readers;
  return (
    <div class="lines facts">
      <p>{parts.length === 0 ? 'No format known yet' : parts.join(' · ')}</p>
      {remarks(stream).map((remark) => (
        <p key={remark} class="quiet">
          {remark}
        </p>
      ))}
      <EncodingFacts encoding={stream.encoding} />
      <p class="quiet">
        Viewers: RTSP {rtsp} · HLS {hls} · browser {mse}
        {stream.totals.lost > 0 && ` · ${count(stream.totals.lost, 'frame')} dropped`}
        {stream.totals.restarts > 0 && ` · ${count(stream.totals.restarts, 'restart')}`}
      </p>
    </div>
  );
}

/** What is less than was asked for, because the box encodes too slowly or not in hardware. */
function EncodingFacts({ encoding }: { encoding: Encoding | null }) {
  if (encoding === null || (encoding.one_in === 1 && encoding.instead === null)) return null;
  return (
    <p class="warning">
      {encoding.one_in > 1 &&
        `Only 1 frame in ${encoding.one_in} is encoded: the box is too slow. `}
      {encoding.instead !== null && (
        <>
          Encoded without the board's encoder: <Prose text={encoding.instead} />
        </>
      )}
    </p>
  );
}

export function Addresses({ stream }: { stream: StreamInfo }) {
  return (
    <div class="addresses">
      <Address label="RTSP" stream={stream.title} url={stream.urls.rtsp} />
      <Address label="HLS" stream={stream.title} url={boxUrl(stream.urls.hls).href} />
    </div>
  );
}

type Copied = 'no' | 'yes' | 'failed';

const COPY_WORDS: Record<Copied, string> = { no: 'Copy', yes: 'Copied', failed: 'Press Ctrl+C' };

function Address({ label, stream, url }: { label: string; stream: string; url: string }) {
  const field = useRef<HTMLInputElement>(null);
  const [copied, setCopied] = useState<Copied>('no');
  const act = async () => {
    if (field.current === null) return;
    setCopied((await copy(field.current)) ? 'yes' : 'failed');
    setTimeout(() => setCopied('no'), 2_000);
  };
  return (
    <div class="address">
      <label>
        <span>{label}</span>
        <input
          ref={field}
          readOnly
          value={url}
          aria-label={`${label} address of ${stream}`}
          onFocus={(event) => event.currentTarget.select()}
        />
      </label>
      <button
        type="button"
        onClick={() => void act()}
        aria-label={`${COPY_WORDS[copied]} ${label} address of ${stream}`}
      >
        {COPY_WORDS[copied]}
      </button>
    </div>
  );
}

/** Copies the field's text. The clipboard API is missing on plain http, where the old way works. */
async function copy(field: HTMLInputElement): Promise<boolean> {
  if (isSecureContext) {
    try {
      await navigator.clipboard.writeText(field.value);
      return true;
    } catch {
      // Permission was refused: the old way is left.
    }
  }
  field.focus();
  field.select();
  return document.execCommand('copy');
}
