// What people should know of how a camera sends its stream, one sentence each.

import type { StreamInfo } from './api';
import { sentence } from './format';

/** Nothing for a stream as it should be. */
export function remarks(
  stream: Pick<StreamInfo, 'entry' | 'sound' | 'not_carried' | 'tracks'>,
): readonly string[] {
  const said: string[] = [];
  if (stream.entry === 'none') {
    said.push(
      'The camera sends no key pictures, so the picture is smeared at first: set its I-frame interval.',
    );
  }
  if (stream.sound === 'silent') said.push('The camera announces sound, but none comes.');
  if (stream.sound === 'stopped') said.push('The camera has stopped sending sound.');
  if (stream.not_carried.length > 0) said.push(`Not carried: ${stream.not_carried.join(', ')}.`);
  for (const track of stream.tracks) {
    if (track.undrawable !== null) said.push(sentence(track.undrawable));
  }
  return said;
}
