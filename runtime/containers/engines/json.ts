// Reads values out of an engine's JSON, whose shape is not to be trusted.

/** Undefined for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** The value at a path of keys; undefined when it, or anything on the way, is missing. */
export function at(value: unknown, ...keys: string[]): unknown {
  let found = value;
  for (const key of keys) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<string, unknown>)[key];
  }
  return found;
}

/** The string at a path; empty when there is none. */
export function stringAt(value: unknown, ...keys: string[]): string {
  const found = at(value, ...keys);
  return typeof found === 'string' ? found : '';
}

/** The non-negative integer at a path; 0 when there is none. */
export function countAt(value: unknown, ...keys: string[]): number {
  const found = at(value, ...keys);
  return typeof found === 'number' && Number.isSafeInteger(found) && found > 0 ? found : 0;
}

/** The array at a path; empty when there is none. */
export function arrayAt(value: unknown, ...keys: string[]): readonly unknown[] {
  const found = at(value, ...keys);
  return Array.isArray(found) ? (found as unknown[]) : [];
}

/** The strings of a map from names to strings at a path, such as labels; empty when there is none. */
export function stringsAt(value: unknown, ...keys: string[]): Record<string, string> {
  const found = at(value, ...keys);
  if (typeof found !== 'object' || found === null) return {};
  const entries = Object.entries(found).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return Object.fromEntries(entries);
}
