// What a patch does to a batch, and which patches are refused.

import { describe, expect, it } from 'vitest';
import type { Batch } from '../../runtime/data/batch.js';
import { Span } from '../../runtime/data/batch.js';
import { PatchError } from './errors.js';
import { type Patch, type PatchColumn, type PatchSource, applyPatch, readPatch } from './patch.js';
import { batchOf } from './testing.js';

const NUMBER: PatchColumn = { name: 'number', column: 0, kind: 'int32', length: 1 };
const TEXT: PatchColumn = { name: 'text', column: 1, kind: 'string', length: 1 };
const COLUMNS = [NUMBER, TEXT];

/** Where things stand in the patch of `good`, for three records. */
const KEEP = 48;
const NUMBERS = 56;
const DEFINED = 72;
const TEXTS = 80;
const TEXT_BYTES = TEXTS + 16;
const SIZE = TEXT_BYTES + 8;

function batch(): Batch {
  return batchOf([Buffer.alloc(8), Buffer.alloc(8), Buffer.alloc(8)]);
}

/** A patch that drops the second record, sets numbers for the first and last, and texts for all. */
function good(): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(SIZE);
  const view = new DataView(bytes.buffer);
  [1, 3, KEEP, 2, 0, 0, NUMBERS, 12, DEFINED, TEXTS, 24, 0].forEach((word, i) =>
    view.setUint32(4 * i, word, true),
  );
  bytes.set([1, 0, 1], KEEP);
  bytes.set([1, 0, 1], DEFINED);
  [7, -8, -9].forEach((value, i) => view.setInt32(NUMBERS + 4 * i, value, true));
  [0, 2, 2, 8].forEach((offset, i) => view.setUint32(TEXTS + 4 * i, offset, true));
  bytes.set(Buffer.from('abcdefgh'), TEXT_BYTES);
  return { bytes, view };
}

/** Reads a patch without new data sources, and applies it. */
function patch(bytes: Uint8Array, target: Batch, columns: (PatchColumn | undefined)[] = COLUMNS): void {
  applyPatch(readPatch(bytes, target.count, columns, []), target, columns);
}

function textOf(batch: Batch, column: number, row: number): string | undefined {
  const span = new Span();
  if (batch.columns[column]?.locate(row, span) !== true) return undefined;
  return Buffer.from(span.bytes.subarray(span.start, span.end)).toString();
}

