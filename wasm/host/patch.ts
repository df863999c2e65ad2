// Reads and applies what a module made of a batch: a mask, columns, emitted events, a log; see wasm/wit/README.md.

import { Batch, Column, MAX_BATCH_RECORDS, OFFSETS_SIZE_BYTES } from '../../runtime/data/batch.js';
import { type Kind, isFixed, widthOf } from '../../runtime/data/kind.js';
import { PatchError, quoted } from './errors.js';
import { WIT_LEVELS } from './guest.js';

/** A column that the module declared: its number in its data source, and what it holds. */
export interface PatchColumn {
  readonly name: string;
  readonly column: number;
  readonly kind: Kind;
  /** Values of an array of numbers; else 1. */
  readonly length: number;
}

/** Fields of a data source that the module makes, in the plan's order. */
export interface PatchSource {
  readonly name: string;
  readonly columns: readonly PatchColumn[];
}

/** A patch that is right: nothing of it needs to be checked again. Its columns are views of its bytes. */
export interface Patch {
  /** One byte per record, 0 = drop; undefined = all stay. */
  readonly keep: Uint8Array | undefined;
  /** In the plan's order. */
  readonly columns: readonly (Column | undefined)[];
  /** Batches of new events; `source` is the number in the plan. */
  readonly emitted: readonly { readonly source: number; readonly batch: Batch }[];
  /** `level` from 0 (error) to 4 (trace). */
  readonly log: readonly { readonly level: number; readonly text: string }[];
}

const NOTHING: Patch = { keep: undefined, columns: [], emitted: [], log: [] };

const VERSION = 1;
const HEADER_SIZE = 24;
const ENTRY_SIZE = 12;
const BLOCK_HEADER_SIZE = 8;
const MAX_BLOCKS = 256;
const MAX_EMITTED = 65_536;
const LINE_SIZE = 12;
const MAX_LINES = 65_536;
/** Lines of one patch that are read; fewer are shown in a second. */
const MAX_READ_LINES = 200;
/** As much of a line as is shown, in bytes. */
const MAX_LINE_BYTES = 1200;

const DECODER = new TextDecoder();

/**
 * Checks a patch as a whole. `columns` are all that the module declared, undefined those of other data sources;
 * `emits` its new data sources; `logLevel` is the last of the lines that are wanted. From `tick` and `finish`, without
 * records, `count` is 0 and there are no `columns`.
 * Throws PatchError.
 */
export function readPatch(
  bytes: Uint8Array,
  count: number,
  columns: readonly (PatchColumn | undefined)[],
  emits: readonly PatchSource[],
  logLevel: number = WIT_LEVELS.length - 1,
): Patch {
  if (bytes.length === 0) return NOTHING;
  const reader = new PatchReader(bytes);
  reader.need(0, HEADER_SIZE + ENTRY_SIZE * columns.length, 'header');
  expectEqual('version', reader.u32(0), VERSION);
  expectEqual('number of events', reader.u32(4), count);
  expectEqual('number of columns', reader.u32(12), columns.length);
  return {
    keep: reader.mask(reader.u32(8), count, 'mask'),
    columns: columns.map((column, i) => reader.column(HEADER_SIZE + ENTRY_SIZE * i, count, column)),
    emitted: reader.emitted(reader.u32(16), emits),
    log: reader.log(reader.u32(20), logLevel),
  };
}

/** Drops records of `batch` and sets its columns. `columns` as they were given to `readPatch`. */
export function applyPatch(
  { keep, columns: found }: Patch,
  batch: Batch,
  columns: readonly (PatchColumn | undefined)[],
): void {
  if (keep !== undefined) {
    for (let row = 0; row < batch.count; row++) if (keep[row] === 0) batch.keep[row] = 0;
  }
  for (let i = 0; i < found.length; i++) {
    const column = columns[i];
    if (column !== undefined) batch.columns[column.column] = found[i];
  }
}

function expectEqual(what: string, found: number, expected: number): void {
  if (found !== expected)
    throw new PatchError(`a patch has the ${what} ${found}, but ${expected} is expected`);
}

class PatchReader {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  /** Size in bytes of all columns so far: as they do not overlap, they bound what the events can be. */
  private claimed = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u32(at: number): number {
    return this.view.getUint32(at, true);
  }

  /** Throws unless `size` bytes from `at` on lie in the patch, and `at` is a multiple of `alignment`. */
  need(at: number, size: number, what: string, alignment = 1): void {
    if (at + size <= this.bytes.length && at % alignment === 0) return;
    const where = alignment === 1 ? 'lie in the patch' : `be a multiple of ${alignment} and lie in the patch`;
    throw new PatchError(
      `a patch of ${this.bytes.length} bytes has its ${what} of ${size} bytes at ${at}, which must ${where}`,
    );
  }

  /** One byte per record at `position`; undefined at position 0. */
  mask(position: number, count: number, what: string): Uint8Array | undefined {
    if (position === 0) return undefined;
    this.need(position, count, what);
    return this.bytes.subarray(position, position + count);
  }

