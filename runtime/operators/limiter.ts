// Operator `limiter`: lets at most so many records of each batch of an array data source pass.

import type { Batch } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { OperatorError } from './errors.js';

/** Drops all kept records behind the first ones, in the order of `rows` if given. */
export type Limiter = (batch: Batch, rows?: Uint32Array) => void;

/**
 * Compiles `--max-entries`; undefined when there is nothing to limit (−1).
 * Throws OperatorError for a number that is none, or a data source that has no snapshots.
 */
export function limiter(source: DataSource, maxEntries: number): Limiter | undefined {
  if (maxEntries === -1) return undefined;
  if (!Number.isSafeInteger(maxEntries) || maxEntries < 0) {
    throw new OperatorError(
      `cannot limit to ${maxEntries} entries; give a whole number, or -1 for all of them`,
    );
  }
  if (source.type !== 'array') {
    throw new OperatorError(
      `cannot limit the entries of ${source.name}, which streams single events; --max-entries is for lists`,
    );
  }
  return (batch, rows) => {
    const count = rows?.length ?? batch.count;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const row = rows === undefined ? i : rows[i]!;
      if (batch.keep[row] === 1 && ++kept > maxEntries) batch.keep[row] = 0;
    }
  };
}
