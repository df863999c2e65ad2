import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Batch, MAX_BATCH_BYTES } from '../data/batch.js';
import { RecordingError } from './errors.js';
import { FRAME, FRAME_HEAD_BYTES, type Frame } from './format.js';
import { pack, unpack } from './packed.js';
import { FrameReader, openRecording } from './reader.js';
import {
  batchOf,
  container,
  DB_NS,
  HEADER,
  HEADER_WITH_MODULE,
  HOST,
  MODULE,
  record,
  HASHED,
  recordAll,
  SOURCE,
  temporaryFile,
  WEB,
  WEB_NS,
} from './testing.js';
import { RecordingWriter } from './writer.js';

type Read = Frame & { readonly records?: readonly string[] };

/** All frames behind the header; those of batches with their records in hex. */
function framesOf(path: string): Read[] {
  const recording = openRecording(path);
  try {
    const reader = new FrameReader(recording.fd, recording.framesAt, recording.header.sources);
    const batch = new Batch(MAX_BATCH_BYTES);
    const frames: Read[] = [];
    for (let frame = reader.next(batch); frame !== undefined; frame = reader.next(batch))
      frames.push(frame.kind === 'batch' ? { ...frame, records: recordsOf(batch) } : frame);
    return frames;
  } finally {
    recording.close();
  }
}

function recordsOf(batch: Batch): string[] {
  return Array.from({ length: batch.count }, (_, row) =>
    Buffer.from(batch.bytes.subarray(batch.offsets[row], batch.offsets[row + 1])).toString('hex'),
  );
}

/** A copy of the recording with its bytes changed. */
function changed(path: string, change: (bytes: Buffer) => Uint8Array): string {
  const copy = temporaryFile();
  writeFileSync(copy, change(readFileSync(path)));
  return copy;
}

/** A frame as bytes. */
function frame(kind: number, payload: Uint8Array, size = payload.length): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUInt32LE(size);
  head[4] = kind;
  return Buffer.concat([head, payload]);
}

const appended = (path: string, ...frames: readonly Buffer[]): string =>
  changed(path, (bytes) => Buffer.concat([bytes, ...frames]));

describe('a recording', () => {
  it('gives back what was written, in its order', () => {
    const path = recordAll();
    const recording = openRecording(path);
    recording.close();
    expect(recording.header).toEqual(HEADER_WITH_MODULE);
    expect(Buffer.from(recording.module!)).toEqual(MODULE);
    expect(framesOf(path)).toEqual([
      { kind: 'start' },
      { kind: 'change', change: { kind: 'notContainer', mntns: HOST, sinceBootNs: 0, selected: true } },
      {
        kind: 'change',
        change: { kind: 'add', index: 0, mntns: WEB_NS, sinceBootNs: 0, selected: true, container: WEB },
      },
      { kind: 'names', of: 'users', names: new Map([[0, 'root']]) },
      ...HASHED.map((file) => ({ kind: 'hashed', file })),
      {
        kind: 'batch',
        source: 0,
        nowMs: 10.5,
        records: recordsOf(
          batchOf({ mntns: WEB_NS, comm: 'sh', args: '-c true' }, { mntns: HOST, comm: 'ls' }),
        ),
      },
      {
        kind: 'batch',
        source: 0,
        nowMs: 20,
        records: recordsOf(batchOf({ mntns: DB_NS, comm: 'db', uid: 7 })),
      },
      {
        kind: 'change',
        change: {
          ...{ kind: 'add', index: 1, mntns: DB_NS, sinceBootNs: 1, selected: true },
          container: container('db', DB_NS),
        },
      },
      { kind: 'release', source: 0, nowMs: 30 },
      { kind: 'change', change: { kind: 'leave', index: 0, untilBootNs: 5000 } },
      { kind: 'change', change: { kind: 'unknown', mntns: WEB_NS, sinceBootNs: 5000 } },
      { kind: 'change', change: { kind: 'remove', index: 0 } },
      { kind: 'names', of: 'groups', names: new Map([[0, 'wheel']]) },
      {
        kind: 'batch',
        source: 0,
        nowMs: 40,
        records: recordsOf(batchOf({ mntns: DB_NS, comm: 'db', args: 'second' })),
      },
      { kind: 'end', losses: new Map([['ring buffer full', 3]]) },
    ]);
  });

  it('is for its owner only, and is never written over another file', () => {
    const path = recordAll();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const link = join(dirname(path), 'link');
    symlinkSync(join(dirname(path), 'elsewhere'), link);
    for (const taken of [path, link])
      expect(() => record(() => undefined, { at: taken })).toThrow(
        `cannot record to ${taken}: there is such a file`,
      );
  });

  it('is whole up to where it was cut off, wherever that is', () => {
    const path = recordAll();
    const all = framesOf(path);
    const copy = changed(path, (bytes) => bytes);
    const recording = openRecording(path);
    const { framesAt } = recording;
    recording.close();
    let most = all.length;
    for (let size = statSync(path).size - 1; size >= 0; size--) {
      truncateSync(copy, size);
      if (size < framesAt) {
        expect(() => openRecording(copy)).toThrow(RecordingError);
        continue;
      }
      const frames = framesOf(copy);
      expect(frames).toEqual(all.slice(0, frames.length));
      expect([most, most - 1]).toContain(frames.length);
      most = frames.length;
    }
    expect(most).toBe(0);
  });

  it('ends where a machine that crashed has left zeros', () => {
    const path = recordAll();
    expect(framesOf(appended(path, Buffer.alloc(5000)))).toEqual(framesOf(path));
  });

  it('of a later version of ig is read as far as it is known', () => {
    const path = record((writer) => writer.start([]), {
      header: { ...HEADER, colour: 'blue', sources: [{ ...SOURCE, ...{ taste: 1 } }] } as typeof HEADER,
      end: false,
    });
    const more = appended(
      path,
      frame(200, Buffer.from('something new')),
      frame(FRAME.change, pack({ kind: 'renamed', index: 1 })),
      frame(FRAME.change, pack({ kind: 'remove', index: 1, reason: 'new' })),
    );
    expect(framesOf(more)).toEqual([
      { kind: 'start' },
      { kind: 'change', change: { kind: 'remove', index: 1 } },
    ]);
  });

  it.each([
    ['v1\n', 'v2\n', 'is of format 2, and this ig knows those up to 1; replay it with a newer ig'],
    ['v1\n', 'v0\n', 'is no recording'],
    ['v1\n', 'vv\n', 'is no recording'],
    ['ig-', 'IG-', 'is no recording'],
  ])('with %j made %j is refused', (from, to, message) => {
    const path = changed(recordAll(), (bytes) =>
      Buffer.from(bytes.toString('latin1').replace(from, to), 'latin1'),
    );
    expect(() => openRecording(path)).toThrow(`cannot replay ${path}: it ${message}`);
  });

  it('whose module is not the one it names is refused', () => {
    const path = changed(recordAll(), (bytes) => {
      bytes[bytes.indexOf(MODULE)]!++;
      return bytes;
    });
    expect(() => openRecording(path)).toThrow('its Wasm module is not the one it names');
  });

  it('must be a file', () => {
    const directory = temporaryFile();
    mkdirSync(directory);
    expect(() => openRecording(directory)).toThrow('it is no file');
    expect(() => openRecording('/no/such')).toThrow('cannot replay /no/such: there is no such file');
  });
});

