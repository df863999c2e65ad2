// Writes a limit into a core module: how far its memory and its tables can grow.
// Binary format: https://webassembly.github.io/spec/core/binary/modules.html

import { InvalidModuleError } from './errors.js';

const PAGE_SIZE_BYTES = 65536;
/** Far more than any compiler's function table has; a table takes host memory outside the module's own. */
const MAX_TABLE_ENTRIES = 100_000;
const MAX_TABLES = 8;

const SECTION_TABLE = 4;
const SECTION_MEMORY = 5;
const HEADER_SIZE = 8;

const LIMITS_NO_MAX = 0;
const LIMITS_MAX = 1;

/** A place in a binary, moved by reading. */
interface Cursor {
  readonly bytes: Uint8Array;
  position: number;
}

/**
 * The same module, with `memoryMaxBytes` (rounded down to pages of 64 KiB) as the most its memory can grow to.
 * Throws InvalidModuleError when it starts with more, or has limits of a form that is not handled.
 */
export function capMemory(module: Uint8Array, memoryMaxBytes: number): Uint8Array {
  const maxPages = Math.floor(memoryMaxBytes / PAGE_SIZE_BYTES);
  const cursor: Cursor = { bytes: module, position: HEADER_SIZE };
  const parts: Uint8Array[] = [module.subarray(0, HEADER_SIZE)];
  while (cursor.position < module.length) {
    const start = cursor.position;
    const id = readByte(cursor);
    const size = readU32(cursor);
    const end = cursor.position + size;
    if (end > module.length) throw malformed();
    if (id === SECTION_MEMORY) parts.push(section(id, capMemories(cursor, maxPages)));
    else if (id === SECTION_TABLE) parts.push(section(id, capTables(cursor)));
    else parts.push(module.subarray(start, end));
    cursor.position = end;
  }
  return Buffer.concat(parts);
}

function capMemories(cursor: Cursor, maxPages: number): number[] {
  const count = readU32(cursor);
  if (count > 1)
    throw new InvalidModuleError(`the gadget's Wasm module has ${count} memories, but one is allowed`);
  const out = [...encodeU32(count)];
  for (let i = 0; i < count; i++) {
    const [min, max] = readLimits(cursor);
    if (min > maxPages) {
      throw new InvalidModuleError(
        `the gadget's Wasm module needs ${(min * PAGE_SIZE_BYTES) >>> 20} MiB of memory from the start, but at most ${(maxPages * PAGE_SIZE_BYTES) >>> 20} MiB are allowed`,
      );
    }
    out.push(LIMITS_MAX, ...encodeU32(min), ...encodeU32(Math.min(max, maxPages)));
  }
  return out;
}

function capTables(cursor: Cursor): number[] {
  const count = readU32(cursor);
  const out = [...encodeU32(count)];
  if (count > MAX_TABLES)
    throw new InvalidModuleError(`the gadget's Wasm module has more than ${MAX_TABLES} tables`);
  for (let i = 0; i < count; i++) {
    const type = readByte(cursor);
    if (type !== 0x70 && type !== 0x6f) {
      throw new InvalidModuleError("the gadget's Wasm module has a table of neither funcref nor externref");
    }
    const [min, max] = readLimits(cursor);
    if (min > MAX_TABLE_ENTRIES) {
      throw new InvalidModuleError(
        `the gadget's Wasm module has a table of more than ${MAX_TABLE_ENTRIES} entries`,
      );
    }
    out.push(type, LIMITS_MAX, ...encodeU32(min), ...encodeU32(Math.min(max, MAX_TABLE_ENTRIES)));
  }
  return out;
}

/** Minimum and maximum. */
function readLimits(cursor: Cursor): [number, number] {
  const flags = readByte(cursor);
  if (flags !== LIMITS_NO_MAX && flags !== LIMITS_MAX) {
    throw new InvalidModuleError(
      "the gadget's Wasm module has a shared or 64-bit memory or table, which is not allowed",
    );
  }
  const min = readU32(cursor);
  return [min, flags === LIMITS_MAX ? readU32(cursor) : Infinity];
}

function section(id: number, content: number[]): Uint8Array {
  return Uint8Array.from([id, ...encodeU32(content.length), ...content]);
}

function readByte(cursor: Cursor): number {
  const byte = cursor.bytes[cursor.position++];
  if (byte === undefined) throw malformed();
  return byte;
}

function readU32(cursor: Cursor): number {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = readByte(cursor);
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
  throw malformed();
}

function encodeU32(value: number): number[] {
  const out: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) out.push((value % 0x80) | 0x80);
  out.push(value);
  return out;
}

function malformed(): InvalidModuleError {
  return new InvalidModuleError("the gadget's Wasm module is damaged: a section does not end where it says");
}
