// The data model as a core module sees it: data sources, their fields, and the events it is called for.

import { type Batch, MAX_BATCH_RECORDS, type Span } from '../../../runtime/data/batch.js';
import type { DataSource } from '../../../runtime/data/data-source.js';
import { type Field, type Locator, locateTail, locatorOf } from '../../../runtime/data/field.js';
import { GuestColumn, Room } from './guest-column.js';

/** A data source, as long as the gadget runs; instances of the module come and go. */
export class ServedSource {
  readonly index: number;
  readonly source: DataSource;
  /** Whether outputs show it: the module can take that over. */
  isShown = true;
  private readonly fields = new Map<Field, ServedField>();
  private readonly columns: (GuestColumn | undefined)[] = [];
  private readonly room = new Room();

  constructor(index: number, source: DataSource) {
    this.index = index;
    this.source = source;
    for (const field of [...source.fields]) if (field.location.in === 'tail') this.overlay(field);
  }

  field(field: Field): ServedField {
    let served = this.fields.get(field);
    if (served === undefined) this.fields.set(field, (served = new ServedField(this, field)));
    return served;
  }

  /** A batch is begun: one of a data source is worked on at a time, so the columns of the last one are free. */
  beginBatch(): void {
    for (const column of this.columns) column?.reset();
    this.room.renew();
  }

  /** Column `number` of a batch that came from the kernel, for writing. */
  columnOf(batch: Batch, { column, field }: ServedField): GuestColumn {
    const found = batch.columns[column!];
    if (found instanceof GuestColumn) return found;
    const mine = (this.columns[column!] ??= new GuestColumn(field.kind, MAX_BATCH_RECORDS, this.room));
    batch.columns[column!] = mine;
    return mine;
  }

  /** Values in the tail cannot be written in place: a column before them holds those that the module replaces. */
  private overlay(old: Field): void {
    const column = this.source.newColumn();
    const offset = (old.location as { offset: number }).offset;
    const locate: Locator = (batch, row, span) =>
      batch.columns[column]?.locate(row, span) || locateTail(batch, row, offset, span);
    const field = this.source.replaceField(old, { kind: old.kind, location: { in: 'derived', locate } });
    this.fields.set(field, new ServedField(this, field, column));
  }
}

/** A field, and how its value is read and written. */
export class ServedField {
  readonly source: ServedSource;
  readonly field: Field;
  /** Reads the bytes as they are: fixed texts with their NULs, and values that mean "undefined". */
  readonly locate: Locator;
  /** The column that values are written to; undefined for fields of the record and those of others. */
  readonly column: number | undefined;

  constructor(source: ServedSource, field: Field, column?: number) {
    this.source = source;
    this.field = field;
    const { location } = field;
    this.column = column ?? (location.in === 'column' ? location.column : undefined);
    this.locate =
      location.in !== 'record'
        ? locatorOf(field)
        : (batch, row, span) => {
            const start = batch.offsets[row]! + location.offset;
            span.set(batch.bytes, batch.view, start, start + location.size);
            return true;
          };
  }
}

/** One event or element, which a handle stands for. */
export abstract class Data {
  abstract readonly source: ServedSource;
  /** Finds a value; false when it is undefined. */
  abstract locate(field: ServedField, span: Span): boolean;
  /** Sets a value; false when it does not fit or the field is not the module's to set. */
  abstract set(field: ServedField, value: Uint8Array): boolean;
}

/** A record of the batch that is being worked on. One object is moved over all records. */
export class RecordData extends Data {
  readonly source: ServedSource;
  private readonly batch: Batch;
  row = 0;

  constructor(source: ServedSource, batch: Batch) {
    super();
    this.source = source;
    this.batch = batch;
  }

  locate(field: ServedField, span: Span): boolean {
    return field.locate(this.batch, this.row, span);
  }

  set(served: ServedField, value: Uint8Array): boolean {
    const { location } = served.field;
    if (served.column !== undefined) return this.source.columnOf(this.batch, served).put(this.row, value);
    if (location.in !== 'record') return false;
    return fillPadded(
      this.batch.bytes,
      this.batch.offsets[this.row]! + location.offset,
      location.size,
      value,
    );
  }
}

/** Several elements. */
export abstract class DataArray {
  abstract readonly source: ServedSource;
  abstract readonly length: number;
  abstract get(index: number): Data | undefined;
}

/** The records of a batch that is one snapshot. */
export class RecordArray extends DataArray {
  readonly source: ServedSource;
  private readonly rows: readonly number[];
  private readonly data: RecordData;

  constructor(source: ServedSource, batch: Batch) {
    super();
    this.source = source;
    this.data = new RecordData(source, batch);
    this.rows = Array.from({ length: batch.count }, (_, row) => row).filter((row) => batch.keep[row] === 1);
  }

  get length(): number {
    return this.rows.length;
  }

  get(index: number): Data | undefined {
    const row = this.rows[index];
    if (row === undefined) return undefined;
    this.data.row = row;
    return this.data;
  }
}

/** Writes a value with zeros behind it, up to `size`; false when it is longer. */
export function fillPadded(bytes: Uint8Array, at: number, size: number, value: Uint8Array): boolean {
  if (value.length > size) return false;
  bytes.set(value, at);
  bytes.fill(0, at + value.length, at + size);
  return true;
}
