// Formatter of points in time: nanoseconds since boot become wall-clock time, as a number and as text.

import { putNineDigits } from '../../data/digits.js';
import { Scratch } from '../text.js';
import type { Format, Formatter } from './formatter.js';

const BILLION = 1_000_000_000;
/** `2026-08-21T12:00:00.` */
const FRACTION_AT = 20;

export const timestamp: Formatter = {
  name: 'timestamp',
  type: 'gadget_timestamp',
  kind: 'uint64',
  template: 'timestamp',
  create: timestampFormat,
  /** A kernel without a clock for programs leaves 0, which is no point in time: undefined. */
  rawLocator: (locate, { bootToEpochNs }) => {
    const wall = new Scratch(8);
    const addLow = Number(BigInt.asUintN(32, bootToEpochNs));
    const addHigh = Number(BigInt.asUintN(32, bootToEpochNs >> 32n));
    return (batch, row, span) => {
      if (!locate(batch, row, span)) return false;
      const low = span.view.getUint32(span.start, true);
      const high = span.view.getUint32(span.start + 4, true);
      if (low === 0 && high === 0) return false;
      const sum = low + addLow;
      wall.view.setUint32(0, sum, true);
      wall.view.setUint32(4, high + addHigh + (sum > 0xffff_ffff ? 1 : 0), true);
      span.set(wall.bytes, wall.view, 0, 8);
      return true;
    };
  },
};

/** RFC 3339 with nanoseconds, in local time. The text up to the second is kept until the second changes. */
function timestampFormat(): Format {
  const text = new Scratch(64);
  /** When the second began, in halves as the value. */
  let [sinceLow, sinceHigh] = [0, 0];
  let end = 0;
  return (span) => {
    const low = span.view.getUint32(span.start, true);
    const high = span.view.getUint32(span.start + 4, true);
    let nanoseconds = (high - sinceHigh) * 0x1_0000_0000 + (low - sinceLow);
    if (end === 0 || nanoseconds < 0 || nanoseconds >= BILLION) {
      const [second, rest] = divided(low, high);
      text.putString(secondText(second), span);
      end = span.end;
      nanoseconds = rest;
      sinceLow = (low - rest) >>> 0;
      sinceHigh = low < rest ? high - 1 : high;
    }
    putNineDigits(text.view, FRACTION_AT, nanoseconds);
    span.set(text.bytes, text.view, 0, end);
    return true;
  };
}

/** Seconds and nanoseconds; in base 2^16, so that no step exceeds what a double holds exactly. */
function divided(low: number, high: number): [seconds: number, nanoseconds: number] {
  const quotient1 = Math.floor(high / BILLION);
  const step2 = (high - quotient1 * BILLION) * 0x1_0000 + (low >>> 16);
  const quotient2 = Math.floor(step2 / BILLION);
  const step3 = (step2 - quotient2 * BILLION) * 0x1_0000 + (low & 0xffff);
  const quotient3 = Math.floor(step3 / BILLION);
  return [(quotient1 * 0x1_0000 + quotient2) * 0x1_0000 + quotient3, step3 - quotient3 * BILLION];
}

/** The whole text of a second, zeros where the nanoseconds go. */
function secondText(second: number): string {
  const eastMinutes = -new Date(second * 1000).getTimezoneOffset();
  const local = new Date((second + eastMinutes * 60) * 1000).toISOString().slice(0, FRACTION_AT);
  return `${local}000000000${zoneText(eastMinutes)}`;
}

function zoneText(eastMinutes: number): string {
  if (eastMinutes === 0) return 'Z';
  const minutes = Math.abs(eastMinutes);
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  return `${eastMinutes < 0 ? '-' : '+'}${two(minutes / 60)}:${two(minutes % 60)}`;
}
