// How a module's fields join those of a gadget, and what becomes of a batch; with the SDK's example as the module.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { type Batch, Column, Span } from '../../runtime/data/batch.js';
import { DataSource } from '../../runtime/data/data-source.js';
import { locatorOf } from '../../runtime/data/field.js';
import { widthOf } from '../../runtime/data/kind.js';
import { build } from '../sdk/assemblyscript/build.js';
import { type PreparedGuest, prepareComponent } from './component.js';
import { GuestError, PatchError } from './errors.js';
import { PostProcessor } from './post-processor.js';
import { HARMFUL_GUEST, TALKING_GUEST, batchOf, componentOf, recordOf } from './testing.js';

vi.setConfig({ testTimeout: 60_000 }); // some compile AssemblyScript

const EXAMPLE = fileURLToPath(new URL('../sdk/assemblyscript/example/program.ts', import.meta.url));
const LATENCY = 0;
const COMM = 8;
const ARGV = 24;
const STRUCT_SIZE = 32;

let example: PreparedGuest;
let harmful: PreparedGuest;

beforeAll(async () => {
  const cacheDirs: string[] = [];
  example = await prepareComponent(await build(EXAMPLE), { cacheDirs });
  harmful = await prepareComponent(await componentOf(HARMFUL_GUEST), { cacheDirs });
}, 60_000);

function requestSource(): DataSource {
  const source = new DataSource('requests', 'single', STRUCT_SIZE);
  source.addField({
    fullName: 'latency_ns',
    kind: 'uint64',
    location: { in: 'record', offset: LATENCY, size: 8 },
  });
  source.addField({ fullName: 'comm', kind: 'cstring', location: { in: 'record', offset: COMM, size: 16 } });
  source.addField({ fullName: 'argv', kind: 'strings', location: { in: 'tail', offset: ARGV } });
  return source;
}

function request(latencyMs: number, comm: string, argv: string): Uint8Array {
  const struct = Buffer.alloc(STRUCT_SIZE);
  struct.writeBigUInt64LE(BigInt(latencyMs) * 1_000_000n, LATENCY);
  struct.write(comm, COMM);
  return recordOf(struct, [[ARGV, Buffer.from(argv)]]);
}

function read(source: DataSource, name: string, batch: Batch, row: number): Buffer | undefined {
  const span = new Span();
  if (!locatorOf(source.field(name)!)(batch, row, span)) return undefined;
  return Buffer.from(span.bytes.subarray(span.start, span.end));
}

