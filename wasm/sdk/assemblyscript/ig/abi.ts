// The functions of the WIT world as the component model's canonical ABI wants them of a core module.
// Layouts: https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md

import { Column } from './column';
import { Field, FieldFacts } from './field';
import { failed, params, runFinish, runInit, runTick, takeFailure, tickMs } from './gadget';
import { Place } from './kind';
import { setLevel } from './log';
import { newSources } from './new-source';
import { columnCount, patch, patchSize, run, runRest } from './patch';
import { Source, sources } from './source';

/** Sizes in bytes of the WIT's records; of pairs of texts; of texts and lists. */
const SOURCE_SIZE = 20;
const FIELD_SIZE = 44;
const NEW_FIELD_SIZE = 32;
const COLUMN_SIZE = 36;
const NEW_SOURCE_SIZE = 16;
const PAIR_SIZE = 16;
const LIST_SIZE = 8;

/** Where results stand: u8 case, then u32 address and u32 length; or the whole of `record plan`. */
const result: usize = memory.data(32);

/** Keeps the last error text until the host has read it. */
let errorText: ArrayBuffer = new ArrayBuffer(0);

export function cabi_realloc(old: usize, _oldSize: usize, align: usize, size: usize): usize {
  if (size == 0) return align;
  return old == 0 ? heap.alloc(size) : heap.realloc(old, size);
}

export function init(paramsAt: usize, paramCount: u32, sourcesAt: usize, sourceCount: u32, level: u32): usize {
  setLevel(level);
  for (let i: u32 = 0; i < paramCount; i++) {
    const at = paramsAt + i * PAIR_SIZE;
    params.set(readString(at), readString(at + LIST_SIZE));
  }
  for (let i = 0; i < sources.length; i++) {
    const problem = bind(sources[i], sourcesAt, sourceCount);
    if (problem.length != 0) return error(problem);
  }
  for (let i = 0; i < newSources.length; i++) newSources[i].begin();
  runInit();
  if (failed()) return error(takeFailure());
  store<u8>(result, 0);
  writeColumns(result + 4);
  writeReads(result + 12);
  writeEmits(result + 20);
  store<u32>(result, tickMs, 28);
  return result;
}

