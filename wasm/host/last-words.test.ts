// What a module that trapped left to say, and that it cannot do harm by it.

import { expect, it } from 'vitest';
import { DataSource } from '../../runtime/data/data-source.js';
import { prepareComponent } from './component.js';
import { PostProcessor } from './post-processor.js';
import { componentOf } from './testing.js';

const TRAP = "the gadget's Wasm module failed in init: wasm trap: wasm `unreachable` instruction executed";

/** What is said of a module whose `init` traps; `words` is the global, and what stands at 64 in its memory. */
async function failureOf(global: string, words: string): Promise<string> {
  const component = await componentOf(`(module
    (memory (export "memory") 1)
    (global (export "ig_last_words") ${global})
    (data (i32.const 64) "${words}")
    (data (i32.const 96) "gave\\0aup")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 128))
    (func (export "$I#init") (param i32 i32 i32 i32 i32) (result i32) unreachable)
    (func (export "$I#select") (param i32 i32))
    (func (export "$I#process") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "$I#tick") (param i64) (result i32) unreachable)
    (func (export "$I#finish") (result i32) unreachable))`);
  const prepared = await prepareComponent(component, { cacheDirs: [] });
  try {
    new PostProcessor(prepared, [], [new DataSource('any', 'single', 8)]);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('the module did not fail');
}

it('shows the last words of a module that trapped', async () => {
  expect(await failureOf('i32 (i32.const 64)', '\\60\\00\\00\\00\\07\\00\\00\\00')).toBe(
    "the gadget's Wasm module failed in init: gave?up",
  );
});

it.each([
  ['are empty', 'i32 (i32.const 64)', ''],
  ['lead out of its memory', 'i32 (i32.const 64)', '\\60\\00\\00\\ff\\07\\00\\00\\00'],
  ['end outside its memory', 'i32 (i32.const 64)', '\\fc\\ff\\00\\00\\07\\00\\00\\00'],
  ['stand outside its memory', 'i32 (i32.const -4)', ''],
  ['are no address', 'i64 (i64.const -1)', ''],
])('shows the trap when the words %s', async (_, global, words) => {
  expect(await failureOf(global, words)).toBe(TRAP);
});
