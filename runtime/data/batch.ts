// A batch: the unit of work of the pipeline. Raw records back to back, a keep mask, and added fields as columns.

import { type Kind, isFixed, widthOf } from './kind.js';

/** The most records one batch holds. */
export const MAX_BATCH_RECORDS = 2048;
/** The bytes of records that the kernel's rings fill one batch with, unless a single record may have more. */
export const USUAL_BATCH_BYTES = 1 << 20;
/** The most bytes of records that one batch holds, and so of one record. */
export const MAX_BATCH_BYTES = 1 << 22;

/** Room at the start of a batch's bytes for its offsets, u32 each, one more than records. */
export const OFFSETS_SIZE_BYTES = (MAX_BATCH_RECORDS + 2) * 4;
/** Room behind the records for what a guest is told of them: 8 bytes, and one for each record. */
const TRAILER_SIZE_BYTES = 8 + MAX_BATCH_RECORDS;

/**
 * One value, found: the bytes it stands in. Reused for every value, so nothing is allocated per event.
 * `view` is over the same memory as `bytes`, from the same start.
 */
export class Span {
  bytes: Uint8Array = EMPTY;
  view: DataView = EMPTY_VIEW;
  start = 0;
  end = 0;

  set(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    this.bytes = bytes;
    this.view = view;
    this.start = start;
    this.end = end;
  }
}

const EMPTY = new Uint8Array(0);
const EMPTY_VIEW = new DataView(EMPTY.buffer);

/** The values of one added field for all records of a batch. */
export class Column {
  readonly kind: Kind;
  /** Fixed kinds: `count` values of `width` bytes. Others: the values' bytes back to back. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Size in bytes of one record's value: of the whole array where the field is one. 0 for kinds that are not fixed. */
  readonly width: number;
  /** Start of value i in `bytes`; `count + 1` entries; undefined for fixed kinds. */
  readonly offsets: Uint32Array | undefined;
  /** One byte per record, 0 where the value is undefined; undefined when every value is defined. */
  readonly defined: Uint8Array | undefined;

  /** `length`: as of the field. */
  constructor(kind: Kind, bytes: Uint8Array, offsets?: Uint32Array, defined?: Uint8Array, length = 1) {
    this.kind = kind;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.width = isFixed(kind) ? widthOf(kind) * length : 0;
    this.offsets = offsets;
    this.defined = defined;
  }

  /** Finds value `row`; false when it is undefined. */
  locate(row: number, span: Span): boolean {
    if (this.defined !== undefined && this.defined[row] === 0) return false;
    if (this.offsets === undefined) {
      const start = row * this.width;
      span.set(this.bytes, this.view, start, start + this.width);
    } else {
      span.set(this.bytes, this.view, this.offsets[row]!, this.offsets[row + 1]!);
    }
    return true;
  }
}

/**
 * Records of one data source. Record i is `bytes[offsets[i] .. offsets[i + 1])`, 8-byte aligned, at least as
 * long as the data source's struct; whoever fills a batch guarantees both.
 * `bytes` starts with those offsets (u32, little-endian), so that a guest gets everything in one copy.
 */
export class Batch {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly offsets: Uint32Array;
  /** Number of records. */
  count = 0;
  /** One byte per record: 1 = goes on, 0 = filtered out. */
  readonly keep: Uint8Array;
  /** Added fields by column number; undefined = no value in this batch. */
  readonly columns: (Column | undefined)[] = [];

  /** A batch with room for `sizeBytes` of records. */
  constructor(sizeBytes: number, maxRecords: number = MAX_BATCH_RECORDS) {
    this.bytes = new Uint8Array(OFFSETS_SIZE_BYTES + sizeBytes + TRAILER_SIZE_BYTES);
    this.view = new DataView(this.bytes.buffer);
    this.offsets = new Uint32Array(this.bytes.buffer, 0, maxRecords + 1);
    this.keep = new Uint8Array(maxRecords);
  }

  /** Makes the batch hold `count` fresh records: all kept, no columns. */
  reset(count: number): void {
    this.count = count;
    this.keep.fill(1, 0, count);
    this.columns.length = 0;
  }

  /** How many records are kept. */
  kept(): number {
    let kept = 0;
    for (let row = 0; row < this.count; row++) kept += this.keep[row]!;
    return kept;
  }
}
