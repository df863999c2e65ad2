// How `ig image` commands that look after the store print: whole texts, tables, sizes and ages.

import { visible } from '../fail.js';
import { Printer } from '../printer.js';

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];
/** In seconds, largest first. */
const SPANS: readonly (readonly [name: string, seconds: number])[] = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['week', 7 * 86_400],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
];

/** Prints `text`, in which names and annotations may come from outside. Nobody reading any more is no failure. */
export async function printOut(text: string): Promise<void> {
  let failure: unknown;
  const printer = new Printer((reason) => (failure = reason));
  printer.print(visible(text));
  await printer.done();
  if (failure instanceof Error) throw failure;
}

/** Lines whose cells are aligned to the left. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_cell, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** `1.5 MB`, with factors of 1000. */
export function sizeText(sizeBytes: number): string {
  let unit = 0;
  let value = sizeBytes;
  for (; value >= 999.95 && unit < UNITS.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/** `3 days ago`, from an RFC 3339 time; the text itself if it is none. */
export function ageOf(time: string, nowMs: number = Date.now()): string {
  const seconds = Math.floor((nowMs - Date.parse(time)) / 1000);
  if (!Number.isFinite(seconds)) return time.slice(0, 40);
  for (const [name, length] of SPANS) {
    const count = Math.floor(seconds / length);
    if (count >= 1) return `${count} ${name}${count === 1 ? '' : 's'} ago`;
  }
  return 'just now';
}

/** `2 files` */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