describe('a post-processor', () => {
  it('adds fields, and drops events', () => {
    const source = requestSource();
    const processor = new PostProcessor(example, [['threshold-ms', '5']], [source]);
    expect(source.fields.map(({ fullName, kind }) => `${fullName} ${kind}`)).toEqual([
      'latency_ns uint64',
      'comm cstring',
      'argv strings',
      'latency_ms uint32',
      'summary string',
    ]);
    const batch = batchOf([
      request(7, 'curl', '-s\0x\0'),
      request(4, 'wget', ''),
      request(5, 'a-name-of-16-byt', 'y'),
    ]);
    processor.process(0, batch);
    expect([...batch.keep.subarray(0, 3)]).toEqual([1, 0, 1]);
    expect(read(source, 'latency_ms', batch, 0)?.readUInt32LE()).toBe(7);
    expect(read(source, 'summary', batch, 0)?.toString()).toBe('curl -s x');
    expect(read(source, 'summary', batch, 1)).toBeUndefined();
    expect(read(source, 'summary', batch, 2)?.toString()).toBe('a-name-of-16-byt y');
    processor.finish();
  });

  it('stops the gadget with the module’s own sentence', () => {
    expect(() => new PostProcessor(example, [['threshold-ms', '-1']], [requestSource()])).toThrow(
      "the gadget's Wasm module failed in init: parameter threshold-ms is -1, but must be a number of milliseconds from 0",
    );
  });

  it('replaces a field of the same name, in its place', () => {
    const source = requestSource();
    source.addField({ fullName: 'summary', kind: 'uint8', location: { in: 'record', offset: 8, size: 1 } });
    source.addField({ fullName: 'last', kind: 'uint8', location: { in: 'record', offset: 9, size: 1 } });
    const processor = new PostProcessor(example, [['threshold-ms', '0']], [source]);
    expect(source.fields[3]).toMatchObject({ fullName: 'summary', kind: 'string' });
    const batch = batchOf([request(1, 'curl', '-s\0')]);
    processor.process(0, batch);
    expect(read(source, 'summary', batch, 0)?.toString()).toBe('curl -s');
  });

  it('serves several data sources, in batches of any size', () => {
    const other = new DataSource('other', 'single', 8);
    const source = requestSource();
    const processor = new PostProcessor(example, [['threshold-ms', '0']], [other, source]);
    processor.process(0, batchOf([Buffer.alloc(8)]));
    for (const count of [1, 2000, 3, 0, 1500]) {
      const batch = batchOf(
        Array.from({ length: count }, (_, i) => request(i, `c${i}`, 'x\0'.repeat(i % 50))),
      );
      processor.process(1, batch);
      expect(batch.kept()).toBe(count);
      for (let i = 0; i < count; i++) {
        expect(read(source, 'summary', batch, i)?.toString()).toBe(`c${i}${' x'.repeat(i % 50)}`);
      }
    }
  });

  it('loses the batch of a failure, and goes on with a new instance', () => {
    const source = new DataSource('any', 'single', 8);
    const processor = new PostProcessor(harmful, [], [source]);
    processor.select([new Set(source.fields)]);
    const batchOfSize = (count: number): Batch =>
      batchOf(Array.from({ length: count }, () => Buffer.alloc(8)));
    for (const [count, error] of [
      [1, GuestError],
      [2, GuestError],
      [3, GuestError],
      [6, PatchError],
    ] as const) {
      expect(() => processor.process(0, batchOfSize(count))).toThrow(error);
      const next = batchOfSize(7);
      processor.process(0, next);
      expect(next.kept()).toBe(7);
    }
  });

  it('makes a data source, and emits to it from batches, from ticks and at its end', async () => {
    const prepared = await prepareComponent(await componentOf(TALKING_GUEST), { cacheDirs: [] });
    const source = new DataSource('any', 'single', 8);
    source.addField({ fullName: 'id', kind: 'uint64', location: { in: 'record', offset: 0, size: 8 } });
    const { field, column } = source.addColumn({ fullName: 'name', kind: 'string' });
    const lines: [number, string][] = [];
    const log = (level: number, text: string): void => void lines.push([level, text]);
    const processor = new PostProcessor(prepared, [], [source], { logLevel: 3, log });
    expect(processor.reads()).toEqual([new Set([field])]);
    expect(processor.tickMs).toBe(20);
    const [alerts] = processor.madeSources;
    expect(alerts).toMatchObject({ name: 'alerts', type: 'single', recordSize: 0 });
    expect(alerts!.fields.map(({ fullName, kind }) => `${fullName} ${kind}`)).toEqual(['n uint64']);
    processor.select([new Set(source.fields), new Set(alerts!.fields)]);

    const batch = batchOf([Buffer.alloc(8)]);
    batch.columns[column] = new Column('string', new Uint8Array(5), Uint32Array.of(0, 5));
    processor.process(0, batch);
    processor.tick(12_345_678_901_234n);
    processor.finish();
    const made = processor.takeMade();
    expect(
      made.map(({ source, batch }) => [source, read(alerts!, 'n', batch, 0)?.readBigUInt64LE()]),
    ).toEqual([
      [1, 13n], // two offsets and five bytes
      [1, 12_345_678_901_234n],
      [1, 0xffff_ffff_ffff_ffffn],
    ]);
    expect(processor.takeMade()).toEqual([]);
    // Those of level 4 were not asked for.
    expect(lines).toEqual([
      [3, 'hi'],
      [3, 'hi'],
      [3, 'hi'],
    ]);
  });

  it.each([
    [
      'of no data source',
      'i32.const 128) "\\00',
      'i32.const 128) "\\09',
      /data source number 9, which does not exist/,
    ],
    [
      'with a hostile name',
      '"flag"',
      '"f\\0ag"',
      /adds field "f\\ng.*" to data source any, which is not a name/,
    ],
    [
      'of kind none',
      '\\01\\00\\00\\00\\01\\00\\00\\00")',
      '\\00\\00\\00\\00\\01\\00\\00\\00")',
      /of kind none/,
    ],
  ])('refuses a field %s', async (_, from, to, message) => {
    expect(HARMFUL_GUEST).toContain(from);
    const prepared = await prepareComponent(await componentOf(HARMFUL_GUEST.replace(from, to)), {
      cacheDirs: [],
    });
    const source = new DataSource('any', 'single', 8);
    expect(() => new PostProcessor(prepared, [], [source])).toThrow(message);
    expect(source.fields).toHaveLength(0);
  });
});

