// What the cameras of a new box see, before it has an owner.
//
// Owns: asking for their names once; the pictures are asked for by whoever shows them.

import { list, record } from '../logic/json';
import { get } from '../net/request';
import { boxUrl } from '../net/url';

const PATH = 'api/v1/preview';

/** The names of the box's own cameras; none where the box shows none. */
export async function previewCameras(): Promise<readonly string[]> {
  const outcome = await get(PATH);
  if (!outcome.ok) return [];
  return list(record(outcome.value)?.['cameras']).filter((one) => typeof one === 'string');
}

/** The address of a camera's newest picture; each `count` is another one. */
export function previewPicture(name: string, count: number): string {
  const url = boxUrl(`${PATH}/${encodeURIComponent(name)}.jpg`);
  url.searchParams.set('n', String(count));
  return url.href;
}
