// A field: one named value of every record of a data source, and where to find it.

import type { Batch, Span } from './batch.js';
import { type Kind, isFixed } from './kind.js';

/** Finds the field's value of record `row`; false when the value is undefined. Must not allocate. */
export type Locator = (batch: Batch, row: number, span: Span) => boolean;

/** Whether record `row` may have any value of a group of fields; without it, none is defined. */
export type Existence = (batch: Batch, row: number) => boolean;

/** Where a field's value stands. */
export type Location =
  /** In the record, at a fixed place. */
  | { readonly in: 'record'; readonly offset: number; readonly size: number }
  /** Behind the record's struct: at `offset` stand u32 offset (from the record's start) and u32 size. */
  | { readonly in: 'tail'; readonly offset: number }
  /** In a column that an operator adds to each batch. */
  | { readonly in: 'column'; readonly column: number }
  /**
   * Computed from other fields, `from`, when an output or a filter asks. Fields that are undefined together have one
   * function `exists`, which spares asking for each.
   */
  | { readonly in: 'derived'; readonly locate: Locator; readonly from?: Field; readonly exists?: Existence }
  /** A struct: its children hold the values. */
  | { readonly in: 'nowhere' };

export type Annotations = Readonly<Record<string, string>>;

export interface Field {
  /** Place in `DataSource.fields`. */
  readonly index: number;
  /** Last part of the full name: `comm`. */
  readonly name: string;
  /** Dotted name: `proc.comm`. */
  readonly fullName: string;
  readonly kind: Kind;
  /** Number of values; 1 unless the field is a fixed array of numbers. */
  readonly length: number;
  readonly location: Location;
  tags: readonly string[];
  annotations: Annotations;
  /** Smaller comes first in outputs. */
  order: number;
  /** Not shown in columns unless asked for. */
  hidden: boolean;
}

/** The fields given, and those they are computed from. */
export function withOrigins(fields: Iterable<Field>): Set<Field> {
  const all = new Set<Field>();
  for (let field of fields) {
    all.add(field);
    while (field.location.in === 'derived' && field.location.from !== undefined)
      all.add((field = field.location.from));
  }
  return all;
}

/** Annotation: the raw value that means "undefined"; a decimal number. */
export const UNDEFINED_VALUE = 'value.undefined';

/**
 * Annotation of a field, or of a struct for all its fields: the switch by which the kernel side collects it, a
 * GADGET_WANTED of bpf/include/gadget/wanted.h.
 */
export const WANTED_SWITCH = 'value.wanted';

/** Compiles the way to a field's value. */
export function locatorOf(field: Field): Locator {
  const location = field.location;
  switch (location.in) {
    case 'record':
      return recordLocator(field, location.offset, location.size);
    case 'tail':
      return (batch, row, span) => locateTail(batch, row, location.offset, span);
    case 'column': {
      const column = location.column;
      return (batch, row, span) => batch.columns[column]?.locate(row, span) ?? false;
    }
    case 'derived':
      return location.locate;
    case 'nowhere':
      return () => false;
  }
}

function recordLocator(field: Field, offset: number, size: number): Locator {
  const plain: Locator = (batch, row, span) => {
    const start = batch.offsets[row]! + offset;
    span.set(batch.bytes, batch.view, start, start + size);
    return true;
  };
  if (field.kind === 'cstring') {
    return (batch, row, span) => {
      const start = batch.offsets[row]! + offset;
      let end = start;
      const limit = start + size;
      while (end < limit && batch.bytes[end] !== 0) end++;
      span.set(batch.bytes, batch.view, start, end);
      return true;
    };
  }
  const marker = undefinedBytesOf(field, size);
  if (marker === undefined) return plain;
  return (batch, row, span) => {
    plain(batch, row, span);
    return !standsAt(span.bytes, span.start, marker);
  };
}

/** The bytes that mean "undefined" in a field of `size` bytes, if any do. */
export function undefinedBytesOf(field: Field, size: number): Uint8Array | undefined {
  const marker = field.annotations[UNDEFINED_VALUE];
  return marker === undefined || !isFixed(field.kind) ? undefined : encodeUnsigned(marker, size);
}

/** Whether `marker` stands in `bytes` from `at` on. */
export function standsAt(bytes: Uint8Array, at: number, marker: Uint8Array): boolean {
  for (let i = 0; i < marker.length; i++) if (bytes[at + i] !== marker[i]) return false;
  return true;
}

function encodeUnsigned(decimal: string, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let rest = BigInt(decimal);
  for (let i = 0; i < size; i++, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

/**
 * Finds the value whose place in the tail stands at `offset` of record `row`; false when it is undefined. What the
 * kernel side wrote is not trusted: a tail outside its record is undefined.
 */
export function locateTail(batch: Batch, row: number, offset: number, span: Span): boolean {
  const record = batch.offsets[row]!;
  const start = batch.view.getUint32(record + offset, true);
  const size = batch.view.getUint32(record + offset + 4, true);
  // Offset 0 is the struct's own: the program did not collect this value.
  if (start === 0) return false;
  if (record + start + size > batch.offsets[row + 1]!) return false;
  span.set(batch.bytes, batch.view, record + start, record + start + size);
  return true;
}

/** The value as a double; NaN for kinds that are not numbers. */
export type NumberReader = (span: Span) => number;

const NUMBER_READERS: Partial<Record<Kind, NumberReader>> = {
  bool: (s) => (s.bytes[s.start] === 0 ? 0 : 1),
  int8: (s) => s.view.getInt8(s.start),
  int16: (s) => s.view.getInt16(s.start, true),
  int32: (s) => s.view.getInt32(s.start, true),
  int64: (s) => s.view.getUint32(s.start, true) + s.view.getInt32(s.start + 4, true) * 0x1_0000_0000,
  uint8: (s) => s.view.getUint8(s.start),
  uint16: (s) => s.view.getUint16(s.start, true),
  uint32: (s) => s.view.getUint32(s.start, true),
  uint64: (s) => s.view.getUint32(s.start, true) + s.view.getUint32(s.start + 4, true) * 0x1_0000_0000,
  float32: (s) => s.view.getFloat32(s.start, true),
  float64: (s) => s.view.getFloat64(s.start, true),
};

/** Reads a located value as a double; exact for all kinds but 64-bit integers beyond 2^53. */
export function numberReaderOf(kind: Kind): NumberReader {
  return NUMBER_READERS[kind] ?? (() => NaN);
}

/** Reads a located integer of any size exactly; for comparisons and output beyond 2^53. Allocates. */
export function bigintReaderOf(kind: Kind): (span: Span) => bigint {
  if (kind === 'uint64') return (s) => s.view.getBigUint64(s.start, true);
  if (kind === 'int64') return (s) => s.view.getBigInt64(s.start, true);
  const read = numberReaderOf(kind);
  return (s) => BigInt(read(s));
}
