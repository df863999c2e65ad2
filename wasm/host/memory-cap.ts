// Writes a limit into a core module: how far its memory and its tables can grow.
// Binary format: https://webassembly.github.io/spec/core/binary/modules.html

import { type Cursor, HEADER_SIZE, encodeU32, readByte, readU32, sectionsOf } from './binary.js';
import { InvalidModuleError } from './errors.js';

const PAGE_SIZE_BYTES = 65536;
/** Of all tables of a module. Far more than any compiler's has; a table takes host memory outside the module's own. */
const MAX_TABLE_ENTRIES = 100_000;
const MAX_TABLES = 8;

const SECTION_TABLE = 4;
const SECTION_MEMORY = 5;

const LIMITS_NO_MAX = 0;
const LIMITS_MAX = 1;

/**
 * The same module, with `memoryMaxBytes` (rounded down to pages of 64 KiB) as the most its memory can grow to.
 * Throws InvalidModuleError when it starts with more, or has limits of a form that is not handled.
 */
export function capMemory(module: Uint8Array, memoryMaxBytes: number): Uint8Array {
  const maxPages = Math.floor(memoryMaxBytes / PAGE_SIZE_BYTES);
  const parts: Uint8Array[] = [module.subarray(0, HEADER_SIZE)];
  for (const { id, bytes, content } of sectionsOf(module)) {
    const cursor = { bytes, position: content };
    if (id === SECTION_MEMORY) parts.push(section(id, capMemories(cursor, maxPages)));
    else if (id === SECTION_TABLE) parts.push(section(id, capTables(cursor)));
    else parts.push(bytes);
  }
  return Buffer.concat(parts);
}

/** Whether a core module makes a memory, and does not get it from another. */
export function hasMemory(module: Uint8Array): boolean {
  return [...sectionsOf(module)].some(({ id }) => id === SECTION_MEMORY);
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
  const limits: { type: number; min: number; max: number }[] = [];
  for (let i = 0; i < count; i++) {
    const type = readByte(cursor);
    if (type !== 0x70 && type !== 0x6f) {
      throw new InvalidModuleError("the gadget's Wasm module has a table of neither funcref nor externref");
    }
    const [min, max] = readLimits(cursor);
    limits.push({ type, min, max });
  }
  const spare = MAX_TABLE_ENTRIES - limits.reduce((sum, { min }) => sum + min, 0);
  if (spare < 0) {
    throw new InvalidModuleError(
      `the gadget's Wasm module has tables of more than ${MAX_TABLE_ENTRIES} entries`,
    );
  }
  const share = Math.floor(spare / count);
  for (const { type, min, max } of limits)
    out.push(type, LIMITS_MAX, ...encodeU32(min), ...encodeU32(Math.min(max, min + share)));
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
