// The fields of a section of the configuration, and the change that what is typed makes of it.
//
// Owns: which keys have words of their own, and how a value becomes text and text a value. Keys without
// words are shown by their names, so that whatever is in a section can be changed.

import { list, record } from './json';

type Section = Readonly<Record<string, unknown>>;
type Kind = 'text' | 'number' | 'switch' | 'list' | 'secret' | 'choice';
/** What is typed: a text, or whether a switch is on. */
export type Typed = string | boolean;

export interface Setting {
  /** Where it is in the section: `source`, `url`. */
  readonly path: readonly string[];
  readonly label: string;
  readonly kind: Kind;
  readonly hint?: string;
  /** What a choice may be, with the words for people; the first is what a missing key means. */
  readonly options?: readonly (readonly [string, string])[];
  /** What a missing key means, of a switch. */
  readonly absent?: boolean;
  /** The kinds of sources that have it. */
  readonly sources?: readonly string[];
}

const PULLED = ['rtsp_pull', 'mjpeg'];

export const STREAM_SETTINGS: readonly Setting[] = [
  { path: ['title'], label: 'Title', kind: 'text', hint: 'What people call it.' },
  { path: ['enabled'], label: 'Switched on', kind: 'switch', absent: true },
  {
    path: ['order'],
    label: 'Place in the list',
    kind: 'number',
    hint: 'Lower numbers come first.',
  },
  { path: ['source', 'url'], label: 'Address', kind: 'text', sources: PULLED },
  { path: ['source', 'username'], label: 'User name', kind: 'text', sources: PULLED },
  { path: ['source', 'password'], label: 'Password', kind: 'secret', sources: PULLED },
  {
    path: ['source', 'transport'],
    label: 'Transport',
    kind: 'choice',
    sources: ['rtsp_pull'],
    options: [
      ['auto', 'The box chooses'],
      ['tcp', 'TCP'],
      ['udp', 'UDP'],
      ['multicast', 'Multicast'],
      ['http', 'HTTP'],
    ],
  },
  { path: ['record'], label: 'Record it', kind: 'switch', absent: true },
  {
    path: ['record', 'keep_min'],
    label: 'Keep at least',
    kind: 'text',
    hint: 'A size such as 20GiB, kept when others need space.',
  },
  {
    path: ['record', 'keep_max'],
    label: 'Keep at most',
    kind: 'text',
    hint: 'A size such as 200GiB. Empty: as much as there is space for.',
  },
  {
    path: ['record', 'max_age'],
    label: 'Delete after',
    kind: 'text',
    hint: 'A time such as 30d. Empty: when space is needed.',
  },
];

export const BOX_SETTINGS: readonly Setting[] = [
  {
    path: ['ring', 'size'],
    label: 'Size of the recordings',
    kind: 'text',
    hint: 'A size such as 200GiB, or a share of the disk such as 80%.',
  },
  { path: ['hls', 'low_latency'], label: 'HLS with low latency', kind: 'switch', absent: false },
  { path: ['mdns', 'announce'], label: 'Announce the box', kind: 'switch', absent: true },
  { path: ['http', 'https_required'], label: 'Only https', kind: 'switch', absent: false },
  {
    path: ['http', 'hosts'],
    label: 'Further names of the box',
    kind: 'list',
    hint: 'Names with a dot that browsers may use for it, with commas between.',
  },
  {
    path: ['http', 'cors'],
    label: 'Sites that may read pictures',
    kind: 'list',
    hint: 'Origins such as https://nvr.example, with commas between.',
  },
  {
    path: ['rtsp', 'basic'],
    label: 'Take passwords over plain RTSP',
    kind: 'switch',
    absent: false,
  },
];

/** Keys that are not changed over the network, or say what the rest is about. */
const FIXED = ['source.kind', 'source.command', 'http.trusted_proxies'];

/** The fields of `section`: those with words, and whatever else is in it. */
export function settingsOf(section: Section, known: readonly Setting[]): readonly Setting[] {
  const kind = String(record(section['source'])?.['kind'] ?? '');
  const fit = known.filter(({ sources }) => sources === undefined || sources.includes(kind));
  const named = new Set(known.map(keyOf));
  return [...fit, ...leaves(section, []).filter((leaf) => !named.has(keyOf(leaf)))];
}

/** Names a setting: `source.url`. */
export function keyOf({ path }: Setting): string {
  return path.join('.');
}

function leaves(section: Section, above: readonly string[]): Setting[] {
  return Object.entries(section).flatMap(([key, value]) => {
    const path = [...above, key];
    const label = path.join('.');
    if (FIXED.includes(label)) return [];
    const inner = record(value);
    if (inner !== null && inner['set'] !== true) return leaves(inner, path);
    const kind = kindOf(value);
    return kind === null ? [] : [{ path, label, kind }];
  });
}

function kindOf(value: unknown): Kind | null {
  if (record(value) !== null) return 'secret';
  if (Array.isArray(value)) return value.every((one) => typeof one === 'string') ? 'list' : null;
  if (typeof value === 'boolean') return 'switch';
  return typeof value === 'number' ? 'number' : typeof value === 'string' ? 'text' : null;
}

/** What a field shows before anything is typed. A secret shows nothing. */
export function valueOf(section: Section, setting: Setting): Typed {
  const { path, kind, absent = false, options } = setting;
  const value = path.reduce<unknown>((inside, key) => record(inside)?.[key], section);
  switch (kind) {
    case 'switch':
      // `record` is false, or a table with what of it is kept.
      return value === undefined ? absent : value !== false;
    case 'secret':
      return '';
    case 'list':
      return list(value).join(', ');
    case 'choice':
      return typeof value === 'string' ? value : (options?.[0]?.[0] ?? '');
    case 'text':
    case 'number':
      return value === undefined || record(value) !== null ? '' : String(value);
  }
}

/** Whether a secret is there, without being shown. */
export function isSet(section: Section, { path }: Setting): boolean {
  return path.reduce<unknown>((inside, key) => record(inside)?.[key], section) !== undefined;
}

/** The merge patch (RFC 7396) of what was changed; empty when nothing was. */
export function patchOf(
  section: Section,
  settings: readonly Setting[],
  typed: Readonly<Record<string, Typed>>,
): Record<string, unknown> {
  const patch: Record<string, unknown> = {};
  // The deeper keys last: a switch makes way for what is in its table.
  const ordered = [...settings].sort((a, b) => a.path.length - b.path.length);
  for (const setting of ordered) {
    const now = typed[keyOf(setting)];
    const before = valueOf(section, setting);
    if (now === undefined || now === before) continue;
    put(patch, setting.path, meant(setting, now));
  }
  return patch;
}

function put(patch: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path;
  if (rest.length === 0) {
    patch[key] = value;
    return;
  }
  // Switched off as a whole: what is in its table has no place to go.
  if (patch[key] === false) return;
  const inner = { ...record(patch[key]) };
  put(inner, rest, value);
  patch[key] = inner;
}

/** The value of what is typed; null takes the key out of the file. */
function meant({ kind, absent, options }: Setting, typed: Typed): unknown {
  if (kind === 'switch') return typed === (absent ?? null) ? null : typed;
  const text = String(typed).trim();
  if (kind === 'list')
    return text === ''
      ? null
      : text
          .split(',')
          .map((one) => one.trim())
          .filter((one) => one !== '');
  if (text === '' || (kind === 'choice' && text === options?.[0]?.[0])) return null;
  const number = Number(text);
  return kind === 'number' && Number.isFinite(number) ? number : text;
}