describe('a patch of a batch', () => {
  it('drops records and sets columns without copying', () => {
    const target = batch();
    const { bytes } = good();
    patch(bytes, target);
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
    patch(good().bytes, target);
    expect([...target.keep.subarray(0, 3)]).toEqual([0, 0, 1]);
  });

  it('takes an empty patch for no change', () => {
    const target = batch();
    patch(new Uint8Array(0), target);
    expect(target.kept()).toBe(3);
    expect(target.columns).toHaveLength(0);
  });

  it('takes position 0 for all kept, no values, all defined', () => {
    const target = batch();
    const { bytes, view } = good();
    [8, 24, 44].forEach((at) => view.setUint32(at, 0, true));
    patch(bytes, target);
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
    ['a column that is not aligned', (v) => v.setUint32(24, NUMBERS + 4, true), /multiple of 8/],
    ['a column behind the end', (v) => v.setUint32(24, SIZE - 8, true), /lie in the patch/],
    ['a column far behind the end', (v) => v.setUint32(24, 0xfffffff8, true), /lie in the patch/],
    [
      'too few values',
      (v) => v.setUint32(28, 8, true),
      /8 bytes in column number, but 3 values of int32 need 12/,
    ],
    ['too many values', (v) => v.setUint32(28, 16, true), /16 bytes in column number/],
    ['a size of values behind the end', (v) => v.setUint32(40, 0xffffffff, true), /lie in the patch/],
    ['defined bytes behind the end', (v) => v.setUint32(32, SIZE - 1, true), /mask of column number/],
    ['text without room for offsets', (v) => v.setUint32(40, 15, true), /its offsets alone take 16/],
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
    expect(() => patch(bytes, target)).toThrow(message);
    expect(() => patch(bytes, target)).toThrow(PatchError);
    expect(target.kept()).toBe(3);
    expect(target.columns).toHaveLength(0);
  });

  it('refuses every patch that is cut short', () => {
    const { bytes } = good();
    for (let size = 1; size < SIZE; size++) {
      expect(() => patch(bytes.subarray(0, size), batch())).toThrow(PatchError);
    }
  });

  it('refuses a column of another data source', () => {
    expect(() => patch(good().bytes, batch(), [undefined, TEXT])).toThrow(/column of another data source/);
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
        patch(bytes, target);
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

/** Builds a patch word by word; what is put is aligned to 8 bytes, and its position returned. */
class Bytes {
  private readonly parts: Buffer[] = [];
  private size = 0;

  put(part: Uint8Array | readonly number[]): number {
    const position = this.size;
    const bytes = part instanceof Uint8Array ? Buffer.from(part) : words(part);
    this.parts.push(bytes, Buffer.alloc(-bytes.length & 7));
    this.size += (bytes.length + 7) & ~7;
    return position;
  }

  whole(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.parts));
  }
}

function words(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => bytes.writeUInt32LE(value >>> 0, 4 * i));
  return bytes;
}

const ALERTS: PatchSource = {
  name: 'alerts',
  columns: [
    { name: 'pair', column: 0, kind: 'uint16', length: 2 },
    { name: 'why', column: 1, kind: 'string', length: 1 },
  ],
};
const HEADER = 24;

/** The patch of a tick: two events to `alerts`, then lines. */
function spoken(edit: { blocks?: number[]; log?: number[] } = {}): Uint8Array {
  // Everything but the header has a known size, so that positions can be written down.
  const pairs = HEADER;
  const whys = pairs + 8;
  const defined = whys + 16;
  const text = defined + 8;
  const blocks = text + 8;
  const blockWords = edit.blocks ?? [1, 0, 0, 2, pairs, 8, 0, whys, 15, defined];
  const log = blocks + 4 * (blockWords.length + (blockWords.length % 2));
  const bytes = new Bytes();
  bytes.put([1, 0, 0, 0, blocks, log]);
  bytes.put(Buffer.from(Uint16Array.of(1, 2, 3, 4).buffer));
  bytes.put(Buffer.concat([words([0, 2, 3]), Buffer.from('xyz')]));
  bytes.put(Uint8Array.of(1, 0));
  bytes.put(Buffer.from('a\x1b[31m'));
  bytes.put(blockWords);
  bytes.put(edit.log ?? [2, 3, text, 6, 0, text, 1]);
  return bytes.whole();
}

const said = (bytes: Uint8Array): Patch => readPatch(bytes, 0, [], [ALERTS]);

describe('what a patch says beside its batch', () => {
  it('becomes batches of new events, and lines without control characters', () => {
    const { emitted, log } = said(spoken());
    expect(log).toEqual([
      { level: 3, text: 'a?[31m' },
      { level: 0, text: 'a' },
    ]);
    expect(emitted.map(({ source, batch }) => [source, batch.count, batch.kept()])).toEqual([[0, 2, 2]]);
    const { batch } = emitted[0]!;
    const span = new Span();
    expect(batch.columns[0]!.locate(1, span)).toBe(true);
    expect([...span.bytes.subarray(span.start, span.end)]).toEqual([3, 0, 4, 0]);
    expect([0, 1].map((row) => textOf(batch, 1, row))).toEqual(['xy', undefined]);
  });

  it('may be nothing', () => {
    expect(said(new Uint8Array(0))).toEqual({ keep: undefined, columns: [], emitted: [], log: [] });
    const { emitted, log } = said(spoken({ blocks: [0, 0], log: [0] }));
    expect([emitted, log]).toEqual([[], []]);
  });

  it('keeps blocks apart, and takes those without events for none', () => {
    const [none, one] = [
      [0, 0, 0, 0, 0, 0, 0, 0],
      [0, 1, 0, 0, 0, 0, 0, 0],
    ];
    const bytes = spoken({ blocks: [3, 0, ...one, ...none, ...one] });
    expect(said(bytes).emitted.map(({ batch }) => batch.count)).toEqual([1, 1]);
  });

  const [PAIRS, WHYS] = [24, 32];
  it.each<[string, { blocks?: number[]; log?: number[] }, RegExp]>([
    ['too many blocks', { blocks: [257, 0] }, /emits 257 blocks of events, but at most 256/],
    ['an unknown data source', { blocks: [1, 0, 1, 0] }, /data source number 1 of its plan, which has 1/],
    ['too many events in a block', { blocks: [1, 0, 0, 2049] }, /2049 events to alerts in one block/],
    ['more blocks than bytes', { blocks: [200, 0], log: [] }, /its emitted block \d+ of \d+ bytes at/],
    [
      'a column of the wrong size',
      { blocks: [1, 0, 0, 2, PAIRS, 4, 0, 0, 0, 0] },
      /4 bytes in column pair, but 4 values of uint16 need 8/,
    ],
    [
      'a column far outside',
      { blocks: [1, 0, 0, 2, 0xfffffff8, 8, 0, 0, 0, 0] },
      /column pair of 8 bytes at 4294967288, which must be a multiple of 8 and lie in the patch/,
    ],
    [
      'columns that overlap',
      { blocks: [2, 0, ...[0, 2, 0, 0, 0, WHYS, 96, 0], ...[0, 2, 0, 0, 0, WHYS, 96, 0]], log: [0] },
      /columns that overlap, such as why/,
    ],
    ['too many lines', { log: [65537] }, /logs 65537 lines, but at most 65536/],
    ['more lines than bytes', { log: [100] }, /its log of 1200 bytes at/],
    ['an unknown level', { log: [1, 5, 0, 0] }, /line of level 5, but the last is 4/],
    ['a line outside', { log: [1, 0, 144, 0xffffffff] }, /line 0 of the log of 4294967295 bytes at 144/],
  ])('is refused with %s', (_, edit, message) => {
    expect(() => said(spoken(edit))).toThrow(message);
    expect(() => said(spoken(edit))).toThrow(PatchError);
  });

  it('is refused when it would become too many events', () => {
    const blocks = [33, 0, ...Array.from({ length: 33 }, () => [0, 2048, 0, 0, 0, 0, 0, 0]).flat()];
    expect(() => said(spoken({ blocks }))).toThrow(
      'a patch emits 67584 events, but at most 65536 are allowed',
    );
  });

  it.each([
    ['emitted events', 16, 4, /emitted events .* multiple of 8/],
    ['emitted events', 16, 0xfffffff8, /emitted events .* lie in the patch/],
    ['log', 20, 2, /log .* multiple of 4/],
    ['log', 20, 0xfffffffc, /log .* lie in the patch/],
  ])('is refused when the %s are at a wrong place (byte %i: %i)', (_, at, position, message) => {
    const bytes = spoken();
    new DataView(bytes.buffer).setUint32(at, position, true);
    expect(() => said(bytes)).toThrow(message);
  });

  it('never leads outside the patch, whatever the patch', () => {
    let seed = 7;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      return (seed >> 8) % below;
    };
    const span = new Span();
    let read = 0;
    for (let run = 0; run < 5000; run++) {
      const bytes = spoken();
      for (let i = 0; i < 2; i++) bytes[random(bytes.length)] = random(256);
      let patch: Patch;
      try {
        patch = said(bytes);
      } catch (error) {
        if (error instanceof PatchError) continue;
        throw error;
      }
      read++;
      for (const { batch } of patch.emitted) {
        for (const column of batch.columns) {
          for (let row = 0; row < batch.count; row++) {
            if (column?.locate(row, span) !== true) continue;
            expect(span.end).toBeLessThanOrEqual(span.bytes.length);
            expect(span.start).toBeLessThanOrEqual(span.end);
          }
        }
      }
    }
    expect(read).toBeGreaterThan(100);
    expect(read).toBeLessThan(4900);
  });
});
