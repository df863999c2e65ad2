// Functions of fields: to read and to set the values of an event.

import { Span } from '../../../runtime/data/batch.js';
import { type FixedKind, KINDS, type Kind, isFixed, widthOf } from '../../../runtime/data/kind.js';
import type { Context, HostFunctions } from './context.js';
import { type Data, ServedField } from './data.js';
import type { GuestBuffer } from './memory.js';

const STRING = KINDS.indexOf('string');
const BYTES = KINDS.indexOf('bytes');

/** The value as 64 bits; of a float, those of IEEE 754. */
const READERS: Record<FixedKind, (span: Span) => bigint> = {
  bool: (s) => (s.bytes[s.start] === 0 ? 0n : 1n),
  int8: (s) => BigInt(s.view.getInt8(s.start)),
  int16: (s) => BigInt(s.view.getInt16(s.start, true)),
  int32: (s) => BigInt(s.view.getInt32(s.start, true)),
  int64: (s) => s.view.getBigInt64(s.start, true),
  uint8: (s) => BigInt(s.view.getUint8(s.start)),
  uint16: (s) => BigInt(s.view.getUint16(s.start, true)),
  uint32: (s) => BigInt(s.view.getUint32(s.start, true)),
  uint64: (s) => s.view.getBigUint64(s.start, true),
  float32: (s) => BigInt(s.view.getUint32(s.start, true)),
  float64: (s) => s.view.getBigUint64(s.start, true),
};

export function fieldFunctions(context: Context): HostFunctions {
  const { memory, handles } = context;
  const span = new Span();
  const scalar = new BigInt64Array(1);
  const scalarBytes = new Uint8Array(scalar.buffer);
  /** The first bytes of `scalar`, by size. */
  const scalars = Array.from({ length: 9 }, (_, size) => scalarBytes.subarray(0, size));

  /** The bytes to set; undefined when the kind is unknown, or they lie outside the memory. */
  const newValue = (kind: Kind | undefined, value: bigint): Uint8Array | undefined => {
    if (kind === 'string' || kind === 'bytes') return memory.slice(value);
    if (kind === undefined || !isFixed(kind)) return undefined;
    scalar[0] = kind === 'bool' ? (value === 0n ? 0n : 1n) : value;
    return scalars[widthOf(kind)];
  };

  return {
    fieldGetScalar: (
      fieldHandle: number,
      dataHandle: number,
      kindNumber: number,
      errorAddress: number | bigint,
    ): bigint => {
      const field = handles.get(fieldHandle >>> 0, ServedField);
      const data = context.data(dataHandle >>> 0);
      const kind = KINDS[kindNumber];
      if (
        field !== undefined &&
        isOf(data, field) &&
        kind !== undefined &&
        isFixed(kind) &&
        data.locate(field, span) &&
        span.end - span.start === widthOf(kind)
      ) {
        return READERS[kind](span);
      }
      memory.setU32(Number(errorAddress) >>> 0, 1);
      return 0n;
    },

    fieldGetBuffer: (fieldHandle: number, dataHandle: number, kind: number, target: GuestBuffer): number => {
      const field = handles.get(fieldHandle >>> 0, ServedField);
      const data = context.data(dataHandle >>> 0);
      if (field === undefined || !isOf(data, field) || (kind !== STRING && kind !== BYTES)) return -1;
      if (!data.locate(field, span)) return 0;
      if (kind === STRING && field.field.kind === 'cstring') span.end = endOfText(span);
      const value = span.bytes.subarray(span.start, span.end);
      if (memory.fill(target, value)) return value.length;
      context.complain(`fieldGetBuffer: the buffer is too small for ${field.field.fullName}`);
      return -1;
    },

    fieldSet: (fieldHandle: number, dataHandle: number, kindNumber: number, value: bigint): number => {
      const field = handles.get(fieldHandle >>> 0, ServedField);
      const data = context.data(dataHandle >>> 0);
      const kind = KINDS[kindNumber];
      if (field === undefined || !isOf(data, field)) return 1;
      const bytes = newValue(kind, value);
      if (bytes !== undefined && isSettable(field, kind!) && data.set(field, bytes)) return 0;
      context.complain(
        `fieldSet: ${field.field.fullName} cannot take this value of kind ${kind ?? kindNumber}`,
      );
      return 1;
    },
  };
}

/** A field of one data source says nothing of another's events. */
function isOf(data: Data | undefined, field: ServedField): data is Data {
  return data?.source === field.source;
}

/** A number must have the size of the field's, and is no text. */
function isSettable({ field }: ServedField, kind: Kind): boolean {
  if (!isFixed(kind)) return !isFixed(field.kind) || field.length > 1;
  return isFixed(field.kind) && field.length === 1 && widthOf(field.kind) === widthOf(kind);
}

/** A fixed text ends at its first NUL. */
function endOfText({ bytes, start, end }: Span): number {
  let at = start;
  while (at < end && bytes[at] !== 0) at++;
  return at;
}
