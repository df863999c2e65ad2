// Builds data sources and batches by hand; only for tests and benchmarks.

import { Batch, OFFSETS_SIZE_BYTES } from '../data/batch.js';
import { DataSource, type DataSourceType } from '../data/data-source.js';
import type { Annotations, Field } from '../data/field.js';
import { type Kind, isFixed, widthOf } from '../data/kind.js';
import { ByteWriter } from './byte-writer.js';
import type { Output } from './output.js';

export interface TestField {
  readonly name: string;
  readonly kind: Kind;
  /** Values of a fixed kind, or bytes of a cstring. */
  readonly length?: number;
  readonly tags?: readonly string[];
  readonly annotations?: Annotations;
  readonly hidden?: boolean;
}

export type TestValue =
  number | bigint | boolean | string | Uint8Array | readonly (string | number)[] | undefined;
export type TestRow = Readonly<Record<string, TestValue>>;

/** A data source with its fields laid out one behind the other; texts stand in the tail, cstrings do not. */
export function testSource(
  specs: readonly TestField[],
  type: DataSourceType = 'single',
  name = 'test',
): DataSource {
  let offset = 0;
  const placed = specs.map((spec) => {
    const size = sizeOf(spec);
    const align = isFixed(spec.kind) ? widthOf(spec.kind) : 8;
    offset = Math.ceil(offset / align) * align;
    const at = offset;
    offset += size;
    return { spec, at, size };
  });
  const source = new DataSource(name, type, Math.ceil(offset / 8) * 8);
  for (const { spec, at, size } of placed) {
    const { name: fullName, kind, length, ...rest } = spec;
    const location =
      kind === 'none'
        ? ({ in: 'nowhere' } as const)
        : isFixed(kind) || kind === 'cstring'
          ? ({ in: 'record', offset: at, size } as const)
          : ({ in: 'tail', offset: at } as const);
    source.addField({
      fullName,
      kind,
      location,
      ...rest,
      ...(isFixed(kind) && length ? { length } : {}),
    });
  }
  return source;
}

function sizeOf(spec: TestField): number {
  if (spec.kind === 'none') return 0;
  if (spec.kind === 'cstring') return spec.length ?? 16;
  return isFixed(spec.kind) ? widthOf(spec.kind) * (spec.length ?? 1) : 8;
}

/** A batch of these rows. A text that a row lacks is undefined; a number it lacks is 0. */
export function testBatch(source: DataSource, rows: readonly TestRow[]): Batch {
  const tails = rows.map((row) => source.fields.map((field) => tailOf(field, row[field.fullName])));
  const tailSize = tails.flat().reduce((sum, tail) => sum + (tail?.length ?? 0), 0);
  const batch = new Batch(rows.length * (source.recordSize + 8) + tailSize, Math.max(rows.length, 1));
  let at = OFFSETS_SIZE_BYTES;
  rows.forEach((row, i) => {
    batch.offsets[i] = at;
    let tailAt = source.recordSize;
    source.fields.forEach((field, f) => {
      const { location } = field;
      if (location.in === 'record')
        writeFixed(batch, at + location.offset, field, row[field.fullName], location.size);
      if (location.in !== 'tail') return;
      const tail = tails[i]![f];
      batch.view.setUint32(at + location.offset, tailAt, true);
      batch.view.setUint32(at + location.offset + 4, tail?.length ?? 0xffff_ffff, true);
      batch.bytes.set(tail ?? [], at + tailAt);
      tailAt += tail?.length ?? 0;
    });
    at = Math.ceil((at + tailAt) / 8) * 8;
  });
  batch.offsets[rows.length] = at;
  batch.reset(rows.length);
  return batch;
}

function tailOf(field: Field, value: TestValue): Uint8Array | undefined {
  if (field.location.in !== 'tail' || value === undefined) return undefined;
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return Buffer.from(value.map((text) => `${String(text)}\0`).join(''));
  return Buffer.from(String(value as string));
}

function writeFixed(batch: Batch, at: number, field: Field, value: TestValue, size: number): void {
  if (value === undefined) return;
  if (field.kind === 'cstring') {
    batch.bytes.set(
      (value instanceof Uint8Array ? value : Buffer.from(String(value as string))).subarray(0, size),
      at,
    );
    return;
  }
  const values = Array.isArray(value) ? (value as number[]) : [value as number];
  values.forEach((one, i) => writeNumber(batch.view, at + (i * size) / field.length, field.kind, one));
}

function writeNumber(view: DataView, at: number, kind: Kind, value: number | bigint | boolean): void {
  if (kind === 'float32') view.setFloat32(at, Number(value), true);
  else if (kind === 'float64') view.setFloat64(at, Number(value), true);
  else if (kind === 'uint64' || kind === 'int64')
    view.setBigInt64(at, BigInt.asIntN(64, BigInt(value)), true);
  else if (kind === 'uint32' || kind === 'int32') view.setInt32(at, Number(value) | 0, true);
  else if (kind === 'uint16' || kind === 'int16') view.setInt16(at, Number(value), true);
  else view.setInt8(at, Number(value));
}

/** What an output writes for a batch. */
export function written(output: Output, batch: Batch, rows?: Uint32Array): string {
  const writer = new ByteWriter(16);
  output.write(batch, writer, rows);
  return Buffer.from(writer.written).toString();
}

/** What an output writes before the first batch. */
export function headerOf(output: Output): string {
  const writer = new ByteWriter(16);
  output.header(writer);
  return Buffer.from(writer.written).toString();
}
