// How a module's fields join those of a gadget, and what becomes of a batch; with programs of an SDK as the module.

import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { type Batch, Column, Span } from '../../runtime/data/batch.js';
import { DataSource } from '../../runtime/data/data-source.js';
import { type Annotations, locatorOf } from '../../runtime/data/field.js';
import { build } from '../sdk/assemblyscript/build.js';
import { type PreparedGuest, prepareComponent } from './component.js';
import { GuestError, PatchError } from './errors.js';
import { PostProcessor } from './post-processor.js';
import { HARMFUL_GUEST, TALKING_GUEST, batchOf, componentOf, recordOf } from './testing.js';

vi.setConfig({ testTimeout: 60_000 }); // some compile AssemblyScript

const program = (name: string): string =>
  fileURLToPath(new URL(`../sdk/assemblyscript/examples/${name}.ts`, import.meta.url));
const FILENAME = 0;

let add: PreparedGuest;
let drop: PreparedGuest;
let harmful: PreparedGuest;

beforeAll(async () => {
  const cacheDirs: string[] = [];
  add = await prepareComponent(await build(program('add')), { cacheDirs });
  drop = await prepareComponent(await build(program('drop')), { cacheDirs });
  harmful = await prepareComponent(await componentOf(HARMFUL_GUEST), { cacheDirs });
}, 60_000);

function execSource(words: Annotations = {}, ofFields: Record<string, Annotations> = {}): DataSource {
  const source = new DataSource('exec', 'single', 32, words, ofFields);
  source.addField({ fullName: 'filename', kind: 'string', location: { in: 'tail', offset: FILENAME } });
  source.addField({
    fullName: 'proc.comm',
    kind: 'cstring',
    location: { in: 'record', offset: 8, size: 16 },
  });
  return source;
}

const exec = (filename: string): Uint8Array =>
  recordOf(Buffer.alloc(32), [[FILENAME, Buffer.from(filename)]]);

function read(source: DataSource, name: string, batch: Batch, row: number): Buffer | undefined {
  const span = new Span();
  if (!locatorOf(source.field(name)!)(batch, row, span)) return undefined;
  return Buffer.from(span.bytes.subarray(span.start, span.end));
}

describe('a post-processor', () => {
  it('stops the gadget with the module’s own sentence', () => {
    expect(() => new PostProcessor(drop, [], [execSource()])).toThrow(
      "the gadget's Wasm module failed in init: parameter prefix is empty: name the commands to leave out",
    );
  });

  it('adds fields with what is said of them, and replaces those of the same name, in their place', () => {
    const source = execSource();
    source.addField({
      fullName: 'directory',
      kind: 'uint8',
      location: { in: 'record', offset: 8, size: 1 },
      tags: ['old'],
      annotations: { 'columns.width': '7', description: 'Before' },
    });
    source.addField({ fullName: 'last', kind: 'uint8', location: { in: 'record', offset: 9, size: 1 } });
    const processor = new PostProcessor(add, [], [source]);
    expect(source.fields.map(({ fullName, kind }) => `${fullName} ${kind}`)).toEqual([
      'filename string',
      'proc.comm cstring',
      'directory string',
      'last uint8',
      'depth uint32',
    ]);
    expect(source.field('directory')).toMatchObject({
      tags: ['old'],
      annotations: { 'columns.width': '7', description: 'Directory of the file given to exec' },
    });
    expect(source.field('depth')!.annotations).toMatchObject({ 'columns.width': '5' });
    const batch = batchOf([exec('/bin/sh')]);
    processor.process(0, batch);
    expect(read(source, 'directory', batch, 0)?.toString()).toBe('/bin');
  });

  it('of the gadget’s own knows what gadget.yaml says it reads, and rests when nobody reads what it makes', () => {
    const own = (source: DataSource): PostProcessor => new PostProcessor(add, [], [source], undefined, true);
    expect(() => own(execSource({ 'wasm.reads': 'proc.comm' }))).toThrow('filename');
    const source = execSource({ 'wasm.reads': '' }, { directory: { 'wasm.reads': 'Filename' } });
    const processor = own(source);
    const directoryWith = (...used: string[]): string | undefined => {
      const batch = batchOf([exec('/bin/sh')]);
      processor.select([new Set(used.map((name) => source.field(name)!))]);
      processor.process(0, batch);
      return read(source, 'directory', batch, 0)?.toString();
    };
    expect(directoryWith('proc.comm')).toBeUndefined();
    expect(directoryWith('directory')).toBe('/bin');
  });

  it('serves several data sources, in batches of any size', () => {
    const other = new DataSource('other', 'single', 8);
    const source = execSource();
    const processor = new PostProcessor(add, [], [other, source]);
    processor.process(0, batchOf([Buffer.alloc(8)]));
    for (const count of [1, 2000, 3, 0, 1500]) {
      const directory = (i: number): string => `/c${i}${'/x'.repeat(i % 50)}`;
      const batch = batchOf(Array.from({ length: count }, (_, i) => exec(`${directory(i)}/sh`)));
      processor.process(1, batch);
      expect(batch.kept()).toBe(count);
      for (let i = 0; i < count; i++)
        expect(read(source, 'directory', batch, i)?.toString()).toBe(directory(i));
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
