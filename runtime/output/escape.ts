// Text that a traced process chose, made harmless: what no output may pass to a terminal or a parser as it is.

import type { Span } from '../data/batch.js';
import type { ByteWriter } from './byte-writer.js';
import { cellWidth } from './cell-width.js';
import { INVALID, codePointOf, decode, lengthOf } from './utf8.js';

const BACKSLASH = 0x5c;
const QUOTE = 0x22;
const DELETE = 0x7f;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const COMMA = 0x2c;

/** 1 for each byte that is a printable ASCII character. */
const PRINTABLE = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x20 && byte < DELETE ? 1 : 0));

/** 1 for each byte that stands for itself in a JSON string, whatever is around it. */
const PLAIN_IN_JSON = PRINTABLE.map((plain, byte) => (byte === QUOTE || byte === BACKSLASH ? 0 : plain));

/** Controls (C0, DEL, C1), line and paragraph separators, what turns the direction of writing, U+FFFE/F. */
function isUnsafe(codePoint: number): boolean {
  if (codePoint < 0xa0) return codePoint < 0x20 || codePoint >= DELETE;
  if (codePoint < 0x061c || codePoint > 0xffff) return false;
  return (
    codePoint === 0x061c ||
    codePoint === 0x200e ||
    codePoint === 0x200f ||
    (codePoint >= 0x2028 && codePoint <= 0x202e) ||
    (codePoint >= 0x2066 && codePoint <= 0x2069) ||
    codePoint >= 0xfffe
  );
}

/** A name as a JSON string. A gadget chose it, so it is no safer than what a process did. */
export function jsonName(name: string): string {
  return JSON.stringify(name).replace(/[\x7f-\u{ffff}]/gu, (character) => {
    const codePoint = character.codePointAt(0)!;
    return isUnsafe(codePoint) ? `\\u${codePoint.toString(16).padStart(4, '0')}` : character;
  });
}

const SHORT_ESCAPES: Readonly<Record<number, number>> = { 0x0a: 0x6e, 0x0d: 0x72, 0x09: 0x74 };

/** Writes text as a JSON string. Bytes that are not valid UTF-8 become U+FFFD each. */
export function writeJsonString({ bytes, view, start, end }: Span, writer: ByteWriter): void {
  // The longest escape of one byte is \u001b.
  writer.ensure((end - start) * 6 + 2);
  writer.bytes[writer.position++] = QUOTE;
  const plainEnd = writePlainJson(bytes, view, start, end, writer);
  if (plainEnd < end) writeEscapedJson(writer, bytes, plainEnd, end);
  writer.bytes[writer.position++] = QUOTE;
}

/** Writes texts with a NUL between each two as a JSON array. */
export function writeJsonStrings({ bytes, view, start, end }: Span, writer: ByteWriter): void {
  // As above; a NUL becomes `","`.
  writer.ensure((end - start) * 6 + 4);
  const { bytes: out } = writer;
  out[writer.position++] = OPEN;
  for (let from = start; from < end;) {
    if (from > start) out[writer.position++] = COMMA;
    out[writer.position++] = QUOTE;
    let to = writePlainJson(bytes, view, from, end, writer);
    if (to < end && bytes[to] !== 0) {
      const escapedFrom = to;
      while (to < end && bytes[to] !== 0) to++;
      writeEscapedJson(writer, bytes, escapedFrom, to);
    }
    out[writer.position++] = QUOTE;
    from = to + 1;
  }
  out[writer.position++] = CLOSE;
}

/** Copies up to the first byte that does not stand for itself in JSON; returns where that is. There must be room. */
function writePlainJson(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  writer: ByteWriter,
): number {
  const { bytes: out, view: outView } = writer;
  let position = writer.position;
  let i = start;
  for (; i + 4 <= end; i += 4, position += 4) {
    const word = view.getInt32(i, true);
    if (!isPlainWord(word)) break;
    outView.setInt32(position, word, true);
  }
  for (; i < end; i++, position++) {
    const byte = bytes[i]!;
    if (PLAIN_IN_JSON[byte] === 0) break;
    out[position] = byte;
  }
  writer.position = position;
  return i;
}

/** Whether four bytes, as one number, are all plain in JSON. Each term sets a byte's top bit where one is not. */
function isPlainWord(word: number): boolean {
  const controls = word - 0x20202020;
  const deletes = word + 0x01010101;
  const quotes = zeroBytes(word ^ 0x22222222);
  const backslashes = zeroBytes(word ^ 0x5c5c5c5c);
  return ((word | controls | deletes | quotes | backslashes) & 0x80808080) === 0;
}

