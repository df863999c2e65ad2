// Numbers as decimal digits: each function writes at a place that has room for MAX_DIGITS, and returns the place behind.

/** The most that a number takes: −2^63 and 2^64 − 1 have 20 characters. */
export const MAX_DIGITS = 20;

const DIGIT_0 = 0x30;
/** `00` … `99`, each as one big-endian number. */
const DIGIT_PAIRS = Uint16Array.from(
  { length: 100 },
  (_, i) => ((DIGIT_0 + Math.floor(i / 10)) << 8) | (DIGIT_0 + (i % 10)),
);
const MINUS = 0x2d;
const BILLION = 1_000_000_000;

/** 0 … 2^32 − 1. */
export function putUint32(view: DataView, at: number, value: number): number {
  const end = at + digitsOf(value);
  let position = end;
  // Seen to be unsigned and of 32 bits, it is divided without floating point.
  let rest = value >>> 0;
  while (rest >= 100) {
    const hundredth = (rest / 100) >>> 0;
    position -= 2;
    view.setUint16(position, DIGIT_PAIRS[rest - hundredth * 100]!);
    rest = hundredth;
  }
  if (rest < 10) view.setUint8(position - 1, DIGIT_0 + rest);
  else view.setUint16(position - 2, DIGIT_PAIRS[rest]!);
  return end;
}

/** −2^31 … 2^32 − 1. */
export function putInt32(view: DataView, at: number, value: number): number {
  if (value >= 0) return putUint32(view, at, value);
  view.setUint8(at, MINUS);
  return putUint32(view, at + 1, -value);
}

/** An unsigned 64-bit number, given as its halves, exactly. */
export function putUint64(view: DataView, at: number, low: number, high: number): number {
  return high === 0 ? putUint32(view, at, low) : putLarge(view, at, low, high);
}

/** A signed 64-bit number, given as its halves, exactly. */
export function putInt64(view: DataView, at: number, low: number, high: number): number {
  if (high >>> 31 === 0) return putUint64(view, at, low, high);
  view.setUint8(at, MINUS);
  const negatedLow = -low >>> 0;
  return putUint64(view, at + 1, negatedLow, (~high + (negatedLow === 0 ? 1 : 0)) >>> 0);
}

function putLarge(view: DataView, at: number, low: number, high: number): number {
  // A double is close enough for a quotient that is off by one at most; the remainder, a small number, is exact
  // in 32-bit arithmetic.
  let billions = Math.floor((high * 0x1_0000_0000 + low) / BILLION);
  let rest = (low - Math.imul(billions, BILLION)) | 0;
  if (rest < 0) {
    billions--;
    rest += BILLION;
  } else if (rest >= BILLION) {
    billions++;
    rest -= BILLION;
  }
  if (billions <= 0xffff_ffff) return putNineDigits(view, putUint32(view, at, billions), rest);
  const tens = Math.floor(billions / BILLION);
  const middle = putNineDigits(view, putUint32(view, at, tens), billions - tens * BILLION);
  return putNineDigits(view, middle, rest);
}

function putNineDigits(view: DataView, at: number, value: number): number {
  let rest = value | 0;
  for (let i = at + 7; i > at; i -= 2) {
    const hundredth = (rest / 100) | 0;
    view.setUint16(i, DIGIT_PAIRS[rest - hundredth * 100]!);
    rest = hundredth;
  }
  view.setUint8(at, DIGIT_0 + rest);
  return at + 9;
}

function digitsOf(value: number): number {
  if (value < 100_000) {
    if (value < 100) return value < 10 ? 1 : 2;
    if (value < 1000) return 3;
    return value < 10_000 ? 4 : 5;
  }
  if (value < 10_000_000) return value < 1_000_000 ? 6 : 7;
  if (value < 100_000_000) return 8;
  return value < BILLION ? 9 : 10;
}
