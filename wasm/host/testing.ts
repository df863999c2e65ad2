// What the tests of this room share: batches made by hand, and components made from WebAssembly text.

import { readFile } from 'node:fs/promises';
import { componentEmbed, componentNew, parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import { Batch, OFFSETS_SIZE_BYTES } from '../../runtime/data/batch.js';

/** A record whose tail values stand behind `struct`, referred to from the given offsets. */
export function recordOf(
  struct: Uint8Array,
  tails: readonly (readonly [number, Uint8Array])[] = [],
): Uint8Array {
  const record = Buffer.concat([struct, ...tails.map(([, bytes]) => bytes)]);
  let position = struct.length;
  for (const [at, bytes] of tails) {
    record.writeUInt32LE(position, at);
    record.writeUInt32LE(bytes.length, at + 4);
    position += bytes.length;
  }
  return record;
}

/** A fresh batch of these records. */
export function batchOf(records: readonly Uint8Array[]): Batch {
  const align8 = (size: number): number => (size + 7) & ~7;
  const batch = new Batch(records.reduce((sum, record) => sum + align8(record.length), 0));
  let position = OFFSETS_SIZE_BYTES;
  records.forEach((record, i) => {
    batch.offsets[i] = position;
    batch.bytes.set(record, position);
    position += align8(record.length);
  });
  batch.offsets[records.length] = position;
  batch.reset(records.length);
  return batch;
}

/** A component of our world around a core module in WebAssembly text; `$I` stands for the interface's name. */
export async function componentOf(wat: string): Promise<Uint8Array> {
  const witSource = await readFile(new URL('../wit/0.1/post-processor.wit', import.meta.url), 'utf8');
  const binary = await parse(wat.replaceAll('$I', 'ig:post-processor/processor@0.1.0'));
  const embedded = await componentEmbed({
    binary,
    witSource,
    world: 'post-processor',
    stringEncoding: 'utf8',
  });
  return componentNew(embedded, []);
}

/** A module whose `process` does another kind of harm for each number of events. */
export const HARMFUL_GUEST = `(module
  (memory (export "memory") 2)
  (table (export "table") 1 funcref)
  (global $heap (mut i32) (i32.const 4096))
  (data (i32.const 64) "it was\\0anot my fault")
  (data (i32.const 96) "flag")
  ;; One column: source 0, name "flag", kind boolean.
  (data (i32.const 128) "\\00\\00\\00\\00\\60\\00\\00\\00\\04\\00\\00\\00\\01\\00\\00\\00")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 3)) (i32.const 15)) (i32.const -8)))
    (local.get $at))
  (func $result (param $case i32) (param $at i32) (param $length i32) (result i32)
    (i32.store (i32.const 16) (local.get $case))
    (i32.store (i32.const 20) (local.get $at))
    (i32.store (i32.const 24) (local.get $length))
    (i32.const 16))
  (func (export "$I#init") (param i32 i32 i32 i32) (result i32)
    (call $result (i32.const 0) (i32.const 128) (i32.const 1)))
  (func (export "$I#select") (param i32 i32))
  (func (export "$I#process") (param $source i32) (param $count i32) (param $at i32) (param $size i32) (result i32)
    (if (i32.eq (local.get $count) (i32.const 1)) (then (unreachable)))
    (if (i32.eq (local.get $count) (i32.const 2))
      (then (return (call $result (i32.const 1) (i32.const 64) (i32.const 19)))))
    (if (i32.eq (local.get $count) (i32.const 3))
      (then (return (call $result (i32.const 0) (i32.const 0x7ffffff0) (i32.const 64)))))
    (if (i32.eq (local.get $count) (i32.const 4))
      (then
        (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        ;; As many bytes of an error as there are pages of memory.
        (return (call $result (i32.const 1) (i32.const 64) (memory.size)))))
    (if (i32.eq (local.get $count) (i32.const 5))
      (then
        (loop $more (br_if $more (i32.ne (table.grow (ref.null func) (i32.const 1000)) (i32.const -1))))
        (return (call $result (i32.const 1) (i32.const 64) (table.size)))))
    (if (i32.eq (local.get $count) (i32.const 6))
      (then (return (call $result (i32.const 0) (i32.const 64) (i32.const 5)))))
    (call $result (i32.const 0) (i32.const 0) (i32.const 0)))
  (func (export "$I#finish") (result i32) (call $result (i32.const 1) (i32.const 64) (i32.const 6))))`;
