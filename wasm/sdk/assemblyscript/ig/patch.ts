// The loop over a batch, and the patch of what the module made. The layout of both is in wasm/wit/README.md.

import { Column } from './column';
import { setRecord } from './field';
import { failed } from './gadget';
import { Place } from './kind';
import { clearLog, lineCount, lines, text, textSize } from './log';
import { newSources } from './new-source';
import { Source, sources } from './source';

const VERSION: u32 = 1;
const HEADER_SIZE: usize = 24;
const ENTRY_SIZE: usize = 12;
const BLOCK_SIZE: u32 = 2048;

/** The patch, its memory kept from batch to batch. */
export let patch: usize = 0;
export let patchSize: usize = 0;
let capacity: usize = 0;

@inline
function align8(value: usize): usize {
  return (value + 7) & ~7;
}

/** Takes `size` bytes of the patch, of any content, at a multiple of 8. Returns their position. */
function take(size: usize): usize {
  const position = patchSize;
  patchSize = align8(position + size);
  if (patchSize > capacity) {
    capacity = max(patchSize, 2 * capacity);
    patch = patch == 0 ? heap.alloc(capacity) : heap.realloc(patch, capacity);
  }
  return position;
}

function takeZeros(size: usize): usize {
  const position = take(size);
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

/** How many columns the module adds. */
export function columnCount(): u32 {
  let count = 0;
  for (let i = 0; i < sources.length; i++) count += sources[i].columns.length;
  return count;
}

/** Runs the handler for every event, and makes the patch. False when the handler failed. */
export function run(source: Source, count: u32, batch: usize): bool {
  const keep = begin(source, count);
  // Records that were dropped before; 0 where none were.
  const there = findColumns(source, count, batch);
  const handler = source.handler;
  let start = load<u32>(batch);
  for (let i: u32 = 0; i < count; i++) {
    const stop = load<u32>(batch + (<usize>i << 2), 4);
    setRecord(batch + start, stop - start, i);
    source.row = i;
    const kept = (there == 0 || load<u8>(batch + there + i) != 0) && handler();
    if (failed()) return false;
    store<u8>(patch + keep + i, <u8>kept);
    source.end(kept);
    start = stop;
  }
  let entry = HEADER_SIZE;
  for (let s = 0; s < sources.length; s++) {
    const columns = sources[s].columns;
    for (let i = 0; i < columns.length; i++, entry += ENTRY_SIZE) {
      if (sources[s] == source) enter(entry, columns[i], 0, count);
    }
  }
  if (!all(1, patch + keep, count)) store<u32>(patch, <u32>keep, 8);
  enterRest();
  return true;
}

/** Makes the patch of what was emitted and logged without a batch: of nothing, if nothing was. */
export function runRest(): void {
  patchSize = 0;
  if (lineCount == 0 && emittedBlocks() == 0) return;
  beginHeader(0, 0);
  enterRest();
}

function beginHeader(count: u32, columns: u32): void {
  patchSize = 0;
  takeZeros(HEADER_SIZE + ENTRY_SIZE * columns);
  store<u32>(patch, VERSION);
  store<u32>(patch, count, 4);
  store<u32>(patch, columns, 12);
}

/** Begins the patch of a batch. Returns the position of the keep bytes. */
function begin(source: Source, count: u32): usize {
  source.row = 0;
  source.clear(0, count);
  beginHeader(count, columnCount());
  return takeZeros(count);
}

/** Tells the fields that are beside the records where they are. Returns the position of the trailer's keep bytes. */
function findColumns(source: Source, count: u32, batch: usize): usize {
  const trailer = batch + load<u32>(batch + (<usize>count << 2));
  let entry = trailer + 8;
  for (let i = 0; i < source.fields.length; i++) {
    const field = source.fields[i];
    if (field.place != Place.COLUMN) continue;
    const position = load<u32>(entry);
    const mask = load<u32>(entry, 8);
    field.setColumn(position == 0 ? 0 : batch + position, mask == 0 ? 0 : batch + mask);
    field.setCount(count);
    entry += ENTRY_SIZE;
  }
  return load<u32>(trailer);
}

/** Copies a column to the patch and writes where it is; nothing for events that have no values. */
function enter(entry: usize, column: Column, first: u32, count: u32): void {
  const mask = column.defined + first;
  if (!column.wanted || all(0, mask, count)) return;
  const size = column.sizeOf(first, count);
  const position = take(size);
  column.copyTo(patch + position, first, count);
  let defined: usize = 0;
  if (!all(1, mask, count)) {
    defined = take(count);
    memory.copy(patch + defined, mask, count);
  }
  store<u32>(patch + entry, <u32>position);
  store<u32>(patch + entry, <u32>size, 4);
  store<u32>(patch + entry, <u32>defined, 8);
}

/** Writes what was emitted and logged, and forgets it. */
function enterRest(): void {
  if (emittedBlocks() > 0) enterEmitted();
  if (lineCount > 0) enterLog();
  clearLog();
}

function blocksOf(events: u32): u32 {
  return (events + BLOCK_SIZE - 1) / BLOCK_SIZE;
}

function emittedBlocks(): u32 {
  let blocks: u32 = 0;
  for (let i = 0; i < newSources.length; i++) blocks += blocksOf(newSources[i].row);
  return blocks;
}

function enterEmitted(): void {
  let size: usize = 8;
  for (let i = 0; i < newSources.length; i++) {
    const source = newSources[i];
    size += <usize>blocksOf(source.row) * (8 + ENTRY_SIZE * <usize>source.columns.length);
  }
  const position = takeZeros(size);
  store<u32>(patch, <u32>position, 16);
  store<u32>(patch + position, emittedBlocks());
  let at = position + 8;
  for (let i = 0; i < newSources.length; i++) {
    const columns = newSources[i].columns;
    const row = newSources[i].row;
    for (let first: u32 = 0; first < row; first += BLOCK_SIZE) {
      const count = min(BLOCK_SIZE, row - first);
      store<u32>(patch + at, i);
      store<u32>(patch + at, count, 4);
      at += 8;
      for (let c = 0; c < columns.length; c++, at += ENTRY_SIZE) enter(at, columns[c], first, count);
    }
    if (row > 0) newSources[i].begin();
  }
}

function enterLog(): void {
  const position = take(4 + 12 * lineCount);
  const texts = take(textSize);
  memory.copy(patch + texts, text, textSize);
  store<u32>(patch, <u32>position, 20);
  store<u32>(patch + position, lineCount);
  const entries = patch + position + 4;
  memory.copy(entries, lines, 12 * lineCount);
  for (let i: u32 = 0; i < lineCount; i++) {
    const start = entries + 12 * i + 4;
    store<u32>(start, load<u32>(start) + <u32>texts);
  }
}