describe('a header', () => {
  const field = SOURCE.fields[0]!;
  const withField = (change: object): object => ({
    sources: [{ ...SOURCE, fields: [{ ...field, ...change }] }],
  });

  it.each([
    ['a field outside of its record', withField({ offset: 44 })],
    ['a field smaller than its kind', withField({ size: 4 })],
    ['a list longer than its field', withField({ length: 2 })],
    ['a number in the tail', withField({ place: 'tail' })],
    ['a tail outside of its record', withField({ kind: 'string', place: 'tail', offset: 44 })],
    ['a name that breaks a line', withField({ fullName: 'a\nb' })],
    ['a name without end', withField({ fullName: 'a'.repeat(2000) })],
    ['a data source without a name', { sources: [{ ...SOURCE, name: '' }] }],
    ['an unknown kind', withField({ kind: 'int128' })],
    ['a negative offset', withField({ offset: -8 })],
    ['an offset that is no number', withField({ offset: '8' })],
    ['a marker that is no number', withField({ annotations: { 'value.undefined': 'x' } })],
    ['two fields of one name', { sources: [{ ...SOURCE, fields: [field, field] }] }],
    ['a huge record', { sources: [{ ...SOURCE, recordSize: 1e9 }] }],
    ['too many data sources', { sources: Array.from({ length: 65 }, () => SOURCE) }],
    ['no data sources', { sources: undefined }],
    ['no naming', { naming: 3 }],
  ])('with %s is refused', (_, change) => {
    const path = record(() => undefined, { header: { ...HEADER, ...change } });
    expect(() => openRecording(path)).toThrow(RecordingError);
  });
});

