// Writes a limit into a core module: how far its memory and its tables can grow. And makes its memory a shared one,
// though nothing shares it: the buffer of any other is detached when it grows, and once a buffer has been detached, V8
// asks at every access to any that it still is there. Writing JSON, which has nothing to do with Wasm, took a fifth longer.
// Binary format: https://webassembly.github.io/spec/core/binary/modules.html

import { type Cursor, HEADER_SIZE, encodeU32, readByte, readName, readU32, sectionsOf } from './binary.js';
import { InvalidModuleError } from './errors.js';

const PAGE_SIZE_BYTES = 65536;
/** Of all tables of a module. Far more than any compiler's has; a table takes host memory outside the module's own. */
const MAX_TABLE_ENTRIES = 100_000;
const MAX_TABLES = 8;

const SECTION_IMPORT = 2;
const SECTION_TABLE = 4;
const SECTION_MEMORY = 5;

const IMPORT_FUNCTION = 0;
const IMPORT_TABLE = 1;
const IMPORT_MEMORY = 2;
const IMPORT_GLOBAL = 3;

const LIMITS_NO_MAX = 0;
const LIMITS_MAX = 1;
const LIMITS_SHARED = 3;
/** As much as 32-bit addresses reach. */
const MAX_PAGES = 65536;

/**
 * The same module, its memory shared, with `memoryMaxBytes` (rounded down to pages of 64 KiB) as the most its memory can grow to.
 * Throws InvalidModuleError when it starts with more, or has limits of a form that is not handled.
 */
export function capMemory(module: Uint8Array, memoryMaxBytes: number): Uint8Array {
  const maxPages = Math.floor(memoryMaxBytes / PAGE_SIZE_BYTES);
  const parts: Uint8Array[] = [module.subarray(0, HEADER_SIZE)];
  for (const { id, bytes, content } of sectionsOf(module)) {
    const cursor = { bytes, position: content };
    if (id === SECTION_MEMORY) parts.push(section(id, capMemories(cursor, maxPages)));
    else if (id === SECTION_IMPORT) parts.push(shareImports(cursor));
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
    out.push(LIMITS_SHARED, ...encodeU32(min), ...encodeU32(Math.min(max, maxPages)));
  }
  return out;
}

/** What follows the names of each import, by kind; memories apart. */
const SKIP_IMPORT: Readonly<Record<number, (cursor: Cursor) => void>> = {
  [IMPORT_FUNCTION]: (cursor) => void readU32(cursor),
  [IMPORT_TABLE]: (cursor) => {
    readByte(cursor);
    readLimits(cursor);
  },
  [IMPORT_GLOBAL]: (cursor) => {
    readByte(cursor);
    readByte(cursor);
  },
};

/** A memory that comes from another module of the component is shared, too. */
function shareImports({ bytes, position }: Cursor): Uint8Array {
  const cursor = { bytes, position };
  const parts: Uint8Array[] = [];
  let from = position;
  for (let count = readU32(cursor); count > 0; count--) {
    readName(cursor);
    readName(cursor);
    const kind = readByte(cursor);
    if (kind !== IMPORT_MEMORY) {
      const skip = SKIP_IMPORT[kind];
      if (skip === undefined)
        throw new InvalidModuleError("the gadget's Wasm module imports something of an unknown kind");
      skip(cursor);
      continue;
    }
    parts.push(bytes.subarray(from, cursor.position));
    const [min, max] = readLimits(cursor);
    parts.push(Uint8Array.from([LIMITS_SHARED, ...encodeU32(min), ...encodeU32(Math.min(max, MAX_PAGES))]));
    from = cursor.position;
  }
  parts.push(bytes.subarray(from));
  const content = Buffer.concat(parts);
  return Buffer.concat([Uint8Array.from([SECTION_IMPORT, ...encodeU32(content.length)]), content]);
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
