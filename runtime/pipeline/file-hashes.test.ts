import { describe, expect, it } from 'vitest';
import { Batch, OFFSETS_SIZE_BYTES, Span } from '../data/batch.js';
import { locatorOf } from '../data/field.js';
import { type DataSourceSpec, type RecordFieldSpec, makeDataSource } from '../data/spec.js';
import type { FileToHash, HashOutcome } from '../hashing/file.js';
import { FileHashes } from './file-hashes.js';
import { HashTable } from './hash-table.js';
import { HOLD_MS } from './hold.js';

const RECORD_BYTES = 56;

function field(
  fullName: string,
  kind: RecordFieldSpec['kind'],
  offset: number,
  ...tags: string[]
): RecordFieldSpec {
  const [place, size] =
    kind === 'string' ? (['tail', 8] as const) : (['record', kind === 'uint64' ? 8 : 4] as const);
  return { fullName, kind, place, offset, size, length: 1, tags, annotations: {} };
}

const REQUEST = {
  'filehash.target': 'sum',
  'filehash.major': 'major',
  'filehash.minor': 'minor',
  'filehash.inode': 'inode',
  'filehash.ctime': 'ctime',
};

function specOf(request: Readonly<Record<string, string>> = REQUEST): DataSourceSpec {
  return {
    ...{ name: 'exec', type: 'single', recordSize: RECORD_BYTES, annotations: {} },
    fieldAnnotations: { path: request, inode: { 'value.undefined': '0' }, sum: { description: 'Hash' } },
    fields: [
      field('mntns', 'uint64', 0, 'type:gadget_mntns_id'),
      field('inode', 'uint64', 8),
      field('ctime', 'uint64', 16),
      field('major', 'uint32', 24),
      field('minor', 'uint32', 28),
      field('pid', 'uint32', 32, 'type:gadget_pid'),
      field('ppid', 'uint32', 36, 'type:gadget_ppid'),
      field('path', 'string', 40),
    ],
  };
}

interface TestEvent {
  readonly inode: number;
  readonly ctime?: bigint;
  readonly mntns?: number;
}

/** Events whose pids are their numbers, with paths `/NUMBER`. */
function batchOf(...events: readonly TestEvent[]): Batch {
  const batch = new Batch(events.length * 64);
  events.forEach(({ inode, ctime = 5n, mntns = 1 }, row) => {
    const at = OFFSETS_SIZE_BYTES + row * 64;
    batch.offsets[row] = at;
    batch.view.setBigUint64(at, BigInt(mntns), true);
    batch.view.setBigUint64(at + 8, BigInt(inode), true);
    batch.view.setBigUint64(at + 16, ctime, true);
    batch.view.setUint32(at + 24, 8, true);
    batch.view.setUint32(at + 28, 1, true);
    batch.view.setUint32(at + 32, row, true);
    batch.view.setUint32(at + 36, 99, true);
    batch.view.setUint32(at + 40, RECORD_BYTES, true);
    batch.view.setUint32(at + 44, 2, true);
    batch.bytes.set(Buffer.from(`/${row}`), at + RECORD_BYTES);
  });
  batch.offsets[events.length] = OFFSETS_SIZE_BYTES + events.length * 64;
  batch.reset(events.length);
  return batch;
}

function setUp(): {
  hashes: FileHashes;
  asked: FileToHash[];
  settle: (file: FileToHash, outcome: HashOutcome) => void;
  /** Pids and hashes of a batch's events. */
  show: (batch: Batch | undefined) => [number, string | undefined][];
} {
  const source = makeDataSource(specOf());
  const table = new HashTable();
  const asked: FileToHash[] = [];
  const hashes = FileHashes.of(source, { table, ask: (file) => asked.push(file) })!;
  const span = new Span();
  const locate = locatorOf(source.field('sum')!);
  const show = (batch: Batch | undefined): [number, string | undefined][] =>
    Array.from({ length: batch?.count ?? 0 }, (_, row): [number, string | undefined] => [
      batch!.view.getUint32(batch!.offsets[row]! + 32, true),
      locate(batch!, row, span)
        ? Buffer.from(span.bytes.subarray(span.start, span.end)).toString()
        : undefined,
    ]).filter((_, row) => batch!.keep[row] === 1);
  return { hashes, asked, show, settle: (file, outcome) => table.settle({ ...file, ...outcome }) };
}

