// The functions of the WIT world as the component model's canonical ABI wants them of a core module.
// Layouts: https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md

import { Field } from './field';
import { params, runInit, failed, takeFailure } from './gadget';
import { Column } from './column';
import { Source, columnSources, columns, sources } from './source';
import { patch, patchSize, run } from './patch';

/** Size in bytes of `record source`, `record field`, `tuple<string, string>` and `record column`. */
const SOURCE_SIZE = 20;
const FIELD_SIZE = 44;
const PARAM_SIZE = 16;
const COLUMN_SIZE = 36;

/** Where results stand: u8 case, then u32 address and u32 length; of `record plan`, those of its columns first. */
const result: usize = memory.data(32);

/** Keeps the last error text until the host has read it. */
let errorText: ArrayBuffer = new ArrayBuffer(0);

export function cabi_realloc(old: usize, _oldSize: usize, align: usize, size: usize): usize {
  if (size == 0) return align;
  return old == 0 ? heap.alloc(size) : heap.realloc(old, size);
}

export function init(paramsAt: usize, paramCount: u32, sourcesAt: usize, sourceCount: u32, _log: u32): usize {
  for (let i: u32 = 0; i < paramCount; i++) {
    const at = paramsAt + i * PARAM_SIZE;
    params.set(readString(at), readString(at + 8));
  }
  for (let i = 0; i < sources.length; i++) {
    const problem = bind(sources[i], sourcesAt, sourceCount);
    if (problem.length != 0) return error(problem);
  }
  runInit();
  if (failed()) return error(takeFailure());
  return ok(describeColumns(), columns.length);
}

export function select(usedAt: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++) columns[i].wanted = load<u8>(usedAt + i) != 0;
}

export function process(id: u32, count: u32, batch: usize, size: usize): usize {
  const source = sourceOf(id);
  if (source === null) ok(0, 0);
  else if (run(source, count, batch)) ok(patch, patchSize);
  else error(takeFailure());
  if (size > 0) heap.free(batch);
  __collect();
  return result;
}

export function tick(_now: u64): usize {
  return ok(0, 0);
}

export function finish(): usize {
  return ok(0, 0);
}

function sourceOf(id: u32): Source | null {
  for (let i = 0; i < sources.length; i++) if (sources[i].id == id) return sources[i];
  return null;
}

/** Finds the source the module means among those of the gadget. Returns what is missing, or nothing. */
function bind(source: Source, sourcesAt: usize, sourceCount: u32): string {
  for (let i: u32 = 0; i < sourceCount; i++) {
    const at = sourcesAt + i * SOURCE_SIZE;
    if (readString(at + 4) != source.name) continue;
    source.id = load<u32>(at);
    for (let f = 0; f < source.fields.length; f++) {
      const problem = bindField(source.fields[f], load<usize>(at, 12), load<u32>(at, 16));
      if (problem.length != 0) return `field ${source.fields[f].name} of data source ${source.name} ${problem}`;
    }
    return '';
  }
  return `the gadget has no data source ${source.name}, which the module needs`;
}

function bindField(field: Field, fieldsAt: usize, fieldCount: u32): string {
  for (let i: u32 = 0; i < fieldCount; i++) {
    const at = fieldsAt + i * FIELD_SIZE;
    if (readString(at) != field.name) continue;
    if (load<u8>(at, 16) == 2) return 'is not in the records, which this module reads alone';
    return field.resolve(load<u8>(at, 8), load<u8>(at, 16) == 1, load<u32>(at, 20), load<u32>(at, 24));
  }
  return 'does not exist, but the module needs it';
}

function describeColumns(): usize {
  const list = heap.alloc(COLUMN_SIZE * columns.length + 1);
  memory.fill(list, 0, COLUMN_SIZE * columns.length);
  for (let i = 0; i < columns.length; i++) {
    const at = list + i * COLUMN_SIZE;
    const name = encode(columns[i].name);
    store<u32>(at, columnSources[i].id);
    store<usize>(at, changetype<usize>(name), 4);
    store<u32>(at, name.byteLength, 8);
    store<u8>(at, columns[i].kind, 12);
    store<u32>(at, 1, 16);
  }
  return list;
}

function readString(at: usize): string {
  return String.UTF8.decodeUnsafe(load<usize>(at), load<usize>(at, 4));
}

/** Names live as long as the module. */
const encoded: ArrayBuffer[] = [];

function encode(text: string): ArrayBuffer {
  const bytes = String.UTF8.encode(text);
  encoded.push(bytes);
  return bytes;
}

function ok(address: usize, length: usize): usize {
  store<u8>(result, 0);
  store<usize>(result, address, 4);
  store<usize>(result, length, 8);
  return result;
}

function error(reason: string): usize {
  errorText = String.UTF8.encode(reason);
  store<u8>(result, 1);
  store<usize>(result, changetype<usize>(errorText), 4);
  store<usize>(result, errorText.byteLength, 8);
  return result;
}
