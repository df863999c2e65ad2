// The interface of an output: batches of one data source in, bytes out.

import type { Batch } from '../data/batch.js';
import type { Field } from '../data/field.js';
import type { ByteWriter } from './byte-writer.js';

/** Writes the batches of one data source in one mode. Compiled once for the data source's fields. */
export interface Output {
  /** Writes what stands before the first batch. */
  header(writer: ByteWriter): void;
  /**
   * Writes the kept records of a batch and returns how many there were.
   * `rows` is the order to write them in, if not their own; records it lacks are not written.
   */
  write(batch: Batch, writer: ByteWriter, rows?: Uint32Array): number;
  /** Fields whose values this output reads; others need not be computed. */
  usedFields(): readonly Field[];
  /** Tells the width of the terminal after it changed. */
  resize?(widthColumns: number): void;
}

/** Calls `visit` for each kept record in the order asked for, which writes it as a row; returns how many there were. */
export function forEachKept(
  batch: Batch,
  writer: ByteWriter,
  rows: Uint32Array | undefined,
  visit: (row: number) => void,
): number {
  const count = rows === undefined ? batch.count : rows.length;
  let written = 0;
  for (let i = 0; i < count; i++) {
    const row = rows === undefined ? i : rows[i]!;
    if (batch.keep[row] === 0) continue;
    visit(row);
    writer.endRow();
    written++;
  }
  return written;
}