describe('events with files', () => {
  it('wait until their files are hashed, each file once, and have the hashes then', () => {
    const { hashes, asked, settle, show } = setUp();
    const batch = batchOf({ inode: 2 ** 33 }, { inode: 2 ** 33 }, { inode: 0 });
    expect(hashes.hold(batch, 0)).toBe(3);
    expect(asked).toMatchObject([{ major: 8, minor: 1, inode: 2n ** 33n, ctimeNs: 5n, pids: [0, 99] }]);
    expect(Buffer.from(asked[0]!.path).toString()).toBe('/0');
    expect(hashes.release(10)).toBeUndefined();
    settle(asked[0]!, { sha256: 'abc' });
    expect(show(hashes.release(10))).toEqual([[0, 'abc'], [1, 'abc'], [2, undefined]]); // prettier-ignore
    expect(hashes.hold(batchOf({ inode: 2 ** 33 }, { inode: 0 }), 20)).toBe(0);
    expect(asked).toHaveLength(1);
  });

  it('keep their order within a mount namespace, and do not wait for others', () => {
    const { hashes, asked, settle, show } = setUp();
    hashes.hold(batchOf({ inode: 7 }), 0);
    settle(asked[0]!, { sha256: 'seven' });
    hashes.release(0);
    const batch = batchOf({ inode: 8 }, { inode: 7 }, { inode: 7, mntns: 2 }, { inode: 9 });
    expect(hashes.hold(batch, 0)).toBe(3);
    expect(show(batch)).toEqual([[2, 'seven']]);
    settle(asked[2]!, { sha256: 'nine' });
    expect(hashes.release(0)).toBeUndefined();
    settle(asked[1]!, { sha256: 'eight' });
    expect(show(hashes.release(0))).toEqual([[0, 'eight'], [1, 'seven'], [3, 'nine']]); // prettier-ignore
    expect(hashes.holding).toBe(false);
    expect(hashes.hold(batchOf({ inode: 7 }), 0)).toBe(0);
  });

  it('go on without a hash when they have waited long enough, or too many wait', () => {
    const { hashes, asked, settle, show } = setUp();
    const batch = batchOf({ inode: 7 });
    hashes.hold(batch, 100);
    expect(hashes.release(100 + HOLD_MS - 1)).toBeUndefined();
    const late = hashes.release(100 + HOLD_MS)!;
    expect(hashes.failureOf(late, 0)).toBe('busy');
    expect(show(late)).toEqual([[0, undefined]]);
    let held = 0;
    while (hashes.hold(batchOf({ inode: 7 }), 100) === 1) held++;
    expect(held).toBeGreaterThan(100);
    settle(asked[0]!, { sha256: 'late' });
    const next = batchOf({ inode: 7 });
    // Behind those that wait, but for want of room not without its hash.
    expect(hashes.hold(next, 100)).toBe(0);
    expect(show(next)).toEqual([[0, 'late']]);
  });

  it('have their files looked for again when another process executes them, unless they are too large', () => {
    const { hashes, asked, settle } = setUp();
    hashes.hold(batchOf({ inode: 7 }, { inode: 8 }), 0);
    settle(asked[0]!, { failure: 'gone' });
    settle(asked[1]!, { failure: 'tooLarge' });
    const released = hashes.release(0)!;
    expect([0, 1].map((row) => hashes.failureOf(released, row))).toEqual(['gone', 'tooLarge']);
    expect(hashes.hold(batchOf({ inode: 8 }), 0)).toBe(0);
    expect(hashes.hold(batchOf({ inode: 7 }), 0)).toBe(1);
    expect(asked.map(({ inode }) => inode)).toEqual([7n, 8n, 7n]);
  });

  it('have a file hashed anew when its ctime is another, or may be made up', () => {
    const { hashes, asked, settle, show } = setUp();
    const at = (ctime: bigint, nowMs: number): number => hashes.hold(batchOf({ inode: 7, ctime }), nowMs);
    const wholeSecond = 1_700_000_000_000_000_000n;
    for (const ctime of [1n, 2n, wholeSecond]) {
      expect(at(ctime, 0)).toBe(1);
      settle(asked.at(-1)!, { sha256: `of ${ctime}` });
      expect(show(hashes.release(0))).toEqual([[0, `of ${ctime}`]]);
      expect(at(ctime, 5000)).toBe(0);
    }
    expect(at(1n, 1e9)).toBe(0);
    expect(at(wholeSecond, 1e9)).toBe(1);
  });

  it('remember a bounded number of files, those that were used last', () => {
    const { hashes, asked, settle } = setUp();
    /** Returns how many of the files had to be hashed. */
    const run = (first: number, count = 1): number => {
      const before = asked.length;
      const batch = batchOf(...Array.from({ length: count }, (_, i) => ({ inode: first + i })));
      hashes.hold(batch, 0);
      for (const file of asked.slice(before)) settle(file, { sha256: 'x' });
      hashes.release(0);
      return asked.length - before;
    };
    run(1);
    for (let first = 2; first <= 20_000; first += 100) {
      expect(run(first, 100)).toBe(100);
      expect(run(1)).toBe(0);
    }
    expect(run(19_900, 100)).toBe(0);
    expect(run(10, 100)).toBe(100);
  });
});

describe('gadget.yaml', () => {
  it.each([
    [{ ...REQUEST, 'filehash.inode': 'nothing' }, 'filehash.inode of field path must name'],
    [{ ...REQUEST, 'filehash.minor': 'ctime' }, 'a number of 4 bytes, and not ctime'],
    [{ 'filehash.target': 'sum' }, 'and not nothing'],
  ])('is told what it names wrongly: %j', (request, sentence) => {
    expect(() => FileHashes.of(makeDataSource(specOf(request)), undefined)).toThrow(sentence);
  });
});
