// The peer's API as a core module meets it: every function, every code it returns, and how a module fails.

import { parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import { describe, expect, it } from 'vitest';
import { type Batch, Span } from '../../../runtime/data/batch.js';
import { DataSource } from '../../../runtime/data/data-source.js';
import { locatorOf } from '../../../runtime/data/field.js';
import { GuestError, InvalidModuleError } from '../errors.js';
import { batchOf, recordOf } from '../testing.js';
import { MAX_HANDLES } from './handles.js';
import { prepareCore } from './prepare.js';
import { type Parts, type Ran, Script } from './testing.js';

const KIND = { bool: 1, int8: 2, int32: 4, int64: 5, uint16: 7, uint32: 8, uint64: 9 } as const;
const FLOAT32 = 10;
const FLOAT64 = 11;
const STRING = 12;
const CSTRING = 13;
const BYTES = 14;
const VERSION = '(func (export "gadgetAPIVersion") (result i64) (i64.const 1))';
const DATA = 1;
const ARRAY = 2;
const PACKET = 3;

const PID = 0;
const COMM = 8;
const RET = 24;
const PATH = 32;
const STRUCT_SIZE = 40;

function execSource(type: 'single' | 'array' = 'single'): DataSource {
  const source = new DataSource('exec', type, STRUCT_SIZE);
  source.addField({ fullName: 'pid', kind: 'uint32', location: { in: 'record', offset: PID, size: 4 } });
  source.addField({ fullName: 'comm', kind: 'cstring', location: { in: 'record', offset: COMM, size: 16 } });
  source.addField({ fullName: 'ret', kind: 'int64', location: { in: 'record', offset: RET, size: 8 } });
  source.addField({ fullName: 'path', kind: 'string', location: { in: 'tail', offset: PATH } });
  return source;
}

function exec(pid: number, comm: string, ret = 0, path = ''): Uint8Array {
  const struct = Buffer.alloc(STRUCT_SIZE);
  struct.writeUInt32LE(pid, PID);
  struct.write(comm, COMM, 16);
  struct.writeBigInt64LE(BigInt(ret), RET);
  return recordOf(struct, [[PATH, Buffer.from(path)]]);
}

/** What is read of a field, by every reader there is. */
function valuesOf(source: DataSource, name: string, batch: Batch): (Buffer | undefined)[] {
  const locate = locatorOf(source.field(name)!);
  return Array.from({ length: batch.count }, (_, row) => {
    const span = new Span();
    return locate(batch, row, span) ? Buffer.from(span.bytes.subarray(span.start, span.end)) : undefined;
  });
}

const textsOf = (source: DataSource, name: string, batch: Batch): (string | undefined)[] =>
  valuesOf(source, name, batch).map((value) => value?.toString());

/** Runs a module that subscribes to `exec`, over the records given. */
async function overEvents(
  script: Script,
  parts: Parts,
  records: readonly Uint8Array[],
  source = execSource(),
): Promise<Ran & { batch: Batch; source: DataSource }> {
  const subscribe = [
    script.set('exec', 'getDataSource', script.text('exec')),
    script.note('dataSourceSubscribe', script.get('exec'), DATA, 0, 7n),
  ];
  const ran = await script.run({ ...parts, init: [...subscribe, ...(parts.init ?? [])] }, [source]);
  const batch = batchOf(records);
  ran.processor.start();
  ran.processor.process(0, batch);
  return { ...ran, batch, source };
}

const failureOf = async (promise: Promise<unknown>): Promise<Error> => {
  const error: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(Error);
  return error as Error;
};

describe('a core module', () => {
  it('starts in the order of its life', async () => {
    const s = new Script();
    const log = (text: string): string => s.call('gadgetLog', 2, s.text(text));
    const { processor, logged } = await s.run({
      initialize: [log('_initialize')],
      init: [log('init')],
      preStart: [log('preStart')],
      start: [log('start')],
      stop: [log('stop')],
      postStop: [log('postStop')],
    });
    expect(logged).toHaveLength(2);
    processor.start();
    processor.finish();
    expect(logged.map((line) => line.slice(2))).toEqual([
      '_initialize',
      'init',
      'preStart',
      'start',
      'stop',
      'postStop',
    ]);
  });

  it.each([
    [
      'of another version',
      '(func (export "gadgetAPIVersion") (result i64) (i64.const 2))',
      /of version 2 of/,
    ],
    [
      'that refuses',
      `${VERSION} (func (export "gadgetInit") (result i32) (i32.const 3))`,
      /failed in gadgetInit: it returned 3/,
    ],
    [
      'that traps',
      '(func (export "gadgetAPIVersion") (result i64) (unreachable))',
      /failed in gadgetAPIVersion: unreachable/,
    ],
  ])('%s is not started', async (_, more, message) => {
    const error = await failureOf(new Script().run({ more }));
    expect(error).toBeInstanceOf(GuestError);
    expect(error.message).toMatch(message);
  });

  it.each([
    [
      'without a version',
      '(module (memory (export "memory") 1))',
      /core module without the function gadgetAPIVersion/,
    ],
    ['without memory', '(module (func (export "gadgetAPIVersion")))', /does not export its memory/],
    ['that imports from elsewhere', '(module (import "env" "f" (func)))', /imports the function f from env/],
    ['that imports a memory', '(module (import "ig" "m" (memory 1)))', /imports the memory m from ig/],
    ['that needs 1 GiB', '(module (memory (export "memory") 16384))', /needs 1024 MiB of memory/],
    ['that is a component', '(component)', /is a component/],
  ])('%s is refused', async (_, wat, message) => {
    const error = await failureOf(prepareCore(await parse(wat)));
    expect(error).toBeInstanceOf(InvalidModuleError);
    expect(error.message).toMatch(message);
  });

  it('that imports a function of a later version is refused by its name', async () => {
    const more =
      '(import "ig" "brewCoffee" (func)) (func (export "gadgetAPIVersion") (result i64) (i64.const 1))';
    const wat = `(module ${more} (memory (export "memory") 1))`;
    const prepared = await prepareCore(await parse(wat));
    const { CoreProcessor } = await import('./core-processor.js');
    expect(() => new CoreProcessor(prepared, [], [], {} as never)).toThrow(/function brewCoffee, which/);
  });

  it('cannot grow its memory beyond the cap', async () => {
    const s = new Script();
    const grow = '(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))';
    const { notes } = await s.run({ init: [grow, '(call $note (i64.extend_i32_u (memory.size)))'] });
    expect(notes()[0]).toBeGreaterThan(900);
    expect(notes()[0]).toBeLessThanOrEqual(1024);
  });
});

describe('data sources and fields', () => {
  it('are found by name, fields regardless of case', async () => {
    const s = new Script();
    const { notes, logged } = await s.run(
      {
        init: [
          s.set('exec', 'getDataSource', s.text('exec')),
          s.note('getDataSource', s.text('nothing')),
          s.note('getDataSource', 0x7fffffff_fffffff0n),
          s.note('dataSourceGetField', s.get('exec'), s.text('PID')),
          s.note('dataSourceGetField', s.get('exec'), s.text('nothing')),
          s.note('dataSourceGetField', 99, s.text('pid')),
        ],
      },
      [execSource()],
    );
    expect(notes()).toEqual([0, 0, 2, 0, 0]);
    expect(logged).toContain('1 getDataSource: there is no data source "nothing"');
    expect(logged).toContain('1 dataSourceGetField: exec has no field "nothing"');
  });

  it('are added in gadgetInit only, with a name and a kind of the API', async () => {
    const s = new Script();
    const add = (name: string, kind: number): string =>
      s.note('dataSourceAddField', s.get('exec'), s.text(name), kind);
    const source = execSource();
    const { processor, notes } = await s.run(
      {
        init: [
          s.set('exec', 'getDataSource', s.text('exec')),
          ...Array.from({ length: 15 }, (_, kind) => add(`f${kind}`, kind)),
          add('f15', 15),
          add('f-1', -1),
          add('pid', KIND.uint32),
          add('f1', KIND.bool),
          add('a b', KIND.bool),
          s.note('dataSourceAddField', 99, s.text('x'), KIND.bool),
        ],
        start: [add('late', KIND.bool), s.note('newDataSource', s.text('late'), 1)],
      },
      [source],
    );
    processor.start();
    const results = notes();
    expect(results.slice(0, 15).every((handle) => handle > 0)).toBe(true);
    expect(results.slice(15)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(source.fields.slice(4).map(({ kind }) => kind)).toEqual(
      'none bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 string string bytes'.split(
        ' ',
      ),
    );
  });

  it('get tags', async () => {
    const s = new Script();
    const source = execSource();
    await s
      .run(
        {
          init: [
            s.set('exec', 'getDataSource', s.text('exec')),
            s.set('field', 'dataSourceAddField', s.get('exec'), s.text('error_raw'), KIND.uint32),
            s.note('fieldAddTag', s.get('field'), s.text('type:gadget_errno')),
            s.note('fieldAddTag', 99, s.text('x')),
          ],
        },
        [source],
      )
      .then(({ notes }) => expect(notes()).toEqual([0, 1]));
    expect(source.field('error_raw')!.tags).toEqual(['type:gadget_errno']);
  });

  it('of operators are there from gadgetPreStart on', async () => {
    const s = new Script();
    const source = execSource();
    const buffer = s.buffer(8);
    const { processor, notes, read } = await s.run(
      {
        init: [
          s.set('exec', 'getDataSource', s.text('exec')),
          s.note('dataSourceGetField', s.get('exec'), s.text('runtime.containerName')),
          s.note('dataSourceSubscribe', s.get('exec'), DATA, 0, 1n),
        ],
        preStart: [s.set('name', 'dataSourceGetField', s.get('exec'), s.text('runtime.containerName'))],
        event: [
          s.note('fieldGetBuffer', s.get('name'), '(local.get $data)', STRING, buffer),
          s.note('fieldSet', s.get('name'), '(local.get $data)', STRING, s.text('x')), // not the module's
        ],
      },
      [source],
    );
    const name = Buffer.from('web');
    source.addField({
      fullName: 'runtime.containerName',
      kind: 'string',
      location: {
        in: 'derived',
        locate: (_batch, _row, span) => {
          span.set(name, new DataView(name.buffer, name.byteOffset), 0, name.length);
          return true;
        },
      },
    });
    processor.start();
    processor.process(0, batchOf([exec(1, '')]));
    expect(notes()).toEqual([0, 0, 3, 1]);
    expect(read(buffer).toString('latin1', 0, 4)).toBe('web\0');
  });

  it('are hidden when they are not referenced', async () => {
    const s = new Script();
    const { processor, notes } = await s.run(
      {
        init: [
          s.set('exec', 'getDataSource', s.text('exec')),
          s.note('dataSourceIsReferenced', s.get('exec')),
          s.note('dataSourceUnreference', s.get('exec')),
          s.note('dataSourceIsReferenced', s.get('exec')),
          s.note('dataSourceIsReferenced', 99),
          s.note('dataSourceUnreference', 99),
        ],
      },
      [execSource()],
    );
    expect(notes()).toEqual([1, 0, 0, 2, 1]);
    expect(processor.isShown(0)).toBe(false);
  });
});

describe('subscriptions', () => {
  it('are called for every event that is kept, in the order of their priorities', async () => {
    const s = new Script();
    const source = execSource();
    const { processor, notes } = await s.run(
      {
        init: [
          s.set('exec', 'getDataSource', s.text('exec')),
          s.set('pid', 'dataSourceGetField', s.get('exec'), s.text('pid')),
          s.call('dataSourceSubscribe', s.get('exec'), DATA, 5, 2n) + '(drop)',
          s.call('dataSourceSubscribe', s.get('exec'), PACKET, -5, 1n) + '(drop)',
          s.call('dataSourceSubscribe', s.get('exec'), DATA, 5, 3n) + '(drop)',
        ],
        event: [
          '(call $note (local.get $callback))',
          s.note('fieldGetScalar', s.get('pid'), '(local.get $data)', KIND.uint32, 0),
        ],
      },
      [source],
    );
    const batch = batchOf([exec(10, 'a'), exec(11, 'b'), exec(12, 'c')]);
    batch.keep[1] = 0;
    processor.process(0, batch);
    expect(notes()).toEqual([1, 10, 2, 10, 3, 10, 1, 12, 2, 12, 3, 12]);
  });

  it('are refused for what there is not', async () => {
    const s = new Script();
    const parts = {
      init: [
        s.set('exec', 'getDataSource', s.text('exec')),
        s.set('made', 'newDataSource', s.text('made'), 1),
        s.note('dataSourceSubscribe', s.get('exec'), 0, 0, 1n),
        s.note('dataSourceSubscribe', s.get('exec'), 4, 0, 1n),
        s.note('dataSourceSubscribe', s.get('exec'), ARRAY, 0, 1n),
        s.note('dataSourceSubscribe', s.get('made'), DATA, 0, 1n),
        s.note('dataSourceSubscribe', 99, DATA, 0, 1n),
        s.note('dataSourceSubscribe', s.get('exec'), DATA, 0, 1n),
      ],
    };
    expect((await s.run({ ...parts, event: [] }, [execSource()])).notes()).toEqual([1, 1, 1, 1, 1, 0]);
    const without = await s.run(parts, [execSource()]);
    expect(without.notes()).toEqual([1, 1, 1, 1, 1, 1]);
    expect(without.logged).toContain('1 dataSourceSubscribe: the module has no function dataSourceCallback');
  });

  it('of arrays get a snapshot at a time, and its elements', async () => {
    const s = new Script();
    const source = execSource('array');
    const { processor, notes } = await s.run(
      {
        init: [
          s.set('exec', 'getDataSource', s.text('exec')),
          s.set('pid', 'dataSourceGetField', s.get('exec'), s.text('pid')),
          s.note('dataSourceSubscribe', s.get('exec'), ARRAY, 0, 1n),
        ],
        event: [
          s.note('dataArrayLen', '(local.get $data)'),
          s.set('element', 'dataArrayGet', '(local.get $data)', 1),
          s.note('fieldGetScalar', s.get('pid'), s.get('element'), KIND.uint32, 0),
          s.note('fieldSet', s.get('pid'), s.get('element'), KIND.uint32, 99n),
          s.note('dataArrayGet', '(local.get $data)', 2),
          s.note('dataArrayGet', '(local.get $data)', -1),
          s.note('dataArrayNew', '(local.get $data)'),
          s.note('releaseHandle', s.get('element')),
        ],
      },
      [source],
    );
    const batch = batchOf([exec(10, 'a'), exec(11, 'b'), exec(12, 'c')]);
    batch.keep[0] = 0;
    processor.process(0, batch);
    expect(notes()).toEqual([0, 2, 12, 0, 0, 0, 0, 0]);
    expect(valuesOf(source, 'pid', batch).map((pid) => pid!.readUInt32LE())).toEqual([10, 11, 99]);
  });
});

describe('values', () => {
  it('of every kind are read as they stand in the record', async () => {
    const kinds = [
      'bool',
      'int8',
      'int16',
      'int32',
      'int64',
      'uint8',
      'uint16',
      'uint32',
      'uint64',
      'float32',
      'float64',
    ] as const;
    const source = new DataSource('exec', 'single', 8);
    for (const [i, kind] of kinds.entries()) {
      const size = [1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8][i]!;
      source.addField({ fullName: `f${i + 1}`, kind, location: { in: 'record', offset: 0, size } });
    }
    const s = new Script();
    const get = kinds.map((_, i) =>
      s.set(`f${i + 1}`, 'dataSourceGetField', s.get('exec'), s.text(`f${i + 1}`)),
    );
    const record = Buffer.alloc(8, 0xff);
    const { notes } = await overEvents(
      s,
      {
        init: get,
        event: kinds.map((_, i) =>
          s.note('fieldGetScalar', s.get(`f${i + 1}`), '(local.get $data)', i + 1, 0),
        ),
      },
      [record],
      source,
    );
    expect(notes().slice(1)).toEqual([1, -1, -1, -1, -1, 0xff, 0xffff, 0xffffffff, -1, 0xffffffff, -1]);
  });

  it('that cannot be read are an error at the address given', async () => {
    const s = new Script();
    const errors = Array.from({ length: 6 }, () => s.buffer(4));
    const at = (i: number): number => Number(errors[i]! & 0xffffffffn);
    const { notes, read } = await overEvents(
      s,
      {
        init: [
          s.set('pid', 'dataSourceGetField', s.get('exec'), s.text('pid')),
          s.set('comm', 'dataSourceGetField', s.get('exec'), s.text('comm')),
          s.set('other', 'newDataSource', s.text('other'), 1),
          s.set('field', 'dataSourceAddField', s.get('other'), s.text('x'), KIND.uint32),
        ],
        event: [
          s.note('fieldGetScalar', s.get('pid'), '(local.get $data)', KIND.uint32, at(0)),
          s.note('fieldGetScalar', s.get('pid'), '(local.get $data)', KIND.uint64, at(1)),
          s.note('fieldGetScalar', s.get('comm'), '(local.get $data)', STRING, at(2)),
          s.note('fieldGetScalar', s.get('pid'), 99, KIND.uint32, at(3)),
          s.note('fieldGetScalar', 99, '(local.get $data)', KIND.uint32, at(4)),
          s.note('fieldGetScalar', s.get('field'), '(local.get $data)', KIND.uint32, at(5)),
          s.note('fieldGetScalar', 99, 99, KIND.uint32, -1), // nowhere to write the error to
        ],
      },
      [exec(5, 'a')],
    );
    expect(notes().slice(1)).toEqual([5, 0, 0, 0, 0, 0, 0]);
    expect(errors.map((error) => read(error).readUInt32LE())).toEqual([0, 1, 1, 1, 1, 1]);
  });

  it('that are text are copied into a buffer of the module', async () => {
    const s = new Script();
    const buffers = [32, 32, 3, 32, 32].map((size) => s.buffer(size));
    const get = (field: string, kind: number, buffer: bigint): string =>
      s.note('fieldGetBuffer', s.get(field), '(local.get $data)', kind, buffer);
    const { notes, read } = await overEvents(
      s,
      {
        init: [
          s.set('comm', 'dataSourceGetField', s.get('exec'), s.text('comm')),
          s.set('path', 'dataSourceGetField', s.get('exec'), s.text('path')),
          s.set('added', 'dataSourceAddField', s.get('exec'), s.text('added'), STRING),
        ],
        event: [
          get('comm', STRING, buffers[0]!),
          get('comm', BYTES, buffers[1]!), // with its NULs
          get('path', STRING, buffers[2]!), // too small
          get('path', STRING, buffers[3]!),
          get('added', STRING, buffers[4]!), // not set
          get('comm', CSTRING, buffers[4]!),
          get('comm', KIND.uint32, buffers[4]!),
          get('comm', STRING, 0x10_7fffffffn),
          get('nothing', STRING, buffers[4]!),
        ],
        more: `${VERSION} (global $nothing i32 (i32.const 99))`,
      },
      [exec(5, 'bash', 0, '/bin/bash')],
    );
    expect(notes().slice(1)).toEqual([4, 16, -1, 9, 0, -1, -1, -1, -1]);
    expect(read(buffers[0]!).toString()).toBe('bash' + '\0'.repeat(28));
    expect(read(buffers[3]!).toString('latin1', 0, 10)).toBe('/bin/bash\0');
  });

  it('are set in added fields, undefined where they are not', async () => {
    const s = new Script();
    const odd = (body: string): string =>
      `(if (i32.and (i32.wrap_i64 ${s.call('fieldGetScalar', s.get('pid'), '(local.get $data)', KIND.uint32, 0)}) (i32.const 1)) (then ${body}))`;
    const { notes, source, batch } = await overEvents(
      s,
      {
        init: [
          s.set('pid', 'dataSourceGetField', s.get('exec'), s.text('pid')),
          s.set('number', 'dataSourceAddField', s.get('exec'), s.text('number'), KIND.uint16),
          s.set('word', 'dataSourceAddField', s.get('exec'), s.text('word'), STRING),
          s.set('real', 'dataSourceAddField', s.get('exec'), s.text('real'), FLOAT64),
        ],
        event: [
          odd(s.note('fieldSet', s.get('number'), '(local.get $data)', KIND.uint16, 0x1_ffffn)),
          s.note('fieldSet', s.get('word'), '(local.get $data)', STRING, s.text('first, and longer')),
          odd(s.note('fieldSet', s.get('word'), '(local.get $data)', STRING, s.text('odd'))),
          s.note(
            'fieldSet',
            s.get('real'),
            '(local.get $data)',
            FLOAT64,
            '(i64.reinterpret_f64 (f64.const 1.5))',
          ),
        ],
      },
      [exec(1, ''), exec(2, ''), exec(3, '')],
    );
    expect(notes().every((status) => status === 0)).toBe(true);
    expect(valuesOf(source, 'number', batch).map((value) => value?.readUInt16LE())).toEqual([
      0xffff,
      undefined,
      0xffff,
    ]);
    expect(textsOf(source, 'word', batch)).toEqual(['odd', 'first, and longer', 'odd']);
    expect(valuesOf(source, 'real', batch)[0]!.readDoubleLE()).toBe(1.5);
  });

  it('are replaced in fields of the kernel, and only there', async () => {
    const s = new Script();
    const { notes, source, batch, logged } = await overEvents(
      s,
      {
        init: ['pid', 'comm', 'ret', 'path'].map((name) =>
          s.set(name, 'dataSourceGetField', s.get('exec'), s.text(name)),
        ),
        event: [
          s.note('fieldSet', s.get('pid'), '(local.get $data)', KIND.uint32, 77n),
          s.note('fieldSet', s.get('comm'), '(local.get $data)', STRING, s.text('sh')),
          s.note('fieldSet', s.get('ret'), '(local.get $data)', KIND.int64, -2n),
          s.note('fieldSet', s.get('path'), '(local.get $data)', STRING, s.text('/a/much/longer/path')),
          // Too long, and kinds that are not the field's.
          s.note('fieldSet', s.get('comm'), '(local.get $data)', STRING, s.text('seventeen letters')),
          s.note('fieldSet', s.get('pid'), '(local.get $data)', KIND.uint64, 1n),
          s.note('fieldSet', s.get('pid'), '(local.get $data)', STRING, s.text('1234')),
          s.note('fieldSet', s.get('comm'), '(local.get $data)', KIND.uint32, 1n),
          s.note('fieldSet', s.get('comm'), '(local.get $data)', CSTRING, s.text('x')),
          s.note('fieldSet', s.get('pid'), '(local.get $data)', FLOAT32 + 90, 1n),
          s.note('fieldSet', s.get('comm'), '(local.get $data)', STRING, 0x10_7fffffffn),
          s.note('fieldSet', s.get('pid'), 99, KIND.uint32, 1n),
        ],
      },
      [exec(1, 'bash-with-15-let', 0, '/bin/bash')],
    );
    expect(notes().slice(1)).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect(valuesOf(source, 'pid', batch)[0]!.readUInt32LE()).toBe(77);
    expect(textsOf(source, 'comm', batch)).toEqual(['sh']);
    expect(valuesOf(source, 'ret', batch)[0]!.readBigInt64LE()).toBe(-2n);
    expect(textsOf(source, 'path', batch)).toEqual(['/a/much/longer/path']);
    // Next to it nothing has changed, and the next batch starts with the kernel's values.
    expect(batch.bytes.subarray(batch.offsets[0]! + 4, batch.offsets[0]! + 8)).toEqual(new Uint8Array(4));
    expect(logged).toContain('1 fieldSet: comm cannot take this value of kind string');
  });

  it('of the tail are the kernel’s again in the next batch', async () => {
    const s = new Script();
    const { processor, source } = await overEvents(
      s,
      {
        init: [
          s.set('path', 'dataSourceGetField', s.get('exec'), s.text('path')),
          s.set('pid', 'dataSourceGetField', s.get('exec'), s.text('pid')),
        ],
        event: [
          `(if (i64.eq ${s.call('fieldGetScalar', s.get('pid'), '(local.get $data)', KIND.uint32, 0)} (i64.const 1)) (then
            ${s.note('fieldSet', s.get('path'), '(local.get $data)', STRING, s.text('changed'))}))`,
        ],
      },
      [exec(1, '', 0, '/one')],
    );
    const batch = batchOf([exec(2, '', 0, '/two'), exec(1, '', 0, '/three')]);
    processor.process(0, batch);
    expect(textsOf(source, 'path', batch)).toEqual(['/two', 'changed']);
  });

  it('are gone with the event', async () => {
    const s = new Script();
    const error = s.buffer(4);
    const { notes, read } = await overEvents(
      s,
      {
        init: [
          s.set('pid', 'dataSourceGetField', s.get('exec'), s.text('pid')),
          s.set('kept', 'getDataSource', s.text('exec')),
        ],
        event: [
          s.note('fieldGetScalar', s.get('pid'), s.get('kept'), KIND.uint32, Number(error & 0xffffffffn)),
          '(global.set $kept (local.get $data))',
          s.note('releaseHandle', s.get('kept')),
        ],
      },
      [exec(1, ''), exec(2, '')],
    );
    expect(notes().slice(1)).toEqual([0, 0, 0, 0]);
    expect(read(error).readUInt32LE()).toBe(1);
  });
});

describe('what a module makes', () => {
  it('comes out of its data source, as batches of events', async () => {
    const s = new Script();
    const { processor, logged } = await overEvents(
      s,
      {
        init: [
          s.set('pid', 'dataSourceGetField', s.get('exec'), s.text('pid')),
          s.set('alerts', 'newDataSource', s.text('alerts'), 1),
          s.set('who', 'dataSourceAddField', s.get('alerts'), s.text('who'), KIND.uint32),
          s.set('what', 'dataSourceAddField', s.get('alerts'), s.text('what'), STRING),
        ],
        event: [
          s.set('packet', 'dataSourceNewPacketSingle', s.get('alerts')),
          s.note(
            'fieldSet',
            s.get('who'),
            s.get('packet'),
            KIND.uint32,
            s.call('fieldGetScalar', s.get('pid'), '(local.get $data)', KIND.uint32, 0),
          ),
          s.note('fieldSet', s.get('what'), s.get('packet'), STRING, s.text('it ran')),
          s.note('fieldSet', s.get('pid'), s.get('packet'), KIND.uint32, 1n), // another's field
          s.note('dataSourceEmitAndRelease', s.get('alerts'), s.get('packet')),
          s.note('dataSourceEmitAndRelease', s.get('alerts'), s.get('packet')), // gone
        ],
      },
      [exec(4, ''), exec(5, '')],
    );
    expect(logged).toEqual([]);
    const [alerts] = processor.madeSources;
    expect(alerts!.name).toBe('alerts');
    const [made, ...others] = processor.takeMade();
    expect(others).toEqual([]);
    expect(made!.source).toBe(1);
    expect(valuesOf(alerts!, 'who', made!.batch).map((pid) => pid!.readUInt32LE())).toEqual([4, 5]);
    expect(textsOf(alerts!, 'what', made!.batch)).toEqual(['it ran', 'it ran']);
    expect([...processor.takeMade()]).toEqual([]);
  });

  it('can be an array, one snapshot each', async () => {
    const s = new Script();
    const { processor, notes } = await s.run({
      init: [
        s.set('top', 'newDataSource', s.text('top'), 2),
        s.set('count', 'dataSourceAddField', s.get('top'), s.text('count'), KIND.uint32),
        s.note('dataSourceNewPacketSingle', s.get('top')),
        s.set('array', 'dataSourceNewPacketArray', s.get('top')),
        s.set('one', 'dataArrayNew', s.get('array')),
        s.note('fieldSet', s.get('count'), s.get('one'), KIND.uint32, 1n),
        s.set('two', 'dataArrayNew', s.get('array')),
        s.note('dataArrayAppend', s.get('array'), s.get('one')),
        s.note('dataArrayAppend', s.get('array'), s.get('one')), // gone
        s.note('dataArrayRelease', s.get('array'), s.get('two')),
        s.note('dataArrayRelease', s.get('array'), s.get('two')),
        s.note('dataArrayLen', s.get('array')),
        s.note('dataArrayLen', 99),
        s.set('first', 'dataArrayGet', s.get('array'), 0),
        s.note('fieldGetScalar', s.get('count'), s.get('first'), KIND.uint32, 0),
        s.note('dataArrayNew', 99),
        s.note('dataSourceRelease', s.get('top'), 99),
        s.note('dataSourceEmitAndRelease', s.get('top'), s.get('array')),
        s.set('array', 'dataSourceNewPacketArray', s.get('top')),
        s.note('dataSourceRelease', s.get('top'), s.get('array')),
        s.note('dataSourceRelease', s.get('top'), s.get('array')),
      ],
    });
    expect(notes()).toEqual([0, 0, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 0, 1]);
    const [made] = processor.takeMade();
    expect(valuesOf(processor.madeSources[0]!, 'count', made!.batch).map((n) => n!.readUInt32LE())).toEqual([
      1,
    ]);
  });

  it('can be events of the kernel’s data source, with its record', async () => {
    const s = new Script();
    const source = execSource();
    const { processor } = await s.run(
      {
        init: [
          s.set('exec', 'getDataSource', s.text('exec')),
          s.set('pid', 'dataSourceGetField', s.get('exec'), s.text('pid')),
          s.set('path', 'dataSourceGetField', s.get('exec'), s.text('path')),
          s.set('packet', 'dataSourceNewPacketSingle', s.get('exec')),
          s.note('fieldSet', s.get('pid'), s.get('packet'), KIND.uint32, 7n),
          s.note('fieldSet', s.get('path'), s.get('packet'), STRING, s.text('/made')),
          s.note('dataSourceEmitAndRelease', s.get('exec'), s.get('packet')),
        ],
      },
      [source],
    );
    const [made] = processor.takeMade();
    expect(made!.source).toBe(0);
    expect(valuesOf(source, 'pid', made!.batch)[0]!.readUInt32LE()).toBe(7);
    expect(textsOf(source, 'path', made!.batch)).toEqual(['/made']);
    expect(textsOf(source, 'comm', made!.batch)).toEqual(['']);
  });

  it('is refused under a name or of a type that cannot be', async () => {
    const s = new Script();
    const { notes } = await s.run(
      {
        init: [
          s.note('newDataSource', s.text('exec'), 1),
          s.note('newDataSource', s.text('a b'), 1),
          s.note('newDataSource', s.text('x'), 0),
          s.note('newDataSource', s.text('x'), 3),
          s.note('newDataSource', 0n, 1),
          ...Array.from({ length: 17 }, (_, i) => s.note('newDataSource', s.text(`made${i}`), 1)),
          s.note('dataSourceNewPacketSingle', 99),
        ],
      },
      [execSource()],
    );
    expect(notes().map((handle) => handle > 0)).toEqual([
      ...Array<boolean>(5).fill(false),
      ...Array<boolean>(16).fill(true),
      false,
      false,
    ]);
  });

  /** Makes packets of 100 kB, does something with them, and counts how often that works. */
  async function countPackets(act: (s: Script) => string): Promise<Ran> {
    const s = new Script();
    const big = s.buffer(100_000);
    return s.run({
      init: [
        s.set('out', 'newDataSource', s.text('out'), 1),
        s.set('bytes', 'dataSourceAddField', s.get('out'), s.text('bytes'), BYTES),
      ],
      start: [
        `(loop $more
          ${s.set('packet', 'dataSourceNewPacketSingle', s.get('out'))}
          ${s.set('unset', 'fieldSet', s.get('bytes'), s.get('packet'), BYTES, big)}
          (if (i32.eqz ${act(s)}) (then
            (global.set $number (i32.add (global.get $number) (i32.const 1)))
            (br_if $more (i32.lt_u (global.get $number) (i32.const 5000))))))`,
        '(call $note (i64.extend_i32_u (global.get $number)))',
      ],
      more: `${VERSION} (global $number (mut i32) (i32.const 0))`,
    });
  }

  it('is bounded while the module holds it', async () => {
    const { processor, notes } = await countPackets((s) => s.get('unset'));
    processor.start();
    expect(notes()[0]).toBeGreaterThan(100);
    expect(notes()[0]).toBeLessThan(400); // of 32 MiB
  });

  it('is bounded while it waits to be taken on', async () => {
    const { processor, notes, logged } = await countPackets((s) =>
      s.call('dataSourceEmitAndRelease', s.get('out'), s.get('packet')),
    );
    processor.start();
    expect(notes()[0]).toBeGreaterThan(100);
    expect(notes()[0]).toBeLessThan(400);
    expect(logged).toEqual([
      '1 dataSourceEmitAndRelease: too many events are emitted at once; some are lost',
    ]);
    expect([...processor.takeMade()].reduce((sum, { batch }) => sum + batch.count, 0)).toBe(notes()[0]);
  });
});

describe('what a module adds to one batch', () => {
  it('is bounded over all columns, anew for each batch', async () => {
    const s = new Script();
    const names = ['a', 'b', 'c'];
    const big = s.buffer(100_000);
    const { processor, notes } = await s.run(
      {
        init: [
          s.set('exec', 'getDataSource', s.text('exec')),
          s.set('unset', 'dataSourceSubscribe', s.get('exec'), DATA, 0, 1n),
          ...names.map((name) => s.set(name, 'dataSourceAddField', s.get('exec'), s.text(name), BYTES)),
        ],
        event: names.map((name) => s.note('fieldSet', s.get(name), '(local.get $data)', BYTES, big)),
      },
      [execSource()],
    );
    const events = Array.from({ length: 120 }, () => exec(1, ''));
    processor.process(0, batchOf(events));
    expect(notes().filter((status) => status === 0)).toHaveLength(Math.floor((32 << 20) / 100_000));
    const before = notes().length;
    processor.process(0, batchOf(events.slice(0, 40)));
    expect(notes().slice(before)).toEqual(Array(120).fill(0));
  });
});

describe('arrays without elements', () => {
  it('are bounded, too, while they wait to be taken on', async () => {
    const s = new Script();
    const { processor, notes } = await s.run({
      init: [s.set('out', 'newDataSource', s.text('out'), 2)],
      start: [
        `(loop $more
          ${s.set('array', 'dataSourceNewPacketArray', s.get('out'))}
          (if (i32.eqz ${s.call('dataSourceEmitAndRelease', s.get('out'), s.get('array'))}) (then
            (global.set $number (i32.add (global.get $number) (i32.const 1)))
            (br_if $more (i32.lt_u (global.get $number) (i32.const 1000000))))))`,
        '(call $note (i64.extend_i32_u (global.get $number)))',
      ],
      more: `${VERSION} (global $number (mut i32) (i32.const 0))`,
    });
    processor.start();
    expect(notes()[0]).toBeGreaterThan(1000);
    expect(notes()[0]).toBeLessThan(200_000);
    let taken = 0;
    for (const { batch } of processor.takeMade()) taken += batch.count + 1;
    expect(taken).toBe(notes()[0]);
  });
});

describe('handles', () => {
  it('are released, and are not more than 4096', async () => {
    const s = new Script();
    const { notes, processor } = await s.run(
      {
        init: [
          s.set('exec', 'getDataSource', s.text('exec')),
          s.note('releaseHandle', s.get('exec')),
          s.note('releaseHandle', s.get('exec')),
          s.note('releaseHandle', 0),
          s.note('releaseHandle', -1),
        ],
        start: [
          `(loop $more (global.set $count (i32.add (global.get $count) (i32.const 1)))
             (br_if $more ${s.call('getDataSource', s.text('exec'))}))`,
          '(call $note (i64.extend_i32_u (global.get $count)))',
        ],
        more: `${VERSION} (global $count (mut i32) (i32.const 0))`,
      },
      [execSource()],
    );
    processor.start();
    expect(notes()).toEqual([0, 1, 1, 1, MAX_HANDLES + 1]);
  });
});

describe('parameters', () => {
  it('are read by their key or full name', async () => {
    const s = new Script();
    const [buffer, small] = [s.buffer(8), s.buffer(1)];
    const { notes, read, logged } = await s.run({
      init: [
        s.note('getParamValue', s.text('operator.oci.wasm.limit'), buffer),
        s.note('getParamValue', s.text('operator.oci.ebpf.pid'), small),
        s.note('getParamValue', s.text('limit'), buffer),
        s.note('getParamValue', s.text('operator.oci.wasm.nothing'), buffer),
        s.note('getParamValue', 0x10_7fffffffn, buffer),
      ],
    });
    expect(notes()).toEqual([0, 1, 0, 1, 1]);
    expect(read(buffer).toString()).toBe('10\0\0\0\0\0\0');
    expect(logged).toContain(
      '1 getParamValue: the buffer is too small for the value of operator.oci.ebpf.pid',
    );
  });

  it('of the gadget’s programs are set in gadgetInit', async () => {
    const s = new Script();
    const set = (key: string, kind = STRING): string => s.note('setConfig', s.text(key), s.text('x'), kind);
    const { notes, processor } = await s.run({
      init: [
        set('programs.probe_1.attach_to'),
        set('programs.a.b'),
        set('name'),
        set('programs.x.attach_to', 1),
      ],
      start: [set('programs.late.attach_to')],
    });
    processor.start();
    expect(notes()).toEqual([0, 1, 1, 1, 1]);
    expect(processor.settings).toEqual([['programs.probe_1.attach_to', 'x']]);
  });
});

describe('the log', () => {
  it('shows what is of its level, on one line', async () => {
    const s = new Script();
    const { notes, logged } = await s.run({
      init: [
        ...[0, 1, 2, 3, 4, 99].map((level) => s.call('gadgetLog', level, s.text(`level\n${level}`))),
        ...[0, 2, 3, -1].map((level) => s.note('gadgetShouldLog', level)),
        s.call('gadgetLog', 0, 0x10_7fffffffn),
      ],
    });
    expect(logged.slice(0, 4)).toEqual(['0 level?0', '1 level?1', '2 level?2', '1 level?99']);
    expect(logged[4]).toMatch(/gadgetLog: the message is too long or outside/);
    expect(notes()).toEqual([1, 1, 0, 0]);
  });
});

describe('WASI', () => {
  it('gives clocks, random bytes and the log, and no authority', async () => {
    const s = new Script();
    const low = (buffer: bigint): number => Number(buffer & 0xffffffffn);
    const [time, random, sizes, written, stat] = [8, 16, 8, 4, 24].map((size) => s.buffer(size)) as [
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    const line = s.text('panic: no\nsecond line\n');
    const vector = s.buffer(8);
    const { notes, read, logged } = await s.run({
      init: [
        `(i32.store (i32.const ${low(vector)}) (i32.const ${low(line)}))`,
        `(i32.store (i32.const ${low(vector) + 4}) (i32.const ${line >> 32n}))`,
        s.note('fd_write', 2, low(vector), 1, low(written)),
        s.note('fd_write', 0, low(vector), 1, low(written)),
        s.note('fd_write', 3, low(vector), 1, low(written)),
        s.note('fd_write', 2, -8, 1, low(written)),
        s.note('fd_write', 2, low(vector), 1_000_000, low(written)),
        s.note('clock_time_get', 0, 0n, low(time)),
        s.note('clock_time_get', 7, 0n, low(time)),
        s.note('clock_time_get', 0, 0n, -4),
        s.note('random_get', low(random), 16),
        s.note('random_get', low(random), -1),
        s.note('environ_sizes_get', low(sizes), low(sizes) + 4),
        s.note('args_sizes_get', low(sizes), low(sizes) + 4),
        s.note('environ_get', 0, 0),
        s.note('fd_fdstat_get', 2, low(stat)),
        s.note('fd_fdstat_get', 3, low(stat)),
        s.note('fd_prestat_get', 3, low(stat)),
        s.note('fd_read', 0, low(vector), 1, low(written)),
        s.note('path_open', 3, 0, 0, 0, 0, 0n, 0n, 0, 0),
      ],
    });
    expect(notes()).toEqual([0, 8, 8, 21, 28, 0, 28, 21, 0, 21, 0, 0, 0, 0, 8, 8, 8, 52]);
    expect(logged).toEqual(['1 panic: no', '1 second line']);
    expect(read(written).readUInt32LE()).toBe(Number(line >> 32n));
    expect(Number(read(time).readBigUInt64LE() / 1_000_000n) - Date.now()).toBeLessThan(60_000);
    expect(read(random)).not.toEqual(Buffer.alloc(16));
  });

  it('sleeps only for a moment', async () => {
    const s = new Script();
    const low = (buffer: bigint): number => Number(buffer & 0xffffffffn);
    const [asked, answer, count] = [s.buffer(48), s.buffer(32), s.buffer(4)];
    const { notes, read } = await s.run({
      init: [
        `(i64.store (i32.const ${low(asked)}) (i64.const 77))`,
        `(i64.store (i32.const ${low(asked) + 24}) (i64.const 3600000000000))`,
        s.note('poll_oneoff', low(asked), low(answer), 1, low(count)),
        s.note('poll_oneoff', low(asked), low(answer), 0, low(count)),
        s.note('poll_oneoff', low(asked), -1, 1, low(count)),
      ],
    });
    expect(notes()).toEqual([0, 28, 21]);
    expect(read(count).readUInt32LE()).toBe(1);
    expect(read(answer).readBigUInt64LE()).toBe(77n);
  });

  it('ends a module that exits, with its status', async () => {
    const s = new Script();
    const error = await failureOf(s.run({ init: [s.call('proc_exit', 2)] }));
    expect(error.message).toBe("the gadget's Wasm module failed in gadgetInit: it ended with status 2");
  });
});

describe('a module that fails', () => {
  it('leaves none of the maps that it made in the kernel', async () => {
    const s = new Script();
    const source = execSource();
    let open = 0;
    const map = {
      ...{ type: 'hash', keySize: 4, lookupSize: 4, fd: 9 },
      ...{ lookupInto: () => false, update: () => undefined, delete: () => false, close: () => open-- },
    };
    const createMap = (): typeof map => {
      open++;
      return map;
    };
    const { processor } = await s.run(
      {
        init: [
          s.set('exec', 'getDataSource', s.text('exec')),
          s.set('unset', 'dataSourceSubscribe', s.get('exec'), 1, 0, 1n),
          s.set('unset', 'newMap', s.text('mine'), 1, 4, 4, 10),
        ],
        event: ['unreachable'],
      },
      [source],
      { createMap },
    );
    expect(open).toBe(1);
    for (let i = 0; i < 3; i++) {
      expect(() => processor.process(0, batchOf([exec(1, '')]))).toThrow(GuestError);
      expect(open).toBe(0);
    }
    processor.finish();
    expect(open).toBe(0);
  });

  const failing = (s: Script, parts: Parts = {}): Parts => ({
    ...parts,
    init: [
      s.set('exec', 'getDataSource', s.text('exec')),
      s.set('pid', 'dataSourceGetField', s.get('exec'), s.text('pid')),
      s.set('made', 'newDataSource', s.text('made'), 1),
      s.set('count', 'dataSourceAddField', s.get('exec'), s.text('count'), KIND.uint32),
      `${s.call('dataSourceAddField', s.get('exec'), s.text('pid'), KIND.uint32)} (drop)`,
      `${s.call('dataSourceSubscribe', s.get('exec'), DATA, 0, 1n)} (drop)`,
      ...(parts.init ?? []),
    ],
    start: ['(global.set $exec (i32.const 1))', ...(parts.start ?? [])],
    event: [
      `(if (i64.eqz ${s.call('fieldGetScalar', s.get('pid'), '(local.get $data)', KIND.uint32, 0)}) (then (unreachable)))`,
      s.note('fieldSet', s.get('count'), '(local.get $data)', KIND.uint32, '(global.get $seen64)'),
      '(global.set $seen64 (i64.add (global.get $seen64) (i64.const 1)))',
    ],
    more: `${VERSION} (global $seen64 (mut i64) (i64.const 0))`,
  });
  const counts = (source: DataSource, batch: Batch): (number | undefined)[] =>
    valuesOf(source, 'count', batch).map((value) => value?.readUInt32LE());

  it('loses the batch, and is started anew for the next', async () => {
    const s = new Script();
    const source = execSource();
    const { processor } = await s.run(failing(s), [source]);
    processor.start();
    const good = batchOf([exec(1, ''), exec(2, '')]);
    processor.process(0, good);
    expect(counts(source, good)).toEqual([0, 1]);
    expect(() => processor.process(0, batchOf([exec(0, '')]))).toThrow(
      /failed in dataSourceCallback: .*unreachable/,
    );
    processor.process(0, good);
    expect(counts(source, good)).toEqual([0, 1]); // its memory is new
    expect(processor.madeSources).toHaveLength(1);
    expect(source.fields).toHaveLength(5);
  });

  it('has to declare the same again', async () => {
    const s = new Script();
    const source = execSource();
    let isRestarted = false;
    const { processor } = await s.run(
      failing(s, {
        init: [
          `(if ${s.call('kallsymsSymbolExists', s.text('x'))} (then ${s.call('dataSourceAddField', s.get('exec'), s.text('once'), 1)} (drop)))`,
        ],
      }),
      [source],
      { hasKernelSymbol: () => isRestarted },
    );
    isRestarted = true;
    expect(() => processor.process(0, batchOf([exec(0, '')]))).toThrow(GuestError);
    expect(() => processor.process(0, batchOf([exec(1, '')]))).toThrow(/declared other fields/);
  });

  it('ends with its last words', async () => {
    const s = new Script();
    const { processor } = await s.run({
      more: `${VERSION} (func (export "gadgetStop") (result i32) (i32.const 9))`,
    });
    expect(() => processor.finish()).toThrow(/failed in gadgetStop: it returned 9/);
  });

  it.each([
    ['endless recursion', '(call $self)', /Maximum call stack/],
    ['an address outside its memory', '(drop (i32.load (i32.const -8)))', /out of bounds/],
  ])('by %s is an error', async (_, body, message) => {
    const more = `(func $self (export "gadgetInit") (result i32) ${body === '(call $self)' ? '(drop (call $self))' : body} (i32.const 0)) (func (export "gadgetAPIVersion") (result i64) (i64.const 1))`;
    const error = await failureOf(new Script().run({ more }));
    expect(error).toBeInstanceOf(GuestError);
    expect(error.message).toMatch(message);
  });
});
