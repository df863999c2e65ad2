// Operator `sort`: the order in which the records of an array data source's batch are shown.

import { type Batch, Span } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { type Field, bigintReaderOf, locatorOf, numberReaderOf } from '../data/field.js';
import { isFixed, isText } from '../data/kind.js';
import { OperatorError } from './errors.js';
import { fieldMeant } from './field-meant.js';

/** The kept rows of a batch, in order. */
export type Sorter = (batch: Batch) => Uint32Array;

type SortValue = number | bigint | string | undefined;

interface SortKey {
  readonly valueOf: (batch: Batch, row: number) => SortValue;
  /** −1: largest first. */
  readonly direction: 1 | -1;
}

/**
 * Compiles `--sort`: `f1,-f2` sorts by f1, records with equal f1 by f2 with the largest first. Undefined values,
 * and NaN, come last either way. Throws OperatorError.
 */
export function sorter(source: DataSource, expression: string): Sorter {
  if (source.type !== 'array') {
    throw new OperatorError(`cannot sort ${source.name}, which streams single events; --sort is for lists`);
  }
  const keys = splitKeys(expression).map((item) => sortKey(source, item));
  return (batch) => sortedRows(batch, keys);
}

/** The fields that a sorter of `expression` reads. Throws OperatorError. */
export function sortFields(source: DataSource, expression: string): Field[] {
  return splitKeys(expression).map((item) => keyField(source, item));
}

/** The items of `--sort`: names of fields, with their signs. Throws OperatorError when there is none. */
export function splitKeys(expression: string): string[] {
  const items = expression
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  if (items.length === 0) throw new OperatorError('--sort names no field; give some, like comm,-pid');
  return items;
}

function keyField(source: DataSource, item: string): Field {
  return fieldMeant('sort', source, item.replace(/^[+-]/, ''));
}

function sortKey(source: DataSource, item: string): SortKey {
  const field = keyField(source, item);
  if (isFixed(field.kind) && field.length !== 1)
    throw new OperatorError(`cannot sort ${source.name} by ${field.fullName}, which is a list of numbers`);
  return { valueOf: valueReader(field), direction: item.startsWith('-') ? -1 : 1 };
}

/** Values are copied: those of computed fields last only until the next one is computed. */
function valueReader(field: Field): SortKey['valueOf'] {
  const locate = locatorOf(field);
  const span = new Span();
  const read = readerOf(field);
  return (batch, row) => (locate(batch, row, span) ? read(span) : undefined);
}

function readerOf({ kind }: Field): (span: Span) => SortValue {
  // One character per byte: compares like the bytes do, which for UTF-8 is the order of code points.
  if (isText(kind) || kind === 'bytes')
    return (s) => Buffer.from(s.bytes.subarray(s.start, s.end)).toString('latin1');
  if (kind === 'uint64' || kind === 'int64') return bigintReaderOf(kind);
  const read = numberReaderOf(kind);
  return (s) => {
    const value = read(s);
    // NaN has no place among numbers.
    return Number.isNaN(value) ? undefined : value;
  };
}

function sortedRows(batch: Batch, keys: readonly SortKey[]): Uint32Array {
  const rows: number[] = [];
  for (let row = 0; row < batch.count; row++) if (batch.keep[row] === 1) rows.push(row);
  const values = keys.map((key) => {
    const column: SortValue[] = [];
    for (const row of rows) column[row] = key.valueOf(batch, row);
    return column;
  });
  rows.sort((a, b) => {
    for (let k = 0; k < keys.length; k++) {
      const order = compare(values[k]![a], values[k]![b], keys[k]!.direction);
      if (order !== 0) return order;
    }
    return a - b;
  });
  return Uint32Array.from(rows);
}

function compare(a: SortValue, b: SortValue, direction: number): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? 1 : -1;
  return a === b ? 0 : a < b ? -direction : direction;
}
