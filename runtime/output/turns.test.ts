import { describe, expect, it } from 'vitest';
import type { Batch } from '../data/batch.js';
import { ByteWriter } from './byte-writer.js';
import { createOutput } from './modes.js';
import type { Output } from './output.js';
import { testBatch, testSource } from './testing.js';
import { Turns } from './turns.js';

const NAMES = ['first', 'sec\x1bond'];

/** Two tables of one column, `n`, and what both write. */
class Printed {
  readonly tables: readonly Output[];
  private readonly writer = new ByteWriter();

  constructor() {
    const turns = new Turns();
    this.tables = NAMES.map((name) => turns.add(name, createOutput('columns', SOURCE)));
  }

  headers(): this {
    for (const table of this.tables) table.header(this.writer);
    return this;
  }

  rows(table: number, batch: Batch): number {
    return this.tables[table]!.write(batch, this.writer);
  }

  lines(): string[] {
    return Buffer.from(this.writer.written).toString().split('\n').slice(0, -1);
  }
}

const SOURCE = testSource([{ name: 'n', kind: 'uint8' }]);
const batch = (...values: number[]): Batch =>
  testBatch(
    SOURCE,
    values.map((n) => ({ n })),
  );

describe('tables that take turns', () => {
  it('show only the first header before there is an event', () => {
    expect(new Printed().headers().lines()).toEqual(['first:', 'N']);
  });

  it('begin anew, under their name, only when another one was written to before', () => {
    const printed = new Printed().headers();
    for (const [table, n] of [
      [0, 1],
      [0, 2],
      [1, 3],
      [1, 4],
      [0, 5],
    ] as const)
      expect(printed.rows(table, batch(n))).toBe(1);
    const second = ['', 'sec\\x1bond:', 'N', '3', '4'];
    expect(printed.lines()).toEqual(['first:', 'N', '1', '2', ...second, '', 'first:', 'N', '5']);
  });

  it('do not begin for a batch of which nothing is left', () => {
    const printed = new Printed().headers();
    const dropped = batch(1, 2);
    dropped.keep.fill(0);
    expect(printed.rows(1, dropped)).toBe(0);
    printed.rows(0, batch(3));
    expect(printed.lines()).toEqual(['first:', 'N', '3']);
  });

  it('say whose turn it is also when the headers were printed by a worker before', () => {
    const printed = new Printed();
    printed.rows(0, batch(1));
    expect(printed.lines()).toEqual(['', 'first:', 'N', '1']);
  });
});
