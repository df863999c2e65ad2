// Finds functions of a core module whose compilation would cost too much: compilers keep what they know of every
// local and operand for every block that is open, and look at all of a function for each of its loops.
// https://webassembly.github.io/spec/core/binary/instructions.html

import { type Cursor, type Section, readByte, readU32, skipNumbers, skipValueType } from './binary.js';
import { InvalidModuleError } from './errors.js';

/** Open blocks times values that there can be at a time. A value takes some 8 bytes for each block. */
const MAX_BLOCKS_TIMES_VALUES = 32_000_000;
const MAX_LOOPS = 1000;
/** Functions up to this size are harmless whatever is in them, if they have not more locals than this. */
const HARMLESS_BYTES = 8192;
const HARMLESS_LOCALS = 4096;

/** The size in bytes of the largest function of a code section. Throws InvalidModuleError for one that is too costly. */
export function largestFunction({ bytes, content }: Section): number {
  const cursor = { bytes, position: content };
  let largest = 0;
  for (let count = readU32(cursor); count > 0; count--) {
    const size = readU32(cursor);
    const end = cursor.position + size;
    if (end > bytes.length) throw unreadable();
    checkFunction({ bytes: bytes.subarray(0, end), position: cursor.position }, size);
    largest = Math.max(largest, size);
    cursor.position = end;
  }
  return largest;
}

function checkFunction(cursor: Cursor, size: number): void {
  let locals = 0;
  for (let groups = readU32(cursor); groups > 0; groups--) {
    locals += readU32(cursor);
    skipValueType(cursor);
  }
  if (size <= HARMLESS_BYTES && locals <= HARMLESS_LOCALS) return;
  const { depth, loops } = nestingOf(cursor);
  // Of the shortest instruction that makes a value, two bytes each.
  const values = locals + size / 2;
  if (depth * values <= MAX_BLOCKS_TIMES_VALUES && loops <= MAX_LOOPS) return;
  throw new InvalidModuleError(
    `the gadget's Wasm module has a function of ${size} bytes with ${locals} local variables, ${loops} loops, and blocks nested ${depth} deep, which would take too much to compile; split it`,
  );
}

/** How deep blocks are nested, and how many of them are loops. */
function nestingOf(cursor: Cursor): { depth: number; loops: number } {
  let open = 0;
  let depth = 0;
  let loops = 0;
  while (cursor.position < cursor.bytes.length) {
    const opcode = readByte(cursor);
    if (opcode === END || opcode === DELEGATE) open--;
    else if (BLOCKS.has(opcode)) {
      depth = Math.max(depth, ++open);
      if (opcode === LOOP) loops++;
    }
    skipImmediates(cursor, opcode);
  }
  return { depth, loops };
}

const LOOP = 0x03;
const END = 0x0b;
const DELEGATE = 0x18;
/** block, loop, if, try */
const BLOCKS = new Set([0x02, LOOP, 0x04, 0x06]);

const BR_TABLE = 0x0e;
const SELECT_OF_TYPE = 0x1c;
const F32_CONST = 0x43;
const F64_CONST = 0x44;
const PREFIX_MORE = 0xfc;
const PREFIX_VECTOR = 0xfd;
const PREFIX_ATOMIC = 0xfe;

/** How many LEB128 numbers follow an opcode; of those that are left out and below 0xe0, none. */
const NUMBERS = new Map<number, number>([
  ...pairs([0x02, 0x03, 0x04, 0x06], 1), // types of blocks
  ...pairs([0x07, 0x08, 0x09, 0x0c, 0x0d, 0x10, 0x12, 0x18], 1), // tags, labels, functions
  ...pairs([0x11, 0x13], 2), // indirect calls
  ...pairs([0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26], 1), // locals, globals, tables
  ...pairs(range(0x28, 0x3e), 2), // loads and stores
  ...pairs([0x3f, 0x40, 0x41, 0x42, 0xd0, 0xd2], 1),
]);

function pairs(opcodes: readonly number[], numbers: number): [number, number][] {
  return opcodes.map((opcode) => [opcode, numbers]);
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function skipImmediates(cursor: Cursor, opcode: number): void {
  const numbers = NUMBERS.get(opcode);
  if (numbers !== undefined) skipNumbers(cursor, numbers);
  else if (opcode === BR_TABLE) skipNumbers(cursor, readU32(cursor) + 1);
  else if (opcode === SELECT_OF_TYPE) for (let i = readU32(cursor); i > 0; i--) skipValueType(cursor);
  else if (opcode === F32_CONST) cursor.position += 4;
  else if (opcode === F64_CONST) cursor.position += 8;
  else if (opcode === PREFIX_MORE) skipMore(cursor, readU32(cursor));
  else if (opcode === PREFIX_VECTOR) skipVector(cursor, readU32(cursor));
  else if (opcode === PREFIX_ATOMIC) skipNumbers(cursor, readU32(cursor) === ATOMIC_FENCE ? 1 : 2);
  else if (opcode >= 0xe0) throw unreadable();
}

/** Of the instructions behind 0xfc: conversions, then those of memories and tables. */
const MORE_NUMBERS = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1];
const ATOMIC_FENCE = 0x03;

function skipMore(cursor: Cursor, opcode: number): void {
  const numbers = MORE_NUMBERS[opcode];
  if (numbers === undefined) throw unreadable();
  skipNumbers(cursor, numbers);
}

function skipVector(cursor: Cursor, opcode: number): void {
  if (opcode <= 11 || opcode === 92 || opcode === 93)
    skipNumbers(cursor, 2); // loads and stores
  else if (opcode === 12 || opcode === 13)
    cursor.position += 16; // a constant, a shuffle
  else if (opcode >= 21 && opcode <= 34)
    cursor.position++; // a lane
  else if (opcode >= 84 && opcode <= 91) {
    skipNumbers(cursor, 2);
    cursor.position++;
  }
}

function unreadable(): InvalidModuleError {
  return new InvalidModuleError(
    "the gadget's Wasm module has a large function with instructions that ig does not know",
  );
}
