// Writes numbers and times as people read them.
//
// Owns: units, rounding, plurals, names of codecs. Times are in the zone of the browser.

import type { Track } from './api';

/** A clause as a sentence: "this browser is slow" becomes "This browser is slow.". */
export function sentence(clause: string): string {
  const text = clause.trim();
  const end = /[.!?…]$/.test(text) ? '' : '.';
  return text === '' ? '' : `${text[0]?.toUpperCase()}${text.slice(1)}${end}`;
}

/** A number of things: "1 frame", "12 frames". */
export function count(number: number, thing: string): string {
  return `${number} ${number === 1 ? thing : `${thing}s`}`;
}

/** A delay: "0.2 s" below ten seconds, "14 s" above. */
export function delay(secs: number): string {
  return secs < 9.95 ? `${secs.toFixed(1)} s` : age(Math.round(secs));
}

/** An age, coarser the older: "14 s", "3 min", "5 h 20 min", "13.2 days". */
export function age(secs: number): string {
  const whole = Math.max(0, Math.floor(secs));
  if (whole < 100) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 100) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${(hours / 24).toFixed(1)} days`;
}

/** The length of a range: "7.8 s" below a minute, where a tenth counts, else as an age. */
export function duration(secs: number): string {
  return secs < 59.95 ? `${secs.toFixed(1)} s` : age(Math.round(secs));
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** A size in powers of 1000: "3.2 GB". */
export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** A bit rate: "2.1 Mbit/s". */
export function bitrate(bps: number): string {
  if (bps >= 1e6) return `${(bps / 1e6).toFixed(1)} Mbit/s`;
  return `${Math.round(bps / 1000)} kbit/s`;
}

const CODECS: Record<string, string> = {
  H264: 'H.264',
  H265: 'H.265',
  PCMA: 'G.711 A-law',
  PCMU: 'G.711 µ-law',
};

/** A codec by the name people know. */
export function codec(name: string): string {
  return CODECS[name] ?? name;
}

const RFC6381: readonly (readonly [RegExp, string])[] = [
  [/^(avc[13])/, 'H.264'],
  [/^(hvc1|hev1)/, 'H.265'],
  [/^mp4a/, 'AAC'],
  [/^flac/i, 'FLAC'],
  [/^opus/i, 'Opus'],
];

/** The codecs of an RFC 6381 list by the names people know: "H.265 and AAC". */
export function codecNames(list: string): string {
  const names = list.split(',').map((one) => {
    const text = one.trim();
    return RFC6381.find(([pattern]) => pattern.test(text))?.[1] ?? text;
  });
  return names.join(' and ');
}

/** One track in a line: "H.264 1280×720 25 fps", "AAC 48 kHz stereo". */
export function track(one: Track): string {
  const parts = [codec(one.codec)];
  if (one.width && one.height) parts.push(`${one.width}×${one.height}`);
  if (one.frame_rate) parts.push(`${rounded(one.frame_rate)} fps`);
  if (one.sample_rate) parts.push(`${rounded(one.sample_rate / 1000)} kHz`);
  if (one.channels)
    parts.push(
      one.channels === 1 ? 'mono' : one.channels === 2 ? 'stereo' : `${one.channels} channels`,
    );
  return parts.join(' ');
}

function rounded(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** A time of day: "14:05:23". */
export function clock(ms: number): string {
  const at = new Date(ms);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
}

/** The zone's offset at a time: "+02:00", "UTC" for none. */
export function zone(ms: number): string {
  const offset = -new Date(ms).getTimezoneOffset();
  if (offset === 0) return 'UTC';
  const minutes = Math.abs(offset);
  return `${offset < 0 ? '−' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** A day: "21 Nov". */
export function day(ms: number): string {
  return new Date(ms).toLocaleDateString('en-GB', { day: 'numeric', month: 'short' });
}

/** A time, with its date when that is not the day of `now_ms`: "14:05:23", "21 Nov 14:05:23". */
export function moment(ms: number, now_ms: number): string {
  const at = new Date(ms);
  if (at.toDateString() === new Date(now_ms).toDateString()) return clock(ms);
  return `${day(ms)} ${clock(ms)}`;
}

/** The zone's offset at a time, in milliseconds to add to UTC. */
export function offsetMs(ms: number): number {
  return -new Date(ms).getTimezoneOffset() * 60_000;
}

/** "22 Nov 2026, 14:05:23.480 +01:00". */
export function exact(ms: number): string {
  const at = new Date(ms);
  const date = at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
  return `${date}, ${clock(ms)}.${String(at.getMilliseconds()).padStart(3, '0')} ${zone(ms)}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
