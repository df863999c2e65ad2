// What a patch does to a batch, and which patches are refused.

import { describe, expect, it } from 'vitest';
import type { Batch } from '../../runtime/data/batch.js';
import { Span } from '../../runtime/data/batch.js';
import { PatchError } from './errors.js';
import { type PatchColumn, applyPatch } from './patch.js';
import { batchOf } from './testing.js';

const NUMBER: PatchColumn = { name: 'number', column: 0, kind: 'int32' };
const TEXT: PatchColumn = { name: 'text', column: 1, kind: 'string' };
const COLUMNS = [NUMBER, TEXT];

/** Where things stand in the patch of `good`, for three records. */
const KEEP = 40;
const NUMBERS = 48;
const DEFINED = 64;
const TEXTS = 72;
const TEXT_BYTES = TEXTS + 16;
const SIZE = TEXT_BYTES + 8;

function batch(): Batch {
  return batchOf([Buffer.alloc(8), Buffer.alloc(8), Buffer.alloc(8)]);
}

/** A patch that drops the second record, sets numbers for the first and last, and texts for all. */
function good(): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(SIZE);
  const view = new DataView(bytes.buffer);
  [1, 3, KEEP, 2, NUMBERS, 12, DEFINED, TEXTS, 24, 0].forEach((word, i) => view.setUint32(4 * i, word, true));
  bytes.set([1, 0, 1], KEEP);
  bytes.set([1, 0, 1], DEFINED);
  [7, -8, -9].forEach((value, i) => view.setInt32(NUMBERS + 4 * i, value, true));
  [0, 2, 2, 8].forEach((offset, i) => view.setUint32(TEXTS + 4 * i, offset, true));
  bytes.set(Buffer.from('abcdefgh'), TEXT_BYTES);
  return { bytes, view };
}

function textOf(batch: Batch, column: number, row: number): string | undefined {
  const span = new Span();
  if (batch.columns[column]?.locate(row, span) !== true) return undefined;
  return Buffer.from(span.bytes.subarray(span.start, span.end)).toString();
}

describe('applyPatch', () => {
  it('drops records and sets columns without copying', () => {
    const target = batch();
    const { bytes } = good();
    applyPatch(bytes, target, COLUMNS);
    expect([...target.keep.subarray(0, 3)]).toEqual([1, 0, 1]);
    const span = new Span();
    expect(target.columns[0]!.locate(2, span)).toBe(true);
    expect(span.view.getInt32(span.start, true)).toBe(-9);
    expect(target.columns[0]!.locate(1, span)).toBe(false);
    expect([0, 1, 2].map((row) => textOf(target, 1, row))).toEqual(['ab', '', 'cdefgh']);
    expect(target.columns[1]!.bytes.buffer).toBe(bytes.buffer);
  });

  it('does not bring back what was dropped before', () => {
    const target = batch();
    target.keep[0] = 0;
    applyPatch(good().bytes, target, COLUMNS);
    expect([...target.keep.subarray(0, 3)]).toEqual([0, 0, 1]);
  });

  it('takes an empty patch for no change', () => {
    const target = batch();
    applyPatch(new Uint8Array(0), target, COLUMNS);
    expect(target.kept()).toBe(3);
    expect(target.columns).toHaveLength(0);
  });

  it('takes position 0 for all kept, no values, all defined', () => {
    const target = batch();
    const { bytes, view } = good();
    [8, 16, 36].forEach((at) => view.setUint32(at, 0, true));
    applyPatch(bytes, target, COLUMNS);
    expect(target.kept()).toBe(3);
    expect(target.columns[0]).toBeUndefined();
    expect(target.columns[1]!.defined).toBeUndefined();
  });

  const bad: [string, (view: DataView) => void, RegExp][] = [
    ['another version', (v) => v.setUint32(0, 2, true), /version 2, but 1/],
    ['another number of events', (v) => v.setUint32(4, 4, true), /number of events 4, but 3/],
    ['another number of columns', (v) => v.setUint32(12, 1, true), /number of columns 1, but 2/],
    ['a mask behind the end', (v) => v.setUint32(8, SIZE - 2, true), /mask of 3 bytes/],
    ['a mask far behind the end', (v) => v.setUint32(8, 0xffffffff, true), /mask of 3 bytes/],
    ['a column that is not aligned', (v) => v.setUint32(16, NUMBERS + 4, true), /multiple of 8/],
    ['a column behind the end', (v) => v.setUint32(16, SIZE - 8, true), /lie in the patch/],
    ['a column far behind the end', (v) => v.setUint32(16, 0xfffffff8, true), /lie in the patch/],
    [
      'too few values',
      (v) => v.setUint32(20, 8, true),
      /8 bytes in column number, but 3 values of int32 need 12/,
    ],
    ['too many values', (v) => v.setUint32(20, 16, true), /16 bytes in column number/],
    ['a size of values behind the end', (v) => v.setUint32(32, 0xffffffff, true), /lie in the patch/],
    ['defined bytes behind the end', (v) => v.setUint32(24, SIZE - 1, true), /mask of column number/],
    ['text without room for offsets', (v) => v.setUint32(32, 15, true), /its offsets alone take 16/],
    ['an offset that goes back', (v) => v.setUint32(TEXTS + 4, 3, true), /goes back, at event 2/],
    [
      'a last offset behind the text',
      (v) => v.setUint32(TEXTS + 12, 9, true),
      /offset 9 in column text, which has 8/,
    ],
    [
      'a first offset behind the others',
      (v) => v.setUint32(TEXTS, 0xffffffff, true),
      /goes back, at event 1/,
    ],
  ];
  it.each(bad)('refuses %s, and leaves the batch alone', (_, spoil, message) => {
    const { bytes, view } = good();
    spoil(view);
    const target = batch();
    expect(() => applyPatch(bytes, target, COLUMNS)).toThrow(message);
    expect(() => applyPatch(bytes, target, COLUMNS)).toThrow(PatchError);
    expect(target.kept()).toBe(3);
    expect(target.columns).toHaveLength(0);
  });

  it('refuses every patch that is cut short', () => {
    const { bytes } = good();
    for (let size = 1; size < SIZE; size++) {
      expect(() => applyPatch(bytes.subarray(0, size), batch(), COLUMNS)).toThrow(PatchError);
    }
  });

  it('refuses a column of another data source', () => {
    expect(() => applyPatch(good().bytes, batch(), [undefined, TEXT])).toThrow(
      /column of another data source/,
    );
  });

  it('never sets a column that leads outside the patch, whatever the patch', () => {
    let seed = 42;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      return (seed >> 8) % below;
    };
    const span = new Span();
    let outside = 0;
    let applied = 0;
    for (let run = 0; run < 5000; run++) {
      const { bytes } = good();
      for (let i = 0; i < 3; i++) bytes[random(SIZE)] = random(256);
      const target = batch();
      try {
        applyPatch(bytes, target, COLUMNS);
      } catch (error) {
        if (error instanceof PatchError) continue;
        throw error;
      }
      applied++;
      for (const column of target.columns) {
        for (let row = 0; row < 3; row++) {
          if (column?.locate(row, span) === true && (span.end > span.bytes.length || span.end < span.start))
            outside++;
        }
      }
    }
    expect(outside).toBe(0);
    expect(applied).toBeGreaterThan(100);
    expect(applied).toBeLessThan(4900);
  });
});
