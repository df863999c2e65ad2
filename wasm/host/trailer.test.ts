// What stands behind a batch's records for a module to read.

import { describe, expect, it } from 'vitest';
import { type Batch, Column, OFFSETS_SIZE_BYTES } from '../../runtime/data/batch.js';
import { DataSource } from '../../runtime/data/data-source.js';
import type { Field } from '../../runtime/data/field.js';
import { GuestError } from './errors.js';
import { batchOf } from './testing.js';
import { TrailerWriter } from './trailer.js';

const RECORDS = OFFSETS_SIZE_BYTES;
const three = (): Batch => batchOf([Buffer.alloc(8, 1), Buffer.alloc(16, 2), Buffer.alloc(8, 3)]);
const END = RECORDS + 32;

/** The 32-bit words from `at` on. */
function words(bytes: Uint8Array, at: number, count: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Array.from({ length: count }, (_, i) => view.getUint32(at + 4 * i, true));
}

function textColumn(texts: readonly string[], defined?: readonly number[]): Column {
  const offsets = new Uint32Array(texts.length + 1);
  texts.forEach((text, i) => (offsets[i + 1] = offsets[i]! + text.length));
  const mask = defined === undefined ? undefined : Uint8Array.from(defined);
  return new Column('string', new Uint8Array(Buffer.from(texts.join(''))), offsets, mask);
}

/** A data source with an array of numbers in column 0 and a text in column 1. */
function columns(): [pair: Field, text: Field] {
  const source = new DataSource('any', 'single', 8);
  return [
    source.addColumn({ fullName: 'pair', kind: 'uint16', length: 2 }).field,
    source.addColumn({ fullName: 'text', kind: 'string' }).field,
  ];
}

describe('a batch for a module', () => {
  it('has an empty trailer, in place, when it reads only records', () => {
    const batch = three();
    const bytes = new TrailerWriter([]).write(batch);
    expect(bytes.buffer).toBe(batch.bytes.buffer);
    expect(bytes).toHaveLength(END + 8);
    expect(words(bytes, END, 2)).toEqual([0, 0]);
    expect([...bytes.subarray(RECORDS, END)]).toEqual([...batch.bytes.subarray(RECORDS, END)]);
  });

  it('says which records were dropped before', () => {
    const batch = three();
    batch.keep[1] = 0;
    const bytes = new TrailerWriter([]).write(batch);
    expect(words(bytes, END, 2)).toEqual([END + 8, 0]);
    expect([...bytes.subarray(END + 8)]).toEqual([1, 0, 1]);
  });

  it('is copied when there is no room behind its records', () => {
    const batch = batchOf([Buffer.alloc(8, 1), new Uint8Array(8)]);
    const end = batch.offsets[2]!;
    // As when a ring had filled the batch up to its last byte.
    Object.defineProperty(batch, 'bytes', { value: batch.bytes.subarray(0, end) });
    const writer = new TrailerWriter([]);
    for (let i = 0; i < 2; i++) {
      const bytes = writer.write(batch);
      expect(bytes).toHaveLength(end + 8);
      expect(words(bytes, end, 2)).toEqual([0, 0]);
      expect([...bytes.subarray(RECORDS, end)]).toEqual([...batch.bytes.subarray(RECORDS, end)]);
    }
  });

  it('has the columns that the module reads, in its order', () => {
    const [pair, text] = columns();
    const batch = three();
    batch.columns[0] = new Column(
      'uint16',
      new Uint8Array(Uint16Array.of(1, 2, 3, 4, 5, 6).buffer),
      undefined,
      undefined,
      2,
    );
    batch.columns[1] = textColumn(['a', '', 'é'.repeat(50)], [1, 0, 1]);
    const bytes = new TrailerWriter([text, pair]).write(batch);
    expect(words(bytes, END, 2)).toEqual([0, 2]);
    const [textAt, textSize, textDefined, pairAt, pairSize, pairDefined] = words(bytes, END + 8, 6);
    expect([textAt! % 8, pairAt! % 8]).toEqual([0, 0]);
    expect(words(bytes, textAt!, 4)).toEqual([0, 1, 1, 51]);
    expect(Buffer.from(bytes.subarray(textAt! + 16, textAt! + textSize!)).toString('latin1')).toBe(
      Buffer.from(`a${'é'.repeat(50)}`).toString('latin1', 0, 51),
    );
    expect([...bytes.subarray(textDefined, textDefined! + 3)]).toEqual([1, 0, 1]);
    expect([pairSize, pairDefined]).toEqual([12, 0]);
    expect([...new Uint16Array(bytes.slice(pairAt, pairAt! + 12).buffer)]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('has no values of dropped records, and none of a batch before', () => {
    const [pair, text] = columns();
    const writer = new TrailerWriter([pair, text]);
    const batch = three();
    batch.columns[0] = new Column('uint16', new Uint8Array(12).fill(9), undefined, undefined, 2);
    batch.columns[1] = textColumn(['one', 'two', 'three']);
    writer.write(batch);
    batch.keep[1] = 0;
    const bytes = writer.write(batch);
    const [keep, , pairAt, , defined, textAt, textSize] = words(bytes, END, 8);
    expect([...bytes.subarray(keep, keep! + 3)]).toEqual([1, 0, 1]);
    expect([...bytes.subarray(pairAt, pairAt! + 12)]).toEqual([9, 9, 9, 9, 0, 0, 0, 0, 9, 9, 9, 9]);
    expect([...bytes.subarray(defined, defined! + 3)]).toEqual([1, 0, 1]);
    expect(Buffer.from(bytes.subarray(textAt! + 16, textAt! + textSize!)).toString()).toBe('onethree');
    batch.columns.length = 0;
    expect(words(writer.write(batch), END + 4, 7)).toEqual([2, 0, 0, 0, 0, 0, 0]);
  });

  it('has the first 64 KiB of a longer value, and is refused when all are too much', () => {
    const source = new DataSource('any', 'single', 8);
    const locate: Parameters<typeof source.addField>[0]['location'] = {
      in: 'derived',
      locate: (_, row, span) => {
        const bytes = new Uint8Array(row === 0 ? 100_000 : 65_536);
        span.set(bytes, new DataView(bytes.buffer), 0, bytes.length);
        return true;
      },
    };
    const long = source.addField({ fullName: 'long', kind: 'string', location: locate });
    const writer = new TrailerWriter([long]);
    const bytes = writer.write(batchOf([Buffer.alloc(8)]));
    const [at, size] = words(bytes, RECORDS + 16, 2);
    expect(words(bytes, at!, 2)).toEqual([0, 65_536]);
    expect(size).toBe(8 + 65_536);
    const many = batchOf(Array.from({ length: 128 }, () => Buffer.alloc(8)));
    expect(() => writer.write(many)).toThrow(GuestError);
    expect(() => writer.write(many)).toThrow(
      "the fields that the gadget's Wasm module reads take more than 8 MiB for a batch",
    );
  });
});