export function select(usedAt: usize, count: u32): void {
  let index: u32 = 0;
  for (let s = 0; s < sources.length; s++) {
    const columns = sources[s].columns;
    for (let i = 0; i < columns.length && index < count; i++, index++) {
      columns[i].wanted = load<u8>(usedAt + index) != 0;
    }
  }
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

export function tick(now: u64): usize {
  runTick(now);
  return finished();
}

export function finish(): usize {
  runFinish();
  return finished();
}

function finished(): usize {
  if (failed()) error(takeFailure());
  else {
    runRest();
    ok(patch, patchSize);
  }
  __collect();
  return result;
}

function sourceOf(id: u32): Source | null {
  for (let i = 0; i < sources.length; i++) if (sources[i].id == id) return sources[i];
  return null;
}

/** Finds the source the module means among those of the gadget. Returns what is missing, or nothing. */
function bind(source: Source, sourcesAt: usize, sourceCount: u32): string {
  for (let i: u32 = 0; i < sourceCount; i++) {
    const at = sourcesAt + i * SOURCE_SIZE;
    const name = readString(at + 4);
    if (name != source.name && source.name != '*') continue;
    source.id = load<u32>(at);
    for (let f = 0; f < source.fields.length; f++) {
      const problem = bindField(source.fields[f], load<usize>(at, 12), load<u32>(at, 16));
      if (problem.length != 0) return `field ${source.fields[f].name} of data source ${name} ${problem}`;
    }
    return '';
  }
  return `there is no data source ${source.name}, which the module needs`;
}

function bindField(field: Field, fieldsAt: usize, fieldCount: u32): string {
  for (let i: u32 = 0; i < fieldCount; i++) {
    const at = fieldsAt + i * FIELD_SIZE;
    if (readString(at) != field.name) continue;
    field.number = i;
    return field.resolve(readFacts(at));
  }
  return field.isOptional ? '' : 'does not exist, but the module needs it';
}

const facts = changetype<FieldFacts>(memory.data(offsetof<FieldFacts>()));

function readFacts(at: usize): FieldFacts {
  facts.kind = load<u8>(at, 8);
  facts.length = load<u32>(at, 12);
  facts.place = load<u8>(at, 16);
  facts.offset = load<u32>(at, 20);
  facts.size = load<u32>(at, 24);
  facts.hasMarker = false;
  const annotations = load<usize>(at, 36);
  for (let i: u32 = 0; i < load<u32>(at, 40); i++) {
    const pair = annotations + i * PAIR_SIZE;
    if (readString(pair) != 'value.undefined') continue;
    facts.hasMarker = true;
    facts.marker = parseMarker(readString(pair + LIST_SIZE));
  }
  return facts;
}

function parseMarker(decimal: string): u64 {
  return decimal.startsWith('-') ? -U64.parseInt(decimal.substring(1)) : U64.parseInt(decimal);
}

/** Writes the list of `record column` that starts with `target`: its address, its length. */
function writeColumns(target: usize): void {
  const count = columnCount();
  let at = newList(target, count, COLUMN_SIZE);
  for (let s = 0; s < sources.length; s++) {
    const columns = sources[s].columns;
    for (let i = 0; i < columns.length; i++, at += COLUMN_SIZE) {
      store<u32>(at, sources[s].id);
      writeNewField(at + 4, columns[i]);
    }
  }
}

/** The fields that are not in the records, in the order in which a batch has them. */
function writeReads(target: usize): void {
  let count = 0;
  for (let s = 0; s < sources.length; s++) {
    for (let i = 0; i < sources[s].fields.length; i++) if (sources[s].fields[i].place == Place.COLUMN) count++;
  }
  let at = newList(target, count, 8);
  for (let s = 0; s < sources.length; s++) {
    for (let i = 0; i < sources[s].fields.length; i++) {
      if (sources[s].fields[i].place != Place.COLUMN) continue;
      store<u32>(at, sources[s].id);
      store<u32>(at, sources[s].fields[i].number, 4);
      at += 8;
    }
  }
}

function writeEmits(target: usize): void {
  let at = newList(target, newSources.length, NEW_SOURCE_SIZE);
  for (let s = 0; s < newSources.length; s++, at += NEW_SOURCE_SIZE) {
    const columns = newSources[s].columns;
    writeText(at, newSources[s].name);
    const fields = newList(at + LIST_SIZE, columns.length, NEW_FIELD_SIZE);
    for (let i = 0; i < columns.length; i++) writeNewField(fields + i * NEW_FIELD_SIZE, columns[i]);
  }
}

function writeNewField(at: usize, column: Column): void {
  const tags = column.tags;
  const annotations = column.annotations;
  writeText(at, column.name);
  store<u8>(at, column.kind, 8);
  store<u32>(at, column.length, 12);
  const tagsAt = newList(at + 16, tags.length, LIST_SIZE);
  for (let i = 0; i < tags.length; i++) writeText(tagsAt + i * LIST_SIZE, tags[i]);
  // Keys and values by turns: as a list of pairs is.
  const pairsAt = newList(at + 24, annotations.length / 2, PAIR_SIZE);
  for (let i = 0; i < annotations.length; i++) writeText(pairsAt + i * LIST_SIZE, annotations[i]);
}

/** Memory for a list that lives as long as the module, made zero; its address and length are written to `target`. */
function newList(target: usize, count: u32, elementSize: u32): usize {
  const size = <usize>count * elementSize;
  const list = heap.alloc(size + 8);
  memory.fill(list, 0, size);
  store<usize>(target, list);
  store<u32>(target, count, 4);
  return list;
}

/** Texts live as long as the module. */
const encoded: ArrayBuffer[] = [];

function writeText(target: usize, text: string): void {
  const bytes = String.UTF8.encode(text);
  encoded.push(bytes);
  store<usize>(target, changetype<usize>(bytes));
  store<u32>(target, bytes.byteLength, 4);
}

function readString(at: usize): string {
  return String.UTF8.decodeUnsafe(load<usize>(at), load<usize>(at, 4));
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
