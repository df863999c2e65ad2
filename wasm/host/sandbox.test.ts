// What hostile modules get: refused, or a failure that costs one batch. Imports, hostile names and damaged files are in
// component.test.ts, memories in memory-cap.test.ts, patches in patch.test.ts, plans in plan.test.ts, core modules in
// core/; what the user sees of it in test/live/sandbox.test.ts.

import { readFile } from 'node:fs/promises';
import { parse, print } from '@bytecodealliance/jco-transpile/wasm-tools';
import { describe, expect, it, vi } from 'vitest';
import { HEADER_SIZE, encodeU32, sectionsOf } from './binary.js';
import { compileCore } from './compile.js';
import { type PreparedGuest, prepareComponent } from './component.js';
import { prepareCore } from './core/prepare.js';
import { GuestError, InvalidModuleError } from './errors.js';
import { largestFunction } from './function-cost.js';
import { type Guest, instantiateGuest } from './guest.js';
import { type GuestParts, componentOf, dataWat, guestWat } from './testing.js';

vi.setConfig({ testTimeout: 60_000 }); // each transpilation loads the transpiler anew

const prepare = (bytes: Uint8Array): Promise<PreparedGuest> => prepareComponent(bytes, { cacheDirs: [] });

async function refusal(preparing: Promise<unknown>): Promise<string> {
  const error: unknown = await preparing.catch((error: unknown) => error);
  expect(error).toBeInstanceOf(InvalidModuleError);
  return (error as Error).message;
}

async function started(parts: GuestParts): Promise<Guest> {
  const guest = instantiateGuest(await prepare(await componentOf(guestWat(parts))));
  guest.init([], [], 'error');
  return guest;
}

function failureOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(GuestError);
    return (error as Error).message;
  }
  throw new Error('there was no failure');
}

describe('a component', () => {
  it('cannot put functions of its own in the place of checks', async () => {
    const names = ['read-bytes', 'read-text', 'new-list', 'new-handle', 'ig-read-bytes'];
    const more = names
      .map((name) => `(func (export "$I#${name}") (param i32 i32 i32) (result i32) (i32.const 42))`)
      .join('\n');
    const wit = names.map((name) => `${name}: func(a: u32, b: u32, c: u32) -> u32;`).join('\n');
    const bytes = await componentOf(guestWat({ more }), wit);
    const plan = instantiateGuest(await prepare(bytes)).init([], [], 'error');
    expect(plan).toEqual({ columns: [], reads: [], emits: [], tickMs: 0 });
  });

  it('is refused with an asynchronous process', async () => {
    const text = await print(await componentOf(guestWat()));
    const at = text.indexOf('(func $process');
    const lift = text.slice(at).replace('string-encoding=utf8', 'string-encoding=utf8 async');
    expect(await refusal(parse(text.slice(0, at) + lift).then(prepare))).toMatch(
      /uses asynchronous functions \(canonical option 0x6\)/,
    );
  });

  it.each([
    ['a waitable set', '(core func (canon waitable-set.new))', '0x1f'],
    ['a stream', '(type $s (stream u8)) (core func (canon stream.new $s))', '0xe'],
    ['a yield', '(core func (canon thread.yield))', '0xc'],
    ['one in a component within', '(component (core func (canon subtask.drop)))', '0xd'],
  ])('is refused with %s', async (_, text, code) => {
    expect(await refusal(prepare(await parse(`(component ${text})`)))).toContain(
      `uses asynchronous functions (canonical function ${code})`,
    );
  });

  it('is refused with resources in the interface', async () => {
    const bytes = await componentOf(guestWat(), 'resource web-assembly;');
    expect(await refusal(prepare(bytes))).toMatch(/has resources/);
  });

  it('is refused with the interface in two versions', async () => {
    const text = await print(await componentOf(guestWat()));
    const second = `(core module $m2 (func (export "run"))) (core instance $i2 (instantiate $m2))
      (func $run (canon lift (core func $i2 "run"))) (instance $p2 (export "finish" (func $run)))
      (export "ig:post-processor/processor@1.1.0" (instance $p2))`;
    const both = `${text.slice(0, text.lastIndexOf(')'))} ${second})`;
    expect(await refusal(parse(both).then(prepare))).toMatch(
      /exports ig:post-processor\/processor@1\.1\.0 besides/,
    );
  });

  it('is refused with components nested too deep, and with too many functions', async () => {
    let nested = await parse('(component)');
    for (let i = 0; i < 20; i++) nested = nestedIn(nested);
    expect(await refusal(prepare(nested))).toMatch(/nested more than 16 deep/);
    const functions = Array.from({ length: 600 }, () => '(func (canon lift (core func $i "f")))').join('');
    const many = `(component (core module $m (func (export "f"))) (core instance $i (instantiate $m)) ${functions})`;
    expect(await refusal(prepare(await parse(many)))).toMatch(
      /has 600 functions of the component model, but at most 512/,
    );
  });

  it('makes a bounded number of instances and memories', async () => {
    const text = await print(await componentOf(guestWat()));
    const withInstances = (count: number, module: string): Promise<PreparedGuest> => {
      const instances = '(core instance (instantiate $more))'.repeat(count);
      const wanted = `(core module $more ${module}) ${instances} (core instance $main`;
      return parse(text.replace('(core instance $main', wanted)).then(prepare);
    };
    const empty = await withInstances(40, '');
    expect(failureOf(() => instantiateGuest(empty))).toMatch(/more than 32 instances of its core modules/);
    const withMemory = await withInstances(4, '(memory 1024)');
    expect(failureOf(() => instantiateGuest(withMemory))).toMatch(/more than 4 memories in all/);
  });

  it('fails while it starts by segments outside of its memory or table', async () => {
    for (const more of [
      '(data (i32.const 131072) "x")',
      '(table 1 funcref) (func $f) (elem (i32.const 1) $f)',
      '(func $s unreachable) (start $s)',
    ]) {
      const prepared = await prepare(await componentOf(guestWat({ more })));
      expect(failureOf(() => instantiateGuest(prepared))).toMatch(/failed in start: /);
    }
  });
});

