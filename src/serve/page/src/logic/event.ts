// The messages of the box's event stream.
//
// Owns: what they mean to the page: which area of it has something new.

import { record, string } from './json';

/** What the page shows that an event can make old. */
export type Area = 'box' | 'config' | 'recordings' | 'exports';
export const AREAS: readonly Area[] = ['box', 'config', 'recordings', 'exports'];

/** The areas that a message of `api/v1/events/ws` makes old; all of them when events were lost. */
export function readAreas(text: string): readonly Area[] {
  const message = parse(text);
  if (record(message?.['lost']) !== null) return AREAS;
  const kind = string(record(message?.['event'])?.['kind']) ?? '';
  switch (kind.split('.')[0]) {
    case 'stream':
    case 'health':
      return ['box'];
    case 'config':
      return ['box', 'config'];
    case 'recording':
      return ['box', 'recordings'];
    case 'mark':
    case 'range':
      return ['recordings'];
    case 'export':
      return ['exports'];
    default:
      return [];
  }
}

/** Whether a message greets: events come from now on. */
export function isHello(text: string): boolean {
  return record(parse(text)?.['hello']) !== null;
}

function parse(text: string): Record<string, unknown> | null {
  try {
    return record(JSON.parse(text));
  } catch {
    return null;
  }
}