/** Whether four bytes, as one number, are all printable ASCII characters. */
function isPrintableWord(word: number): boolean {
  return ((word | (word - 0x20202020) | (word + 0x01010101)) & 0x80808080) === 0;
}

/** Has a byte with its top bit set if, and only if, `word` has a byte that is 0. */
function zeroBytes(word: number): number {
  return (word - 0x01010101) & ~word;
}

function writeEscapedJson(writer: ByteWriter, bytes: Uint8Array, start: number, end: number): void {
  const out = writer.bytes;
  for (let i = start; i < end;) {
    const byte = bytes[i]!;
    if (PLAIN_IN_JSON[byte] === 1) {
      out[writer.position++] = byte;
      i++;
    } else if (byte === QUOTE || byte === BACKSLASH) {
      out[writer.position++] = BACKSLASH;
      out[writer.position++] = byte;
      i++;
    } else {
      i += writeCharacter(writer, bytes, i, end);
    }
  }
}

/** Writes one character that is not plain ASCII; returns its length. */
function writeCharacter(writer: ByteWriter, bytes: Uint8Array, at: number, end: number): number {
  const decoded = decode(bytes, at, end);
  if (decoded === INVALID) {
    writer.byte(0xef);
    writer.byte(0xbf);
    writer.byte(0xbd);
    return 1;
  }
  const length = lengthOf(decoded);
  const codePoint = codePointOf(decoded);
  if (isUnsafe(codePoint)) writeEscape(writer, codePoint, false);
  else for (let i = 0; i < length; i++) writer.byte(bytes[at + i]!);
  return length;
}

/** Writes \n, \r, \t, \x1b (only where JSON's rules do not hold) or \u202e; returns its length. */
function writeEscape(writer: ByteWriter, codePoint: number, shortHex: boolean): number {
  writer.byte(BACKSLASH);
  const letter = SHORT_ESCAPES[codePoint];
  if (letter !== undefined) {
    writer.byte(letter);
    return 2;
  }
  if (shortHex && codePoint < 0x80) {
    writeHexByte(writer, codePoint);
    return 4;
  }
  writer.byte(0x75);
  writeHexDigits(writer, codePoint >> 8);
  writeHexDigits(writer, codePoint & 0xff);
  return 6;
}

function writeHexByte(writer: ByteWriter, byte: number): void {
  writer.byte(0x78);
  writeHexDigits(writer, byte);
}

function writeHexDigits(writer: ByteWriter, byte: number): void {
  writer.byte(hexDigit(byte >> 4));
  writer.byte(hexDigit(byte & 15));
}

function hexDigit(value: number): number {
  return value < 10 ? 0x30 + value : 0x57 + value;
}

/**
 * Writes text for a person's eyes: what could drive a terminal is shown escaped, bytes that are not valid UTF-8
 * as \xff. Returns how many cells of a terminal it takes.
 */
export function writeVisibleText(writer: ByteWriter, bytes: Uint8Array, start: number, end: number): number {
  writer.ensure((end - start) * 6);
  const out = writer.bytes;
  let cells = 0;
  for (let i = start; i < end;) {
    const byte = bytes[i]!;
    if (PRINTABLE[byte] === 1) {
      out[writer.position++] = byte;
      cells++;
      i++;
      continue;
    }
    const decoded = decode(bytes, i, end);
    if (decoded === INVALID) {
      writer.byte(BACKSLASH);
      writeHexByte(writer, byte);
      cells += 4;
      i++;
      continue;
    }
    const length = lengthOf(decoded);
    const codePoint = codePointOf(decoded);
    if (isUnsafe(codePoint)) {
      cells += writeEscape(writer, codePoint, true);
    } else {
      for (let j = 0; j < length; j++) out[writer.position++] = bytes[i + j]!;
      cells += cellWidth(codePoint);
    }
    i += length;
  }
  return cells;
}

/** `writeVisibleText` of a value, four bytes at a time as long as they are plain. */
export function writeVisibleValue({ bytes, view, start, end }: Span, writer: ByteWriter): number {
  writer.ensure(end - start);
  const out = writer.view;
  let position = writer.position;
  let i = start;
  for (; i + 4 <= end; i += 4, position += 4) {
    const word = view.getInt32(i, true);
    if (!isPrintableWord(word)) break;
    out.setInt32(position, word, true);
  }
  writer.position = position;
  return i - start + (i < end ? writeVisibleText(writer, bytes, i, end) : 0);
}