function nestedIn(component: Uint8Array): Uint8Array {
  const header = component.subarray(0, HEADER_SIZE);
  return Buffer.concat([header, Buffer.from([4, ...encodeU32(component.length)]), component]);
}

describe('what a call returns', () => {
  /** One module, which does another kind of harm for each number of events. */
  const HARMS: readonly (readonly [what: string, code: string, said: RegExp])[] = [
    ['an error outside of its memory', '(call $result (i32.const 1) (i32.const 0x7ffffff0) (i32.const 64))', /in/],
    ['an error of 4 GiB', '(call $result (i32.const 1) (i32.const 64) (i32.const -1))', /more than 16 MiB/],
    ['a patch of 4 GiB', '(call $result (i32.const 0) (i32.const 64) (i32.const -1))', /outside its memory/],
    ['a patch at the end of 4 GiB', '(call $result (i32.const 0) (i32.const -16) (i32.const 16))', /outside/],
    ['a patch far outside', '(call $result (i32.const 0) (i32.const -1) (i32.const -1))', /outside its memory/],
    ['an unknown case', '(call $result (i32.const 7) (i32.const 0) (i32.const 0))', /invalid variant/],
    ['a result outside of its memory', '(i32.const -4)', /outside|bounds/i],
    ['an error that is no UTF-8', '(i64.store (i32.const 256) (i64.const -2)) (call $result (i32.const 1) (i32.const 256) (i32.const 3))', /: ���$/],
    ['an error with line breaks and commands', '(i64.store (i32.const 256) (i64.const 0x0d0a6d31335b1b41)) (call $result (i32.const 1) (i32.const 256) (i32.const 8))', /: A\?\[31m\?\?$/],
    ['an error of 10 MB', '(memory.fill (i32.const 512) (i32.const 65) (i32.const 10000000)) (call $result (i32.const 1) (i32.const 512) (i32.const 10000000))', /: A{300}…$/],
    ['endless recursion', '(call $recursive (i32.const 1))', /call stack/],
    ['an address outside of its memory', '(i32.load (i32.const -4))', /out of bounds/],
    ['a division by zero', '(i32.div_u (i32.const 1) (i32.const 0))', /divide by zero/],
    ['a call through an empty table', '(call_indirect (result i32) (i32.const 0))', /table|null|indirect/],
  ]; // prettier-ignore
  const body = HARMS.map(
    ([, code], i) => `(if (i32.eq (local.get $count) (i32.const ${i})) (then (return ${code})))`,
  ).join('\n');
  const more = `(table 1 funcref)
    (func $recursive (param i32) (result i32) (i32.add (call $recursive (local.get 0)) (i32.const 1)))`;
  let guestOf: Promise<PreparedGuest> | undefined;

  it.each(HARMS.map(([what, , said], i) => [what, i, said] as const))('by %s', async (_, i, said) => {
    const parts = { memory: '200', process: `${body} (global.get $ok)`, more };
    guestOf ??= componentOf(guestWat(parts)).then(prepare);
    const guest = instantiateGuest(await guestOf);
    guest.init([], [], 'error');
    const message = failureOf(() => guest.process(0, i, new Uint8Array(16)));
    expect(message).toMatch(/^the gadget's Wasm module failed in process: /);
    expect(message).toMatch(said);
  });

  it.each([
    ['with a list of 2³¹ elements', [0, 4096, 0x8000_0000], /more than 16 MiB of texts and lists/],
    ['with a list that leads nowhere', [0, 0x7fff_fff0, 1000], /outside|bounds/i],
    ['with a list that is not aligned', [0, 4097, 1], /not aligned/],
    ['with a name outside of its memory', [0, 2048, 1], /typed array length|outside/],
    ['with tags that all are the same megabyte', [0, 3072, 1], /more than 16 MiB of texts and lists/],
  ])('as a plan %s', async (_, plan, said) => {
    const tags = Array.from({ length: 40 }, () => [65536, 1_000_000]).flat();
    const more = [
      dataWat(1024, ...plan, 0, 0, 0, 0, 0),
      dataWat(2048, 0, 0x7000_0000, 100, 8, 1, 0, 0, 0, 0),
      dataWat(3072, 0, 64, 1, 8, 1, 4096, 40, 0, 0),
      dataWat(4096, ...tags),
    ].join('\n');
    const wat = guestWat({ memory: '64', init: '(i32.const 1024)', more });
    const guest = instantiateGuest(await prepare(await componentOf(wat)));
    expect(failureOf(() => guest.init([], [], 'error'))).toMatch(said);
  });

  it('by a wrong address for what it is given', async () => {
    for (const [realloc, said] of [
      ['(return (i32.const -16))', /failed in process/],
      ['(return (i32.const 131060))', /failed in process/],
      ['(unreachable)', /unreachable/],
    ] as const) {
      const guest = await started({
        realloc: `(if (i32.gt_u (local.get 3) (i32.const 64)) (then ${realloc}))`,
      });
      expect(failureOf(() => guest.process(0, 1, new Uint8Array(1000)))).toMatch(said);
    }
  });

  it('by a trap after its result was read', async () => {
    const more = '(func (export "cabi_post_$I#process") (param i32) unreachable)';
    const guest = await started({ more });
    expect(failureOf(() => guest.process(0, 1, new Uint8Array(16)))).toMatch(/in process: .*unreachable/);
  });
});

describe('a core module', () => {
  const SHELL = `(func (export "gadgetAPIVersion") (result i64) (i64.const 1)) (memory (export "memory") 1)`;

  it.each([
    ['two memories', '(memory 1) (memory 1)', /2 memories/],
    ['a memory of 64 bits', '(memory i64 1)', /64-bit/],
    ['a shared memory', '(memory 1 2 shared)', /shared/],
    ['too many tables', '(table 1 funcref)'.repeat(9), /more than 8 tables/],
    [
      'too many entries in all tables',
      '(table 60000 funcref)'.repeat(2),
      /tables of more than 100000 entries/,
    ],
    ['an imported tag', '(import "ig" "t" (tag (param i32)))', /imports something of an unknown kind/],
    ['an imported table', '(import "ig" "t" (table 1 funcref))', /imports the table t/],
    ['an imported global', '(import "ig" "g" (global i32))', /imports the global g/],
    ['structs', '(type (struct (field i32)))', /garbage-collected types/],
    ['arrays', '(type (array (mut i32)))', /garbage-collected types/],
    ['groups of types', '(rec (type (func)) (type (func)))', /garbage-collected types/],
  ])('is refused with %s', async (_, text, said) => {
    expect(await refusal(parse(`(module ${text})`).then((bytes) => prepareCore(bytes)))).toMatch(said);
  });

  it('is refused when a function would take gigabytes to compile', async () => {
    const blocks = (count: number): string => '(block '.repeat(count) + ')'.repeat(count);
    const withFunction = (body: string): Promise<unknown> =>
      parse(`(module ${SHELL} (func ${body}))`).then((bytes) => prepareCore(bytes));
    expect(await refusal(withFunction(`(local ${'i32 '.repeat(50_000)}) ${blocks(2000)}`))).toMatch(
      /a function of \d+ bytes with 50000 local variables, 0 loops, and blocks nested 2000 deep/,
    );
    expect(await refusal(withFunction('(loop (br_if 0 (i32.load (i32.const 0))))'.repeat(3000)))).toMatch(
      /3000 loops/,
    );
    await withFunction(`(local ${'i32 '.repeat(500)}) ${blocks(700)}`);
  });

  it('is compiled as it is when its functions are those of large programs', async () => {
    const tools = new URL('.', import.meta.resolve('@bytecodealliance/jco-transpile/component'));
    for (const name of ['wasm-tools.core.wasm', 'js-component-bindgen-component.core.wasm']) {
      const bytes = await readFile(new URL(name, tools));
      const code = [...sectionsOf(bytes)].find(({ id }) => id === 10)!;
      expect(largestFunction(code)).toBeGreaterThan(50_000);
    }
  });

  it('runs a function that is too large to be optimized', async () => {
    const adds = '(i32.add (i32.const 1))'.repeat(20_000);
    const module = await compileCore(
      await parse(`(module (func (export "f") (result i32) (i32.const 0) ${adds}))`),
    );
    const { f } = new WebAssembly.Instance(module).exports as { f: () => number };
    for (let i = 0; i < 1000; i++) expect(f()).toBe(20_000);
  });
});
