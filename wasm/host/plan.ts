// Checks what a module's `init` returns, before anything of it is used. The limits are those of wasm/wit/README.md.

import { isFixed } from '../../runtime/data/kind.js';
import { type DescribedSource, kindOf } from './describe.js';
import { GuestError, quoted } from './errors.js';
import type { GuestNewField, GuestPlan } from './guest.js';

const MAX_COLUMNS = 256;
const MAX_READS = 1024;
const MAX_EMITS = 16;
const MAX_EMITTED_FIELDS = 256;
const MAX_ARRAY_LENGTH = 1024;
const MAX_TAGS = 32;
const MAX_ANNOTATIONS = 64;
const MAX_KEY_LENGTH = 128;
const MAX_VALUE_LENGTH = 1024;
const MIN_TICK_MS = 10;
const MAX_TICK_MS = 24 * 60 * 60 * 1000;

const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/;
/** Line breaks, and what a terminal takes for a command. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u;

/** Throws GuestError, with what is wrong. */
export function checkPlan(
  { columns, reads, emits, tickMs }: GuestPlan,
  sources: readonly DescribedSource[],
): void {
  limit(columns.length, MAX_COLUMNS, 'adds', 'fields');
  const seen = new Set<string>();
  for (const { source, field } of columns) {
    const described = sources[source];
    if (described === undefined) {
      throw refused(`adds field ${nameOf(field.name)} to data source number ${source}, which does not exist`);
    }
    checkField(field, `adds field ${nameOf(field.name)} to data source ${described.source.name}`);
    addOnce(seen, `${source} ${field.name}`, `adds field ${nameOf(field.name)} twice`);
  }
  checkReads(reads, sources);
  checkEmits(emits, sources);
  if (tickMs !== 0 && (tickMs < MIN_TICK_MS || tickMs > MAX_TICK_MS)) {
    throw refused(
      `wants to be called every ${tickMs} ms, but it must be 0 for never, or from ${MIN_TICK_MS} to ${MAX_TICK_MS}`,
    );
  }
}

function checkReads(reads: GuestPlan['reads'], sources: readonly DescribedSource[]): void {
  limit(reads.length, MAX_READS, 'reads', 'fields');
  const seen = new Set<string>();
  for (const [source, number] of reads) {
    const described = sources[source];
    const field = described?.source.fields[number];
    if (field === undefined)
      throw refused(`reads field number ${number} of data source number ${source}, which does not exist`);
    const what = `reads field ${field.name} of data source ${described!.source.name}`;
    if (field.place !== 'column')
      throw refused(`${what} as a column, but it is in the record, with place ${field.place}`);
    addOnce(seen, `${source} ${number}`, `${what} twice`);
  }
}

function checkEmits(emits: GuestPlan['emits'], sources: readonly DescribedSource[]): void {
  limit(emits.length, MAX_EMITS, 'makes', 'data sources');
  const names = new Set(sources.map(({ source }) => source.name));
  for (const { name, fields } of emits) {
    const what = `makes a data source ${nameOf(name)}`;
    if (!NAME.test(name)) throw refused(`${what}, which is not a name`);
    addOnce(names, name, `${what}, which is there already`);
    if (fields.length === 0) throw refused(`${what} without fields`);
    limit(fields.length, MAX_EMITTED_FIELDS, `${what} with`, 'fields');
    const seen = new Set<string>();
    for (const field of fields) {
      checkField(field, `${what} with field ${nameOf(field.name)}`);
      addOnce(seen, field.name, `${what} with two fields ${nameOf(field.name)}`);
    }
  }
}

function checkField({ name, kind, length, tags, annotations }: GuestNewField, what: string): void {
  if (!NAME.test(name)) throw refused(`${what}, which is not a name`);
  if (kind === 'none' || kind === 'cstring')
    throw refused(`${what} of kind ${kind}, which a new field cannot have`);
  const isNumber = isFixed(kindOf(kind)) && kind !== 'boolean';
  if (length !== 1 && (!isNumber || length < 1 || length > MAX_ARRAY_LENGTH)) {
    throw refused(
      `${what} of kind ${kind} and length ${length}, but it must be 1, or for numbers up to ${MAX_ARRAY_LENGTH}`,
    );
  }
  limit(tags.length, MAX_TAGS, `${what} with`, 'tags');
  for (const tag of tags) checkText(tag, MAX_KEY_LENGTH, `${what} with a tag`);
  limit(annotations.length, MAX_ANNOTATIONS, `${what} with`, 'annotations');
  for (const [key, value] of annotations) {
    if (key === '') throw refused(`${what} with an annotation without a key`);
    checkText(key, MAX_KEY_LENGTH, `${what} with an annotation's key`);
    checkText(value, MAX_VALUE_LENGTH, `${what} with a value of annotation ${nameOf(key)}`);
  }
}

function checkText(text: string, maxLength: number, what: string): void {
  if (text.length > maxLength) throw refused(`${what} of more than ${maxLength} characters`);
  if (CONTROL.test(text)) throw refused(`${what} that has a line break or control character`);
}

function limit(count: number, max: number, does: string, what: string): void {
  if (count > max) throw refused(`${does} ${count} ${what}, but at most ${max} are allowed`);
}

function addOnce(seen: Set<string>, key: string, problem: string): void {
  if (seen.has(key)) throw refused(problem);
  seen.add(key);
}

function nameOf(name: string): string {
  return quoted(JSON.stringify(name));
}

function refused(what: string): GuestError {
  return new GuestError(`the gadget's Wasm module ${what}`);
}