describe('the AssemblyScript SDK', () => {
  it('reads and writes every kind, and fails a batch in words', async () => {
    const numbers = ['Bool', 'U8', 'U16', 'U32', 'U64', 'S8', 'S16', 'S32', 'S64', 'F32', 'F64'];
    const kinds = [
      'bool',
      'uint8',
      'uint16',
      'uint32',
      'uint64',
      'int8',
      'int16',
      'int32',
      'int64',
      'float32',
      'float64',
    ] as const;
    const directory = await mkdtemp(join(tmpdir(), 'ig-sdk-'));
    const program = join(directory, 'kinds.ts');
    await writeFile(
      program,
      `import { Source, fail } from 'ig';
       const source = new Source('kinds');
       ${numbers.map((n) => `const from${n} = source.${n.toLowerCase()}('${n}'); const to${n} = source.add${n}('to${n}');`).join('\n')}
       const strings = source.strings('strings');
       const copied = source.addStrings('copied');
       const raw = source.bytes('raw');
       const bytes = source.addBytes('bytes');
       const negative = source.addText('negative');
       source.onEvent(() => {
         if (fromU8.value == 99) fail('99 is bad: é');
         ${numbers.map((n) => `to${n}.value = from${n}.value;`).join('\n')}
         for (strings.rewind(); strings.next(); ) { copied.bytes(strings.current); copied.byte(0); }
         bytes.bytes(raw.read());
         negative.integer(i64.MIN_VALUE);
         negative.text(raw.read().startsWith('ab') ? ' é' + raw.read().size.toString() : '');
         return true;
       });`,
    );
    const prepared = await prepareComponent(await build(program), { cacheDirs: [] });
    await rm(directory, { recursive: true });
    const source = new DataSource('kinds', 'single', 120);
    numbers.forEach((fullName, i) => {
      const kind = kinds[i]!;
      source.addField({ fullName, kind, location: { in: 'record', offset: 8 * i, size: widthOf(kind) } });
    });
    source.addField({ fullName: 'strings', kind: 'strings', location: { in: 'tail', offset: 88 } });
    source.addField({ fullName: 'raw', kind: 'bytes', location: { in: 'record', offset: 96, size: 4 } });
    const processor = new PostProcessor(prepared, [], [source]);
    const struct = Buffer.from(Array.from({ length: 120 }, (_, i) => (i * 37 + 129) & 0xff));
    struct[0] = 1;
    struct.write('abcd', 96);
    const batch = batchOf([recordOf(struct, [[88, Buffer.from('x\0\0yz')]])]);
    processor.process(0, batch);
    for (const name of numbers)
      expect(read(source, `to${name}`, batch, 0)).toEqual(read(source, name, batch, 0));
    expect(read(source, 'copied', batch, 0)?.toString()).toBe('x\0\0yz\0');
    expect(read(source, 'bytes', batch, 0)?.toString()).toBe('abcd');
    expect(read(source, 'negative', batch, 0)?.toString()).toBe('-9223372036854775808 é4');
    struct[8] = 99;
    expect(() => processor.process(0, batchOf([recordOf(struct)]))).toThrow(
      "the gadget's Wasm module failed in process: 99 is bad: é",
    );
  });

  it('builds the same bytes from the same source', async () => {
    expect(Buffer.compare(await build(EXAMPLE), await build(EXAMPLE))).toBe(0);
  });

  it('shows the compiler’s message', async () => {
    await expect(build('/none/program.ts')).rejects.toThrow(/ERROR .*program/);
  });
});
