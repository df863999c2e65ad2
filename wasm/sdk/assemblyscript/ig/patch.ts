// The loop over a batch, and the patch it makes. The layout of both is in wasm/wit/README.md.

import { BytesColumn, Column, setRow } from './column';
import { setRecord } from './field';
import { failed } from './gadget';
import { Source, columns } from './source';

const VERSION: u32 = 1;
const HEADER_SIZE: usize = 24;
const ENTRY_SIZE: usize = 12;

/** The patch, its memory kept from batch to batch. */
export let patch: usize = 0;
export let patchSize: usize = 0;
let capacity: usize = 0;

@inline
function align8(value: usize): usize {
  return (value + 7) & ~7;
}

function reserve(needed: usize): void {
  if (needed <= capacity) return;
  capacity = max(needed, 2 * capacity);
  patch = patch == 0 ? heap.alloc(capacity) : heap.realloc(patch, capacity);
}

/** Takes `size` bytes of the patch, made zero. Returns their position. */
function take(size: usize): usize {
  const position = patchSize;
  patchSize = align8(position + size);
  memory.fill(patch + position, 0, patchSize - position);
  return position;
}

/** Whether all `count` bytes are `value`. */
function all(value: u8, start: usize, count: u32): bool {
  const eight = <u64>value * 0x0101010101010101;
  let i: u32 = 0;
  for (; i + 8 <= count; i += 8) if (load<u64>(start + i) != eight) return false;
  for (; i < count; i++) if (load<u8>(start + i) != value) return false;
  return true;
}

/** Runs the handler for every event, and makes the patch. False when the handler failed. */
export function run(source: Source, count: u32, batch: usize): bool {
  const handler = source.handler;
  const keep = begin(source, count);
  const variable = source.bytesColumns;
  // Records that were dropped before; 0 where none were.
  const there = <usize>load<u32>(batch + load<u32>(batch + (<usize>count << 2)));
  let start = load<u32>(batch);
  for (let i: u32 = 0; i < count; i++) {
    const stop = load<u32>(batch + (<usize>i << 2), 4);
    setRecord(batch + start, stop - start);
    setRow(i);
    const kept = (there == 0 || load<u8>(batch + there + i) != 0) && handler();
    if (failed()) return false;
    store<u8>(patch + keep + i, <u8>kept);
    for (let c = 0; c < variable.length; c++) {
      const column = unchecked(variable[c]);
      if (column.wanted) column.end(kept);
    }
    start = stop;
  }
  end(source, count, keep);
  return true;
}

/** Lays out what has a known size, and tells the columns where. Returns the position of the keep bytes. */
function begin(source: Source, count: u32): usize {
  let size = HEADER_SIZE + ENTRY_SIZE * columns.length + count + 16;
  for (let i = 0; i < source.columns.length; i++) {
    size += <usize>count * (1 + source.columns[i].width) + 16;
  }
  reserve(size);
  patchSize = 0;
  take(HEADER_SIZE + ENTRY_SIZE * columns.length);
  const keep = take(count);
  for (let i = 0; i < source.columns.length; i++) {
    const column = source.columns[i];
    if (!column.wanted) continue;
    column.defined = patch + take(count);
    if (column.width > 0) column.values = patch + take(<usize>count * column.width);
    else changetype<BytesColumn>(column).begin(count);
  }
  return keep;
}

/** Adds what had no known size, and the header. */
function end(source: Source, count: u32, keep: usize): void {
  let size = patchSize;
  for (let i = 0; i < source.bytesColumns.length; i++) size += source.bytesColumns[i].size + 16;
  const before = patch;
  reserve(size);
  const moved = patch - before;
  for (let i = 0; i < source.columns.length; i++) {
    const column = source.columns[i];
    if (!column.wanted) continue;
    column.defined += moved;
    column.values += moved;
    if (!all(0, column.defined, count)) enter(column, count);
  }
  store<u32>(patch, VERSION);
  store<u32>(patch, count, 4);
  store<u32>(patch, all(1, patch + keep, count) ? 0 : <u32>keep, 8);
  store<u32>(patch, columns.length, 12);
}

/** Writes where a column is, and copies it there unless it is. */
function enter(column: Column, count: u32): void {
  let position = column.values - patch;
  let size = <usize>count * column.width;
  if (column.width == 0) {
    const variable = changetype<BytesColumn>(column);
    position = patchSize;
    size = variable.size;
    variable.copyTo(patch + position);
    patchSize = align8(position + size);
  }
  const entry = patch + HEADER_SIZE + ENTRY_SIZE * column.index;
  store<u32>(entry, <u32>position);
  store<u32>(entry, <u32>size, 4);
  store<u32>(entry, all(1, column.defined, count) ? 0 : <u32>(column.defined - patch), 8);
}
