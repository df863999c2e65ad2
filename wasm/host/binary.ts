// Reads and writes the pieces that all Wasm binaries are made of.
// https://webassembly.github.io/spec/core/binary/conventions.html

import { InvalidModuleError } from './errors.js';

/** Size in bytes of magic number and version. */
export const HEADER_SIZE = 8;

/** A place in a binary, moved by reading. */
export interface Cursor {
  readonly bytes: Uint8Array;
  position: number;
}

/** One section: all its bytes, and where its content starts among them. */
export interface Section {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly content: number;
}

/** The sections of a module or component. Throws InvalidModuleError when one does not fit. */
export function* sectionsOf(bytes: Uint8Array): Generator<Section> {
  const cursor: Cursor = { bytes, position: HEADER_SIZE };
  while (cursor.position < bytes.length) {
    const start = cursor.position;
    const id = readByte(cursor);
    const size = readU32(cursor);
    const content = cursor.position - start;
    const end = cursor.position + size;
    if (end > bytes.length) throw damaged();
    yield { id, bytes: bytes.subarray(start, end), content };
    cursor.position = end;
  }
}

export function readByte(cursor: Cursor): number {
  const byte = cursor.bytes[cursor.position++];
  if (byte === undefined) throw damaged();
  return byte;
}

/** Reads a LEB128 number. */
export function readU32(cursor: Cursor): number {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = readByte(cursor);
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
  throw damaged();
}

/** Skips LEB128 numbers of any size and sign. */
export function skipNumbers(cursor: Cursor, count: number): void {
  for (; count > 0; count--) while (readByte(cursor) >= 0x80);
}

/** Skips the type of a value; those of references name another type. */
export function skipValueType(cursor: Cursor): void {
  const type = readByte(cursor);
  if (type === 0x63 || type === 0x64) skipNumbers(cursor, 1);
}

/** Reads a length and so many bytes of UTF-8. */
export function readName(cursor: Cursor): string {
  const size = readU32(cursor);
  const start = cursor.position;
  if (start + size > cursor.bytes.length) throw damaged();
  cursor.position += size;
  return new TextDecoder().decode(cursor.bytes.subarray(start, cursor.position));
}

/** A number as LEB128. */
export function encodeU32(value: number): number[] {
  const out: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) out.push((value % 0x80) | 0x80);
  out.push(value);
  return out;
}

export function damaged(): InvalidModuleError {
  return new InvalidModuleError(
    "the gadget's Wasm module is damaged: a part of it does not end where it says",
  );
}
