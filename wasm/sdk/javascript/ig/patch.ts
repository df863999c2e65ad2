// Writes a patch: what becomes of a batch, what is emitted, the log. The layout is in wasm/wit/README.md.

import type { ColumnData } from './column';
import type { Block } from './new-source';
import { encodeBytes } from './text';

const VERSION = 1;
const HEADER_SIZE = 24;
const ENTRY_SIZE = 12;
const BLOCK_HEADER_SIZE = 8;
const LINE_SIZE = 12;
const NOTHING = new Uint8Array(0);

export interface PatchContent {
  readonly count: number;
  /** One byte per event, 0 = dropped; undefined = keep all. */
  readonly keep?: Uint8Array | undefined;
  /** All columns of the plan; none from a tick. */
  readonly columns: readonly (ColumnData | null)[];
  readonly blocks: readonly Block[];
  /** Levels and texts, in turns. */
  readonly lines: readonly (number | string)[];
}

/** Pieces, each at a position of its own, to be put together when they are all known. */
class Pieces {
  private readonly pieces: { at: number; bytes: Uint8Array }[] = [];
  private size = 0;

  /** Adds a piece. Returns its position, a multiple of 8. */
  add(bytes: Uint8Array): number {
    const at = this.size;
    this.pieces.push({ at, bytes });
    this.size = (at + bytes.length + 7) & ~7;
    return at;
  }

  /** Adds a table of numbers, to be filled in later. */
  table(sizeBytes: number): { at: number; numbers: Uint32Array } {
    const numbers = new Uint32Array(sizeBytes / 4);
    return { at: this.add(new Uint8Array(numbers.buffer)), numbers };
  }

  together(): Uint8Array {
    const all = new Uint8Array(this.size);
    for (const { at, bytes } of this.pieces) all.set(bytes, at);
    return all;
  }
}

/** A patch; empty if it would change nothing. */
export function makePatch({ count, keep, columns, blocks, lines }: PatchContent): Uint8Array {
  const nothing = keep === undefined && blocks.length === 0 && lines.length === 0;
  if (nothing && columns.every((column) => column === null)) return NOTHING;
  const pieces = new Pieces();
  const { numbers } = pieces.table(HEADER_SIZE + ENTRY_SIZE * columns.length);
  numbers[0] = VERSION;
  numbers[1] = count;
  numbers[2] = keep === undefined ? 0 : pieces.add(keep);
  numbers[3] = columns.length;
  addColumns(pieces, columns, numbers, HEADER_SIZE / 4);
  numbers[4] = blocks.length === 0 ? 0 : addBlocks(pieces, blocks);
  numbers[5] = lines.length === 0 ? 0 : addLines(pieces, lines);
  return pieces.together();
}

/** Adds columns, and writes from number `index` of a table on where they are. */
function addColumns(
  pieces: Pieces,
  columns: readonly (ColumnData | null)[],
  table: Uint32Array,
  index: number,
): void {
  for (const column of columns) {
    if (column !== null) {
      table[index] = pieces.add(column.values);
      table[index + 1] = column.values.length;
      if (column.defined !== undefined) table[index + 2] = pieces.add(column.defined);
    }
    index += ENTRY_SIZE / 4;
  }
}

function addBlocks(pieces: Pieces, blocks: readonly Block[]): number {
  const sizes = blocks.map(({ columns }) => BLOCK_HEADER_SIZE + ENTRY_SIZE * columns.length);
  const { at, numbers } = pieces.table(sizes.reduce((sum, size) => sum + size, 8));
  numbers[0] = blocks.length;
  let index = 2;
  blocks.forEach(({ source, count, columns }, i) => {
    numbers[index] = source;
    numbers[index + 1] = count;
    addColumns(pieces, columns, numbers, index + BLOCK_HEADER_SIZE / 4);
    index += sizes[i]! / 4;
  });
  return at;
}

function addLines(pieces: Pieces, lines: readonly (number | string)[]): number {
  const count = lines.length / 2;
  const { at, numbers } = pieces.table(4 + LINE_SIZE * count);
  numbers[0] = count;
  for (let i = 0; i < count; i++) {
    const text = encodeBytes(lines[2 * i + 1] as string);
    numbers.set([lines[2 * i] as number, pieces.add(text), text.length], 1 + 3 * i);
  }
  return at;
}