  /** The column whose position, size and mask stand at `entry`. */
  column(entry: number, count: number, column: PatchColumn | undefined): Column | undefined {
    const position = this.u32(entry);
    if (position === 0) return undefined;
    if (column === undefined) throw new PatchError('a patch has a column of another data source');
    const { name, kind, length } = column;
    const size = this.u32(entry + 4);
    this.need(position, size, `column ${name}`, 8);
    this.claimed += size;
    if (this.claimed > this.bytes.length)
      throw new PatchError(`a patch of ${this.bytes.length} bytes has columns that overlap, such as ${name}`);
    const defined = this.mask(this.u32(entry + 8), count, `mask of column ${name}`);
    if (!isFixed(kind)) return this.variableColumn(position, size, count, column, defined);
    const expected = count * length * widthOf(kind);
    if (size !== expected) {
      throw new PatchError(
        `a patch has ${size} bytes in column ${name}, but ${count * length} values of ${kind} need ${expected}`,
      );
    }
    return new Column(kind, this.bytes.subarray(position, position + size), undefined, defined, length);
  }

  private variableColumn(
    position: number,
    size: number,
    count: number,
    { name, kind }: PatchColumn,
    defined: Uint8Array | undefined,
  ): Column {
    const headSize = 4 * (count + 1);
    if (size < headSize) {
      throw new PatchError(
        `a patch has ${size} bytes in column ${name}, but its offsets alone take ${headSize}`,
      );
    }
    const offsets = new Uint32Array(this.bytes.buffer, this.bytes.byteOffset + position, count + 1);
    let previous = 0;
    for (let i = 0; i <= count; i++) {
      const offset = offsets[i]!;
      if (offset < previous)
        throw new PatchError(`a patch has an offset in column ${name} that goes back, at event ${i}`);
      previous = offset;
    }
    if (previous > size - headSize) {
      throw new PatchError(
        `a patch has an offset ${previous} in column ${name}, which has ${size - headSize} bytes`,
      );
    }
    return new Column(kind, this.bytes.subarray(position + headSize, position + size), offsets, defined);
  }

  emitted(position: number, emits: readonly PatchSource[]): { source: number; batch: Batch }[] {
    if (position === 0) return [];
    this.need(position, BLOCK_HEADER_SIZE, 'emitted events', 8);
    const blocks = this.u32(position);
    if (blocks > MAX_BLOCKS)
      throw new PatchError(`a patch emits ${blocks} blocks of events, but at most ${MAX_BLOCKS} are allowed`);
    const made: { source: number; batch: Batch }[] = [];
    let at = position + BLOCK_HEADER_SIZE;
    let total = 0;
    for (let i = 0; i < blocks; i++) {
      this.need(at, BLOCK_HEADER_SIZE, `emitted block ${i}`);
      const source = this.u32(at);
      const count = this.u32(at + 4);
      const emit = emits[source];
      if (emit === undefined)
        throw new PatchError(
          `a patch emits to data source number ${source} of its plan, which has ${emits.length}`,
        );
      if (count > MAX_BATCH_RECORDS)
        throw new PatchError(
          `a patch emits ${count} events to ${emit.name} in one block, but at most ${MAX_BATCH_RECORDS} are allowed`,
        );
      total += count;
      at += BLOCK_HEADER_SIZE;
      this.need(at, ENTRY_SIZE * emit.columns.length, `emitted block ${i}`);
      const batch = this.block(at, count, emit.columns);
      if (count > 0) made.push({ source, batch });
      at += ENTRY_SIZE * emit.columns.length;
    }
    if (total > MAX_EMITTED)
      throw new PatchError(`a patch emits ${total} events, but at most ${MAX_EMITTED} are allowed`);
    return made;
  }

  private block(at: number, count: number, columns: readonly PatchColumn[]): Batch {
    const batch = new Batch(0, count);
    batch.offsets.fill(OFFSETS_SIZE_BYTES);
    batch.reset(count);
    columns.forEach((column, i) => {
      batch.columns[column.column] = this.column(at + ENTRY_SIZE * i, count, column);
    });
    return batch;
  }

  log(position: number, logLevel: number): { level: number; text: string }[] {
    if (position === 0) return [];
    this.need(position, 4, 'log', 4);
    const count = this.u32(position);
    if (count > MAX_LINES)
      throw new PatchError(`a patch logs ${count} lines, but at most ${MAX_LINES} are allowed`);
    this.need(position + 4, LINE_SIZE * count, 'log');
    const lines: { level: number; text: string }[] = [];
    for (let i = 0; i < count; i++) {
      const at = position + 4 + LINE_SIZE * i;
      const level = this.u32(at);
      if (level >= WIT_LEVELS.length)
        throw new PatchError(
          `a patch logs a line of level ${level}, but the last is ${WIT_LEVELS.length - 1}`,
        );
      const start = this.u32(at + 4);
      const size = this.u32(at + 8);
      this.need(start, size, `line ${i} of the log`);
      if (level > logLevel || lines.length >= MAX_READ_LINES) continue;
      const text = DECODER.decode(this.bytes.subarray(start, start + Math.min(size, MAX_LINE_BYTES)));
      lines.push({ level, text: quoted(text) });
    }
    return lines;
  }
}
