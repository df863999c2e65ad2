// A data source that the program makes: aggregates, alerts.

import type { ColumnData } from './column';
import { Columns } from './columns';
import { requireDeclaring } from './program';

/** Most events of a block of a patch. */
const BLOCK_MAX = 2048;

/** Events of one new data source, as a patch has them; null are columns without a value. */
export interface Block {
  readonly source: number;
  readonly count: number;
  readonly columns: readonly (ColumnData | null)[];
}

/** Those the program declared. */
export const newSources: NewSource[] = [];
/** What was emitted, but for what the sources still hold. */
let blocks: Block[] = [];

export class NewSource extends Columns {
  private readonly number: number;

  /** Declares, at the top level of the program, a data source of this name. */
  constructor(name: string) {
    requireDeclaring(`data source ${name}`);
    super(name);
    this.number = newSources.push(this) - 1;
  }

  /** Emits an event with the values set since the last one. */
  emit(): void {
    if (++this.row === BLOCK_MAX) this.flush();
  }

  /** Makes a block of what was emitted, and room for the next. */
  flush(): void {
    const count = this.row;
    if (count > 0) {
      // The next block is written into the same arrays.
      const columns = this.columns.map((column) => copyOf(column.data(count)));
      blocks.push({ source: this.number, count, columns });
    }
    this.row = 0;
    for (const column of this.columns) column.begin(BLOCK_MAX);
  }
}

function copyOf(data: ColumnData | null): ColumnData | null {
  return data && { values: data.values.slice(), defined: data.defined?.slice() };
}

/** All that was emitted since the last call. */
export function takeBlocks(): readonly Block[] {
  for (const source of newSources) if (source.row > 0) source.flush();
  const taken = blocks;
  if (taken.length > 0) blocks = [];
  return taken;
}
