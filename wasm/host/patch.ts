// Applies what a post-processor made of a batch: a mask and columns, as laid out in wasm/wit/README.md.

import { type Batch, Column } from '../../runtime/data/batch.js';
import { type Kind, isFixed, widthOf } from '../../runtime/data/kind.js';
import { PatchError } from './errors.js';

/** A column that the module declared: its number in the batch's data source, and its kind. */
export interface PatchColumn {
  readonly name: string;
  readonly column: number;
  readonly kind: Kind;
}

const VERSION = 1;
const HEADER_SIZE = 16;
const ENTRY_SIZE = 12;

/**
 * Checks a patch as a whole, then drops records of `batch` and sets its columns, which are views of `patch`.
 * `columns` are all that the module declared; undefined are those of other data sources.
 * Throws PatchError, with the batch as it was.
 */
export function applyPatch(
  patch: Uint8Array,
  batch: Batch,
  columns: readonly (PatchColumn | undefined)[],
): void {
  if (patch.length === 0) return;
  const header = readHeader(patch, batch.count, columns.length);
  const found: (Column | undefined)[] = columns.map((column, i) =>
    readColumn(patch, header, HEADER_SIZE + ENTRY_SIZE * i, batch.count, column),
  );
  const keep = readMask(patch, header.getUint32(8, true), batch.count, 'mask');
  if (keep !== undefined) {
    for (let row = 0; row < batch.count; row++) if (keep[row] === 0) batch.keep[row] = 0;
  }
  for (let i = 0; i < columns.length; i++) {
    const column = columns[i];
    if (column !== undefined) batch.columns[column.column] = found[i];
  }
}

function readHeader(patch: Uint8Array, count: number, columns: number): DataView {
  const headerSize = HEADER_SIZE + ENTRY_SIZE * columns;
  if (patch.length < headerSize) {
    throw new PatchError(`a patch has ${patch.length} bytes, but its header alone takes ${headerSize}`);
  }
  const header = new DataView(patch.buffer, patch.byteOffset, headerSize);
  expectEqual('version', header.getUint32(0, true), VERSION);
  expectEqual('number of events', header.getUint32(4, true), count);
  expectEqual('number of columns', header.getUint32(12, true), columns);
  return header;
}

function expectEqual(what: string, found: number, expected: number): void {
  if (found !== expected)
    throw new PatchError(`a patch has the ${what} ${found}, but ${expected} is expected`);
}

/** One byte per record at `position`; undefined at position 0. */
function readMask(patch: Uint8Array, position: number, count: number, what: string): Uint8Array | undefined {
  if (position === 0) return undefined;
  if (position + count > patch.length) {
    throw new PatchError(`a patch of ${patch.length} bytes has its ${what} of ${count} bytes at ${position}`);
  }
  return patch.subarray(position, position + count);
}

function readColumn(
  patch: Uint8Array,
  header: DataView,
  entry: number,
  count: number,
  column: PatchColumn | undefined,
): Column | undefined {
  const position = header.getUint32(entry, true);
  if (position === 0) return undefined;
  if (column === undefined) throw new PatchError('a patch has a column of another data source');
  const { name, kind } = column;
  const size = header.getUint32(entry + 4, true);
  if (position % 8 !== 0 || position + size > patch.length) {
    throw new PatchError(
      `a patch of ${patch.length} bytes has column ${name} with ${size} bytes at ${position}, which must be a multiple of 8 and lie in the patch`,
    );
  }
  const defined = readMask(patch, header.getUint32(entry + 8, true), count, `mask of column ${name}`);
  if (!isFixed(kind)) return variableColumn(patch, position, size, count, name, kind, defined);
  if (size !== count * widthOf(kind)) {
    throw new PatchError(
      `a patch has ${size} bytes in column ${name}, but ${count} values of ${kind} need ${count * widthOf(kind)}`,
    );
  }
  return new Column(kind, patch.subarray(position, position + size), undefined, defined);
}

function variableColumn(
  patch: Uint8Array,
  position: number,
  size: number,
  count: number,
  name: string,
  kind: Kind,
  defined: Uint8Array | undefined,
): Column {
  const headSize = 4 * (count + 1);
  if (size < headSize) {
    throw new PatchError(
      `a patch has ${size} bytes in column ${name}, but its offsets alone take ${headSize}`,
    );
  }
  const offsets = new Uint32Array(patch.buffer, patch.byteOffset + position, count + 1);
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
  return new Column(kind, patch.subarray(position + headSize, position + size), offsets, defined);
}
