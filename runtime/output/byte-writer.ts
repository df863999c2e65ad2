// A growable run of bytes that outputs write into; reused for every batch, so that writing allocates nothing.

import { MAX_DIGITS, putInt32, putInt64, putUint32, putUint64 } from '../data/digits.js';

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

const HEX_DIGITS = ENCODER.encode('0123456789abcdef');
/** More than a pipe of the usual 64 KiB holds of all but the shortest rows; a power of two. */
const FEWEST_ROW_ENDS = 16 * 1024;

export class ByteWriter {
  /** Both are replaced when it grows: read them again after `ensure`. */
  bytes: Uint8Array;
  view: DataView;
  /** Where the next byte goes. */
  position = 0;
  /** What was written before the last `clear`. */
  private clearedBytes = 0;
  private rows = 0;
  private clearedRows = 0;
  /** Where the last rows end, in bytes since the first byte of all; row `n` at `n` modulo the length. */
  private rowEnds = new Float64Array(FEWEST_ROW_ENDS);

  constructor(sizeBytes: number = 64 * 1024) {
    this.bytes = new Uint8Array(sizeBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** What was written since the last `clear`; valid until the next write. */
  get written(): Uint8Array {
    return this.bytes.subarray(0, this.position);
  }

  clear(): void {
    this.clearedBytes += this.position;
    this.clearedRows = this.rows;
    this.position = 0;
  }

  /** What has been written so far completes a row. */
  endRow(): void {
    if (this.rows - this.clearedRows === this.rowEnds.length) this.growRowEnds();
    this.rowEnds[this.rows & (this.rowEnds.length - 1)] = this.clearedBytes + this.position;
    this.rows++;
  }

  /** How many rows are not complete without the last `sizeBytes` of all that was written, cleared or not. */
  rowsWithin(sizeBytes: number): number {
    const { rowEnds, rows } = this;
    const start = this.clearedBytes + this.position - sizeBytes;
    const known = Math.min(rows, rowEnds.length);
    let within = 0;
    while (within < known && rowEnds[(rows - 1 - within) & (rowEnds.length - 1)]! > start) within++;
    return within;
  }

  private growRowEnds(): void {
    const grown = new Float64Array(this.rowEnds.length * 2);
    for (let row = this.clearedRows; row < this.rows; row++)
      grown[row & (grown.length - 1)] = this.rowEnds[row & (this.rowEnds.length - 1)]!;
    this.rowEnds = grown;
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
    const { bytes, position } = this;
    const end = position + count;
    for (let i = position; i < end; i++) bytes[i] = value;
    this.position = end;
  }

  /** Writes text whose every character is ASCII. Only for set-up and for numbers that need a string anyway. */
  ascii(text: string): void {
    this.ensure(text.length);
    for (let i = 0; i < text.length; i++) this.bytes[this.position++] = text.charCodeAt(i);
  }

  /** Writes 0 … 2^32 − 1 in decimal. */
  uint32(value: number): void {
    this.ensure(MAX_DIGITS);
    this.position = putUint32(this.view, this.position, value);
  }

  /** Writes −2^31 … 2^32 − 1 in decimal. */
  int32(value: number): void {
    this.ensure(MAX_DIGITS);
    this.position = putInt32(this.view, this.position, value);
  }

  /** Writes an unsigned 64-bit number, given as its halves, in decimal, exactly. */
  uint64(low: number, high: number): void {
    this.ensure(MAX_DIGITS);
    this.position = putUint64(this.view, this.position, low, high);
  }

  /** Writes a signed 64-bit number, given as its halves, in decimal, exactly. */
  int64(low: number, high: number): void {
    this.ensure(MAX_DIGITS);
    this.position = putInt64(this.view, this.position, low, high);
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
