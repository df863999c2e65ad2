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

/**
 * A component of our world around a core module in WebAssembly text; `$I` stands for the interface's name. `functions`:
 * in WIT, to be in the interface besides.
 */
export async function componentOf(wat: string, functions = ''): Promise<Uint8Array> {
  const wit = await readFile(new URL('../wit/post-processor.wit', import.meta.url), 'utf8');
  const witSource = wit.replace(/(finish: func.*;)/, `$1\n${functions}`);
  const binary = await parse(wat.replaceAll('$I', 'ig:post-processor/processor@1.0.0'));
  const embedded = await componentEmbed({
    binary,
    witSource,
    world: 'post-processor',
    stringEncoding: 'utf8',
  });
  return componentNew(embedded, []);
}

/** Parts of `guestWat`; each takes the place of one that does nothing. */
export interface GuestParts {
  /** Limits of the memory, in pages. */
  readonly memory?: string;
  /** Data, functions and globals of one's own. */
  readonly more?: string;
  /** Bodies of functions; those with results leave the address of one. There are the locals `$i` and `$k`. */
  readonly init?: string;
  readonly select?: string;
  readonly process?: string;
  readonly tick?: string;
  readonly finish?: string;
  /** What `cabi_realloc` does first. */
  readonly realloc?: string;
}

/** An empty success, at `$ok`: an empty plan as well as an empty patch. */
const OK = '(global.get $ok)';

/**
 * A module in WebAssembly text that lets all events through. `$result(case, address, length)` makes a result: 0 with
 * bytes, 1 with a text. What it is given lies from 64 KiB on.
 */
export function guestWat(parts: GuestParts = {}): string {
  const { memory = '2', more = '', realloc = '', select = '' } = parts;
  const { init = OK, process = OK, tick = OK, finish = OK } = parts;
  return `(module
    (memory (export "memory") ${memory})
    (global $ok i32 (i32.const 64))
    (global $heap (mut i32) (i32.const 65536))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
      ${realloc}
      (global.get $heap)
      (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 3)) (i32.const 15)) (i32.const -8))))
    (func $result (param $case i32) (param $at i32) (param $length i32) (result i32)
      (i32.store (i32.const 16) (local.get $case))
      (i32.store (i32.const 20) (local.get $at))
      (i32.store (i32.const 24) (local.get $length))
      (i32.const 16))
    (func (export "$I#init") (param i32 i32 i32 i32 i32) (result i32) (local $i i32) (local $k i64) ${init})
    (func (export "$I#select") (param i32 i32) (local $i i32) (local $k i64) ${select})
    (func (export "$I#process") (param $source i32) (param $count i32) (param $at i32) (param $size i32) (result i32)
      (local $i i32) (local $k i64)
      (global.set $heap (i32.const 65536))
      ${process})
    (func (export "$I#tick") (param i64) (result i32) (local $i i32) (local $k i64) ${tick})
    (func (export "$I#finish") (result i32) (local $i i32) (local $k i64) ${finish})
    ${more})`;
}

/** Numbers as data at an address, in WebAssembly text. */
export function dataWat(address: number, ...numbers: readonly number[]): string {
  const bytes = [...new Uint8Array(Uint32Array.from(numbers).buffer)];
  return `(data (i32.const ${address}) "${bytes.map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('')}")`;
}

/** A module whose `process` does another kind of harm for each number of events. */
export const HARMFUL_GUEST = `(module
  (memory (export "memory") 2)
  (table (export "table") 1 funcref)
  (global $heap (mut i32) (i32.const 4096))
  (data (i32.const 64) "it was\\0anot my fault")
  (data (i32.const 96) "flag")
  ;; One column: source 0, name "flag", kind boolean, length 1, no tags, no annotations.
  (data (i32.const 128) "\\00\\00\\00\\00\\60\\00\\00\\00\\04\\00\\00\\00\\01\\00\\00\\00\\01\\00\\00\\00")
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
  (func (export "$I#init") (param i32 i32 i32 i32 i32) (result i32)
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
  (func (export "$I#tick") (param i64) (result i32) (call $result (i32.const 0) (i32.const 0) (i32.const 0)))
  (func (export "$I#finish") (result i32) (call $result (i32.const 1) (i32.const 64) (i32.const 6))))`;

/** A module that emits to `alerts` and logs: of a batch the size of the column it reads, of a tick its time. */
export const TALKING_GUEST = `(module
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 4096))
  (data (i32.const 64) "alerts")
  (data (i32.const 80) "n")
  ;; Its field: name, kind u64, length 1; then the data source; then field 1 of data source 0, to be read.
  (data (i32.const 96) "\\50\\00\\00\\00\\01\\00\\00\\00\\09\\00\\00\\00\\01\\00\\00\\00")
  (data (i32.const 128) "\\40\\00\\00\\00\\06\\00\\00\\00\\60\\00\\00\\00\\01\\00\\00\\00")
  (data (i32.const 148) "\\01")
  ;; The plan: no columns, what it reads, what it emits, a tick every 20 ms.
  (data (i32.const 160) "\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\90\\00\\00\\00\\01\\00\\00\\00\\80\\00\\00\\00\\01\\00\\00\\00\\14")
  ;; The patch: header, one block of one event at 32, its value at 64, two lines at 72 and their text.
  (data (i32.const 256) "\\01\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\20\\00\\00\\00\\48")
  (data (i32.const 288) "\\01\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\01\\00\\00\\00\\40\\00\\00\\00\\08")
  (data (i32.const 328) "\\02\\00\\00\\00\\03\\00\\00\\00\\64\\00\\00\\00\\02\\00\\00\\00\\04\\00\\00\\00\\64\\00\\00\\00\\02")
  (data (i32.const 356) "hi")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 3)) (i32.const 15)) (i32.const -8)))
    (local.get $at))
  (func $patch (param $count i32) (param $value i64) (result i32)
    (i32.store (i32.const 260) (local.get $count))
    (i64.store (i32.const 320) (local.get $value))
    (i32.store (i32.const 20) (i32.const 256))
    (i32.store (i32.const 24) (i32.const 102))
    (i32.const 16))
  (func (export "$I#init") (param i32 i32 i32 i32 i32) (result i32) (i32.const 160))
  (func (export "$I#select") (param i32 i32))
  (func (export "$I#process") (param $source i32) (param $count i32) (param $at i32) (param $size i32) (result i32)
    (local $trailer i32)
    (local.set $trailer (i32.add (local.get $at)
      (i32.load (i32.add (local.get $at) (i32.mul (local.get $count) (i32.const 4))))))
    (call $patch (local.get $count) (i64.load32_u offset=12 (local.get $trailer))))
  (func (export "$I#tick") (param $now i64) (result i32) (call $patch (i32.const 0) (local.get $now)))
  (func (export "$I#finish") (result i32) (call $patch (i32.const 0) (i64.const -1))))`;
