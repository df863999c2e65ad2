// A growable run of bytes that outputs write into; reused for every batch, so that writing allocates nothing.

const ENCODER = new TextEncoder();

/**
 * A constant piece of output, encoded once: its bytes as little-endian doubles, so that eight go at a time. None
 * is a NaN, whose bits an engine may change: no valid UTF-8 has a 0xff, or a 0x7f behind a byte above 0xef.
 */
export interface Piece {
  readonly sizeBytes: number;
  readonly words: Float64Array;
}

const WORD_SIZE = 8;

export function constant(text: string): Piece {
  const bytes = ENCODER.encode(text);
  const padded = new Uint8Array(Math.ceil(bytes.length / WORD_SIZE) * WORD_SIZE);
  padded.set(bytes);
  const view = new DataView(padded.buffer);
  const words = new Float64Array(padded.length / WORD_SIZE);
  for (let i = 0; i < words.length; i++) words[i] = view.getFloat64(i * WORD_SIZE, true);
  return { sizeBytes: bytes.length, words };
}

const DIGIT_0 = 0x30;
/** `00` … `99`, each as one big-endian number. */
const DIGIT_PAIRS = Uint16Array.from(
  { length: 100 },
  (_, i) => ((DIGIT_0 + Math.floor(i / 10)) << 8) | (DIGIT_0 + (i % 10)),
);
const MINUS = 0x2d;
const HEX_DIGITS = ENCODER.encode('0123456789abcdef');
const BILLION = 1_000_000_000;

export class ByteWriter {
  /** Both are replaced when it grows: read them again after `ensure`. */
  bytes: Uint8Array;
  view: DataView;
  /** Where the next byte goes. */
  position = 0;

  constructor(sizeBytes: number = 64 * 1024) {
    this.bytes = new Uint8Array(sizeBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** What was written since the last `clear`; valid until the next write. */
  get written(): Uint8Array {
    return this.bytes.subarray(0, this.position);
  }

  clear(): void {
    this.position = 0;
  }

  /** Makes room for `sizeBytes` more. */
  ensure(sizeBytes: number): void {
    if (this.position + sizeBytes > this.bytes.length) this.grow(sizeBytes);
  }

  private grow(sizeBytes: number): void {
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.position + sizeBytes));
    grown.set(this.bytes.subarray(0, this.position));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  byte(value: number): void {
    this.ensure(1);
    this.bytes[this.position++] = value;
  }

  raw(piece: Piece): void {
    const { words, sizeBytes } = piece;
    // The last word may reach behind the piece, where the next bytes will overwrite it.
    this.ensure(sizeBytes + WORD_SIZE);
    const view = this.view;
    let position = this.position;
    for (let i = 0; i < words.length; i++, position += WORD_SIZE) view.setFloat64(position, words[i]!, true);
    this.position += sizeBytes;
  }

  /** Writes the same byte `count` times. */
  repeat(value: number, count: number): void {
    this.ensure(count);
    const end = this.position + count;
    for (let i = this.position; i < end; i++) this.bytes[i] = value;
    this.position = end;
  }

  /** Writes text whose every character is ASCII. Only for set-up and for numbers that need a string anyway. */
  ascii(text: string): void {
    this.ensure(text.length);
    for (let i = 0; i < text.length; i++) this.bytes[this.position++] = text.charCodeAt(i);
  }

  /** Writes 0 … 2^32 − 1 in decimal. */
  uint32(value: number): void {
    this.ensure(10);
    const view = this.view;
    const end = this.position + digitsOf(value);
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
    this.position = end;
  }

  /** Writes −2^31 … 2^32 − 1 in decimal. */
  int32(value: number): void {
    if (value < 0) this.byte(MINUS);
    this.uint32(value < 0 ? -value : value);
  }

  /** Writes an unsigned 64-bit number, given as its halves, in decimal, exactly. */
  uint64(low: number, high: number): void {
    if (high === 0) {
      this.uint32(low);
      return;
    }
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
    if (billions <= 0xffff_ffff) {
      this.uint32(billions);
    } else {
      const tens = Math.floor(billions / BILLION);
      this.uint32(tens);
      this.nineDigits(billions - tens * BILLION);
    }
    this.nineDigits(rest);
  }

  /** Writes a signed 64-bit number, given as its halves, in decimal, exactly. */
  int64(low: number, high: number): void {
    if (high >>> 31 === 0) {
      this.uint64(low, high);
      return;
    }
    this.byte(MINUS);
    const negatedLow = -low >>> 0;
    this.uint64(negatedLow, (~high + (negatedLow === 0 ? 1 : 0)) >>> 0);
  }

  private nineDigits(value: number): void {
    this.ensure(9);
    const view = this.view;
    let rest = value | 0;
    for (let i = this.position + 7; i > this.position; i -= 2) {
      const hundredth = (rest / 100) | 0;
      view.setUint16(i, DIGIT_PAIRS[rest - hundredth * 100]!);
      rest = hundredth;
    }
    view.setUint8(this.position, DIGIT_0 + rest);
    this.position += 9;
  }

  /** Writes `bytes[start .. end)` as hexadecimal digits. */
  hex(bytes: Uint8Array, start: number, end: number): void {
    this.ensure((end - start) * 2);
    for (let i = start; i < end; i++) {
      const value = bytes[i]!;
      this.bytes[this.position++] = HEX_DIGITS[value >> 4]!;
      this.bytes[this.position++] = HEX_DIGITS[value & 15]!;
    }
  }
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
