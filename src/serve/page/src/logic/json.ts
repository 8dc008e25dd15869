// Reads single values out of JSON of unknown shape.
//
// Owns: the checks. What does not fit is `null` or a plain default, never an exception.

type Fields = Record<string, unknown>;

/** The value as an object with named fields, or null. */
export function record(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : null;
}

/** The value as a finite number, or null. */
export function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** The value as a string that says something, or null. */
export function string(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** Unix milliseconds of an RFC 3339 time, or null. */
export function instant(value: unknown): number | null {
  const text = string(value);
  return text === null ? null : number(Date.parse(text));
}

/** The named counts of an object; what is missing or odd is 0. */
export function counts<K extends string>(value: unknown, names: readonly K[]): Record<K, number> {
  const fields = record(value);
  return Object.fromEntries(names.map((name) => [name, number(fields?.[name]) ?? 0])) as Record<
    K,
    number
  >;
}

/** The elements of an array; none of anything else. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The value if it is one of the known words, else null. */
export function oneOf<T extends string>(value: unknown, known: readonly T[]): T | null {
  return known.find((one) => one === value) ?? null;
}
