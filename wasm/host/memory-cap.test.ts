// What a module's memory becomes: it ends at the cap, and no buffer is detached when it grows.

import { parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import { describe, expect, it } from 'vitest';
import { InvalidModuleError } from './errors.js';
import { capMemory } from './memory-cap.js';

const PAGE_BYTES = 65536;

async function instantiate(wat: string, pages: number, imports?: object): Promise<WebAssembly.Instance> {
  const module = await WebAssembly.compile(capMemory(await parse(wat), pages * PAGE_BYTES));
  return new WebAssembly.Instance(module, imports);
}

const GROWING = `(module
  (memory (export "memory") 1)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`;

function partsOf({ exports }: WebAssembly.Instance) {
  return exports as unknown as { memory: WebAssembly.Memory; grow: (pages: number) => number };
}

describe('capMemory', () => {
  it('leaves views of a memory whole when it grows', async () => {
    const { memory, grow } = partsOf(await instantiate(GROWING, 3));
    const before = new Uint8Array(memory.buffer);
    expect(grow(1)).toBe(1);
    expect(before.length).toBe(PAGE_BYTES);
    expect(memory.buffer.byteLength).toBe(2 * PAGE_BYTES);
  });

  it('lets it grow to the cap and no further', async () => {
    const { grow } = partsOf(await instantiate(GROWING, 3));
    expect(grow(3)).toBe(-1);
    expect(grow(2)).toBe(1);
    expect(grow(1)).toBe(-1);
  });

  it('does so with a memory that comes from another module, among other imports', async () => {
    const { memory } = partsOf(await instantiate(GROWING, 3));
    const wat = (limits: string): string => `(module
      (import "a" "f" (func (param i32)))
      (import "a" "t" (table 1 funcref))
      (import "a" "memory" (memory ${limits}))
      (import "a" "g" (global i32))
      (func (export "first") (result i32) (i32.load8_u (i32.const 0))))`;
    const table = await instantiate('(module (table (export "t") 1 10 funcref))', 1);
    const imports = { a: { f: () => undefined, t: table.exports['t'], memory, g: 7 } };
    new Uint8Array(memory.buffer)[0] = 42;
    for (const limits of ['1', '1 10', '1 65536']) {
      const { exports } = await instantiate(wat(limits), 1, imports);
      expect((exports['first'] as () => number)()).toBe(42);
    }
  });

  it.each(['(module (memory 1 2 shared))', '(module (import "a" "m" (memory 1 2 shared)))'])(
    'refuses %s',
    async (wat) => {
      const module = await parse(wat);
      expect(() => capMemory(module, PAGE_BYTES)).toThrow(InvalidModuleError);
    },
  );
});
