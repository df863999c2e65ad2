// Numbers as decimal digits: each function writes at a place that has room for MAX_DIGITS, and returns the place behind.

/** The most that a number takes: −2^63 and 2^64 − 1 have 20 characters. */
export const MAX_DIGITS = 20;

/** The same for KeptDigits, which writes whole words. */
export const KEPT_BYTES = 24;

export const DIGIT_0 = 0x30;
/** `00` … `99`, each as one big-endian number. */
const DIGIT_PAIRS = Uint16Array.from(
  { length: 100 },
  (_, i) => ((DIGIT_0 + Math.floor(i / 10)) << 8) | (DIGIT_0 + (i % 10)),
);
const MINUS = 0x2d;
const BILLION = 1_000_000_000;

/** 0 … 2^32 − 1. */
export function putUint32(view: DataView, at: number, value: number): number {
  // Seen to be unsigned and of 32 bits, it is divided without floating point; in halves, which do not wait for each other.
  const whole = value >>> 0;
  if (whole < 10_000) return putFirst(view, at, whole);
  const tenThousands = (whole / 10_000) >>> 0;
  const end =
    tenThousands < 10_000
      ? putFirst(view, at, tenThousands)
      : putFour(view, putFirst(view, at, (tenThousands / 10_000) >>> 0), tenThousands % 10_000);
  return putFour(view, end, whole - tenThousands * 10_000);
}

/** 0 … 9999, without leading zeros. */
function putFirst(view: DataView, at: number, value: number): number {
  if (value < 100) {
    if (value < 10) {
      view.setUint8(at, DIGIT_0 + value);
      return at + 1;
    }
    view.setUint16(at, DIGIT_PAIRS[value]!);
    return at + 2;
  }
  if (value >= 1000) return putFour(view, at, value);
  const tens = (value / 10) >>> 0;
  view.setUint16(at, DIGIT_PAIRS[tens]!);
  view.setUint8(at + 2, DIGIT_0 + value - tens * 10);
  return at + 3;
}

/** 0 … 9999, as four digits. */
function putFour(view: DataView, at: number, value: number): number {
  const hundreds = (value / 100) >>> 0;
  view.setInt32(at, (DIGIT_PAIRS[hundreds]! << 16) | DIGIT_PAIRS[value - hundreds * 100]!);
  return at + 4;
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

/** 0 … 999,999,999, as nine digits. */
export function putNineDigits(view: DataView, at: number, value: number): number {
  const whole = value >>> 0;
  const tenThousands = (whole / 10_000) >>> 0;
  const first = (tenThousands / 10_000) >>> 0;
  view.setUint8(at, DIGIT_0 + first);
  putFour(view, at + 1, tenThousands - first * 10_000);
  return putFour(view, at + 5, whole - tenThousands * 10_000);
}

/**
 * The digits of the last 64-bit number, which is often the next, too: inodes, times of files, namespaces. Writing nineteen
 * digits takes several divisions.
 */
export class KeptDigits {
  private readonly words = new Float64Array(KEPT_BYTES / 8);
  private readonly view = new DataView(this.words.buffer);
  private readonly write: typeof putUint64;
  private sizeBytes: number;
  private low = 0;
  private high = 0;

  constructor(isSigned: boolean) {
    this.write = isSigned ? putInt64 : putUint64;
    this.sizeBytes = this.write(this.view, 0, 0, 0);
  }

  /** As `putUint64` or `putInt64`, with room for KEPT_BYTES; the halves are signed. */
  put(view: DataView, at: number, low: number, high: number): number {
    if (low !== this.low || high !== this.high) {
      this.low = low;
      this.high = high;
      this.sizeBytes = this.write(this.view, 0, low >>> 0, high >>> 0);
    }
    const { words } = this;
    view.setFloat64(at, words[0]!, true);
    view.setFloat64(at + 8, words[1]!, true);
    view.setFloat64(at + 16, words[2]!, true);
    return at + this.sizeBytes;
  }
}
