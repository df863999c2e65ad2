// Formatters of amounts: bytes and durations. Rounding and units need a string per value.

import { bigintReaderOf, numberReaderOf } from '../../data/field.js';
import { Scratch } from '../text.js';
import type { Formatter } from './formatter.js';

const LONGEST_AMOUNT = 64;
const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/** With decimal units and two digits: `999 B`, `1.2 kB`, `83 MB`. */
function bytesText(bytes: number): string {
  if (bytes < 10) return `${bytes} B`;
  let unit = 0;
  let value = bytes;
  for (; value >= 1000 && unit < BYTE_UNITS.length - 1; unit++) value /= 1000;
  const rounded = Math.floor(value * 10 + 0.5) / 10;
  return `${rounded.toFixed(rounded < 10 ? 1 : 0)} ${BYTE_UNITS[unit]!}`;
}

const UNITS: readonly (readonly [bigint, string])[] = [
  [1_000_000n, 'ms'],
  [1000n, 'µs'],
  [1n, 'ns'],
];

/** Like Go prints durations: `1h2m3.5s`, `1.5ms`, `0s`. */
export function durationText(ns: bigint): string {
  if (ns < 0n) return `-${durationText(-ns)}`;
  if (ns === 0n) return '0s';
  const second = 1_000_000_000n;
  const [unit, name] = UNITS.find(([size]) => ns >= size) ?? UNITS[2]!;
  if (ns < second) return decimal(ns, unit) + name;
  const minutes = ns / (60n * second);
  const seconds = `${decimal(ns % (60n * second), second)}s`;
  if (minutes === 0n) return seconds;
  return `${minutes >= 60n ? `${minutes / 60n}h` : ''}${minutes % 60n}m${seconds}`;
}

/** `value / unit` with as many digits behind the point as it takes. */
function decimal(value: bigint, unit: bigint): string {
  const digits = String(unit).length - 1;
  const fraction = String(value % unit)
    .padStart(digits, '0')
    .slice(0, digits)
    .replace(/0+$/, '');
  return fraction === '' ? String(value / unit) : `${value / unit}.${fraction}`;
}

export const bytes: Formatter = {
  name: 'bytes',
  type: 'gadget_bytes',
  template: 'bytes',
  create: (raw) => {
    const read = numberReaderOf(raw.kind);
    const scratch = new Scratch(LONGEST_AMOUNT);
    return (span) => {
      scratch.putString(bytesText(read(span)), span);
      return true;
    };
  },
};

export const duration: Formatter = {
  name: 'duration',
  type: 'gadget_duration',
  template: 'duration',
  create: (raw) => {
    const read = bigintReaderOf(raw.kind);
    const scratch = new Scratch(LONGEST_AMOUNT);
    return (span) => {
      scratch.putString(durationText(read(span)), span);
      return true;
    };
  },
};