describe('a frame', () => {
  const header = (source: number, count: number, ...ends: readonly number[]): Buffer => {
    const bytes = Buffer.alloc(16 + ends.length * 4);
    bytes.writeUInt32LE(source, 0);
    bytes.writeUInt32LE(count, 4);
    ends.forEach((end, row) => bytes.writeUInt32LE(end, 16 + row * 4));
    return bytes;
  };
  const records = Buffer.alloc(96);

  it.each([
    ['of another data source', Buffer.concat([header(1, 2, 48, 96), records])],
    ['of no events', header(0, 0)],
    ['of more events than there may be', Buffer.concat([header(0, 1e6, 48, 96), records])],
    ['of more events than it has', Buffer.concat([header(0, 40, 48, 96), records])],
    ['that is longer than its events', Buffer.concat([header(0, 1, 48), records])],
    ['that is shorter than its events', Buffer.concat([header(0, 2, 48, 104), records])],
    ['with an event that is too short', Buffer.concat([header(0, 2, 40, 96), records])],
    ['with an event that ends before it begins', Buffer.concat([header(0, 2, 96, 48), records])],
    ['with an event of a crooked length', Buffer.concat([header(0, 2, 49, 97), records, Buffer.alloc(1)])],
    ['without a head', Buffer.alloc(8)],
  ])('of events %s is refused', (_, payload) => {
    const path = record(() => undefined, { end: false });
    expect(
      framesOf(appended(path, frame(FRAME.batch, Buffer.concat([header(0, 2, 48, 96), records])))),
    ).toHaveLength(1);
    expect(() => framesOf(appended(path, frame(FRAME.batch, payload)))).toThrow(RecordingError);
  });

  it.each([NaN, -1, 1e18, Infinity])('of events at the time %d is refused', (nowMs) => {
    const path = record((writer) => writer.batch(0, batchOf({ mntns: HOST, comm: 'ls' }), nowMs));
    expect(() => framesOf(path)).toThrow('a batch of events in it has no time');
  });

  it('that claims to be long takes no memory', () => {
    const path = record(() => undefined, { end: false });
    for (const kind of Object.values(FRAME))
      expect(framesOf(appended(path, frame(kind, Buffer.alloc(64), 0xffff_fff0)))).toEqual([]);
  });

  it('of names, a change or an end that is not one is refused', () => {
    const path = record(() => undefined, { end: false });
    const wrong: readonly [number, unknown][] = [
      [FRAME.names, { of: 'dogs', names: [] }],
      [FRAME.names, { of: 'users', names: [1] }],
      [FRAME.change, { kind: 'add', index: 1, mntns: 1, sinceBootNs: 0, selected: true }],
      [FRAME.change, { kind: 'leave', index: 1.5, untilBootNs: 0 }],
      [FRAME.release, { source: 1, nowMs: 0 }],
      [FRAME.release, { source: 0, nowMs: NaN }],
      [FRAME.release, { source: 0, nowMs: 1e18 }],
      [FRAME.end, { losses: { x: 'many' } }],
      [FRAME.end, [1]],
    ];
    for (const [kind, value] of wrong)
      expect(() => framesOf(appended(path, frame(kind, pack(value as object))))).toThrow(RecordingError);
  });
});

describe('what is packed', () => {
  it('comes back as it was', () => {
    const value = { a: [1, -1, 2 ** 40, 1.5, 'grüße', true, null, {}], b: { 'c.d': 'x'.repeat(70_000) } };
    expect(unpack(pack(value))).toEqual(value);
  });

  it.each([
    ['nothing', ''],
    ['more than one value', '0101'],
    ['an extension', 'd40100'],
    ['a date', 'd6ff00000000'],
    ['a record definition of msgpackr', 'd4724093a161a162a163010203'],
    ['a list that claims to be long', 'ddffffffff'],
    ['a dictionary that claims to be long', 'dfffffffff'],
    ['a text that claims to be long', 'dbffffffff'],
    ['a list that ends before its last value', '9301'],
    ['lists in lists without end', '91'.repeat(100) + '01'],
    ['the byte that means nothing', 'c1'],
  ])('is refused when it is %s', (_, hex) => {
    expect(() => unpack(Buffer.from(hex, 'hex'))).toThrow(RecordingError);
  });

  it('is refused when few bytes would become much memory', () => {
    const nulls = Buffer.alloc(2 << 20, 0xc0);
    const list = Buffer.concat([Buffer.from('dd', 'hex'), Buffer.of(0, 0x20, 0, 0), nulls]);
    expect(() => unpack(list)).toThrow(RecordingError);
  });

  it('cannot reach the prototypes of objects', () => {
    unpack(Buffer.from(`81a95f5f70726f746f5f5f81a578797a7a7901`, 'hex'));
    expect(({} as Record<string, unknown>)['xyzzy']).toBeUndefined();
  });
});

describe('a writer', () => {
  it('tells once that it cannot go on, and leaves what is there', () => {
    const path = record((writer) => writer.start([]), { end: false });
    const before = readFileSync(path);
    const fd = openSync(path, 'r');
    const told: string[] = [];
    let recorded = 0;
    const writer = new RecordingWriter(fd, {
      recorded: (events) => (recorded += events),
      failed: (reason) => told.push(reason),
    });
    writer.batch(0, batchOf({ mntns: HOST, comm: 'a' }), 1);
    writer.release(0, 2);
    closeSync(fd);
    expect(told).toEqual([expect.stringMatching(/^EBADF/)]);
    expect(recorded).toBe(0);
    expect(readFileSync(path)).toEqual(before);
  });
});
