// The page's icons, drawn inline: no icon font, no request.

const PATHS = {
  check: 'M3.500 8.500l3 3 6-7',
  warn: 'M8 2.500l6 11H2zM8 6.500v3.500M8 11.800v.4',
  wait: 'M8 2a6 6 0 1 0 6 6M8 5v3l2 1.500',
  record: 'M8 3.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9z',
  off: 'M2.500 2.500l11 11M4 5H2.500v7H10M6.500 5H10v3.500M10 7.500L13.500 5v6.500',
  play: 'M5 3l8 5-8 5z',
  image: 'M2.500 3.500h11v9h-11zM2.500 10.500l3-3 2.500 2.500 2-2 3.500 3.500M10.500 6h.1',
  pause: 'M5.500 3.500v9M10.500 3.500v9',
  back: 'M9.500 3L4.500 8l5 5',
  full: 'M6 2.500H2.500V6M10 2.500h3.500V6M6 13.500H2.500V10M10 13.500h3.500V10',
  sound: 'M2.500 6.500v3H5l3.500 3v-9L5 6.500zM11 5.500a3.500 3.500 0 0 1 0 5',
  mute: 'M2.500 6.500v3H5l3.500 3v-9L5 6.500zM11 6.500l3 3M14 6.500l-3 3',
  prev: 'M11.500 3.500L6 8l5.500 4.500zM4 3.500v9',
  next: 'M4.500 3.500L10 8l-5.500 4.500zM12 3.500v9',
  person:
    'M8 2.500a2.750 2.750 0 1 0 0 5.500 2.750 2.750 0 0 0 0-5.500zM2.500 13.500c.5-3 2.500-4 5.500-4s5 1 5.500 4',
  save: 'M8 2.500v7.500M4.500 7L8 10.500 11.500 7M3 13.500h10',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The product's mark: a keep with a lens in it. */
export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d="M3 4h4v2.500h3V4h4v2.500h3V4h4v7l-2 2v8H5v-8l-2-2z" />
      <circle cx="12" cy="14" r="3" />
    </svg>
  );
}
