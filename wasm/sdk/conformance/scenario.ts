// Runs a scenario of events.json through a program and the real host, and says what came of it as expected.json does.
//
// In both files texts, bytes and lists are strings of one character per byte, 64-bit numbers are decimal strings, and
// what has `times` stands for so many, in which a value `{"from": n}` counts on from n.

import { Batch, Column, Span } from '../../../runtime/data/batch.js';
import { DataSource } from '../../../runtime/data/data-source.js';
import { type Field, bigintReaderOf, locatorOf, numberReaderOf } from '../../../runtime/data/field.js';
import { type Kind, isFixed, widthOf } from '../../../runtime/data/kind.js';
import type { PreparedGuest } from '../../host/component.js';
import { GuestError } from '../../host/errors.js';
import { PostProcessor } from '../../host/post-processor.js';
import { batchOf, recordOf } from '../../host/testing.js';

/** A tail's place as a hostile kernel side may write it. */
type Reference = { readonly offset: number; readonly size: number };
type Value = boolean | number | string | readonly number[] | Reference;
type Values = Readonly<Record<string, Value>>;

interface SourceDescription {
  readonly recordSize: number;
  readonly fields: readonly {
    readonly name: string;
    readonly kind: Kind;
    readonly place: 'fixed' | 'tail' | 'column';
    readonly offset?: number;
    readonly size?: number;
    readonly length?: number;
    readonly annotations?: Readonly<Record<string, string>>;
  }[];
}

export interface Scenario {
  readonly program: string;
  readonly name: string;
  readonly params: Readonly<Record<string, string>>;
  /** Fields that the gadget does not have this time. */
  readonly without?: readonly string[];
  readonly logLevel?: number;
  readonly steps?: readonly Step[];
}

/** A batch for a data source, of which the `dropped` rows were dropped before; a tick at that time; or the end. */
type Step =
  | { readonly batch: string; readonly events: readonly Values[]; readonly dropped?: readonly number[] }
  | { readonly tick: string }
  | { readonly finish: true };

/** What became of a step: the added fields of each event that was kept, what was emitted and logged; or an error. */
export interface Outcome {
  rows?: (Values | null)[];
  emitted?: Record<string, Values[]>;
  log?: string[];
  error?: string;
}

export interface Run {
  readonly sources: readonly DataSource[];
  readonly processor: PostProcessor;
  readonly lines: string[];
}

const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'];

/** Starts the program. Throws GuestError when it refuses. */
export function start(
  prepared: PreparedGuest,
  descriptions: Readonly<Record<string, SourceDescription>>,
  { params, without = [], logLevel = 4 }: Scenario,
): Run {
  const sources = Object.entries(descriptions).map(([name, description]) =>
    makeSource(name, description, without),
  );
  const lines: string[] = [];
  const processor = new PostProcessor(prepared, Object.entries(params), sources, {
    logLevel,
    log: (level, text) => void lines.push(`${LEVELS[level]} ${text}`),
  });
  const all = [...sources, ...processor.madeSources];
  processor.select(all.map(({ fields }) => new Set(fields)));
  return { sources, processor, lines };
}

function makeSource(name: string, description: SourceDescription, without: readonly string[]): DataSource {
  const source = new DataSource(name, 'single', description.recordSize);
  for (const {
    name,
    kind,
    place,
    offset = 0,
    size = 0,
    length = 1,
    annotations = {},
  } of description.fields) {
    if (without.includes(name)) continue;
    const spec = { fullName: name, kind, length, annotations };
    if (place === 'column') source.addColumn(spec);
    else if (place === 'tail') source.addField({ ...spec, location: { in: 'tail', offset } });
    else source.addField({ ...spec, location: { in: 'record', offset, size } });
  }
  return source;
}

/** `added`: for each data source, the names of the fields that the program adds or replaces. */
export function perform(
  run: Run,
  step: Step,
  description: SourceDescription | undefined,
  added: readonly string[],
): Outcome {
  const outcome: Outcome = {};
  run.lines.length = 0;
  try {
    if ('batch' in step) outcome.rows = runBatch(run, step, description!, added);
    else if ('tick' in step) run.processor.tick(BigInt(step.tick));
    else run.processor.finish();
  } catch (error) {
    if (!(error instanceof GuestError)) throw error;
    outcome.error = sentenceOf(error);
  }
  for (const { source, batch } of run.processor.takeMade()) {
    const made = run.processor.madeSources[source - run.sources.length]!;
    outcome.emitted ??= {};
    (outcome.emitted[made.name] ??= []).push(...rowsOf(batch, made.fields));
  }
  if (run.lines.length > 0) outcome.log = [...run.lines];
  return outcome;
}

/** The program's own sentence. */
export function sentenceOf(error: GuestError): string {
  return error.message.replace(/^.*? failed in \w+: /, '');
}

function runBatch(
  { sources, processor }: Run,
  { batch: name, events, dropped = [] }: Extract<Step, { batch: string }>,
  description: SourceDescription,
  added: readonly string[],
): (Values | null)[] {
  const index = sources.findIndex((source) => source.name === name);
  const source = sources[index]!;
  const rows = expand(events);
  const batch = batchOf(rows.map((row) => encode(description, row)));
  for (const { name, kind, place } of description.fields) {
    const location = source.field(name)?.location;
    if (place === 'column' && location?.in === 'column')
      batch.columns[location.column] = columnOf(
        kind,
        rows.map((row) => row[name]),
      );
  }
  for (const row of dropped) batch.keep[row] = 0;
  processor.process(index, batch);
  const fields = source.fields.filter(({ fullName }) => added.includes(fullName));
  return rowsOf(batch, fields).map((row, i) => (batch.keep[i] === 1 ? row : null));
}

/** A value of the i-th of several rows: `{ from: 5 }` counts up. */
function counted(value: unknown, i: number): unknown {
  return typeof value === 'object' && value !== null && 'from' in value
    ? String(Number(value.from) + i)
    : value;
}

/** Resolves `times`; of rows with `dropped`, nothing is left. */
export function expand<T extends Values | null>(rows: readonly T[]): T[] {
  return rows.flatMap((row) => {
    if (row === null || row['times'] === undefined) return [row];
    const { times, ...values } = row;
    return Array.from({ length: times as number }, (_, i) => {
      const counts = Object.entries(values).map(([name, value]) => [name, counted(value, i)]);
      return (values['dropped'] === true ? null : Object.fromEntries(counts)) as T;
    });
  });
}

function encode({ recordSize, fields }: SourceDescription, row: Values): Uint8Array {
  const struct = Buffer.alloc(recordSize);
  const tails: [number, Uint8Array][] = [];
  for (const { name, kind, place, offset = 0, size = 0 } of fields) {
    const value = row[name];
    if (value === undefined || place === 'column') continue;
    if (typeof value === 'object' && 'offset' in value) {
      struct.writeUInt32LE(value.offset, offset);
      struct.writeUInt32LE(value.size, offset + 4);
    } else if (place === 'tail') tails.push([offset, bytesOf(kind, value)]);
    else struct.set(bytesOf(kind, value).subarray(0, size), offset);
  }
  return recordOf(struct, tails);
}

function columnOf(kind: Kind, values: readonly (Value | undefined)[]): Column {
  const parts = values.map((value) => bytesOf(kind, value ?? (kind === 'string' ? '' : '0')));
  const offsets = new Uint32Array(values.length + 1);
  parts.forEach((part, i) => (offsets[i + 1] = offsets[i]! + part.length));
  const defined = Uint8Array.from(values, (value) => (value === undefined ? 0 : 1));
  const bytes = new Uint8Array(Buffer.concat(parts));
  return new Column(kind, bytes, isFixed(kind) ? undefined : offsets, defined);
}

function bytesOf(kind: Kind, value: Value): Uint8Array {
  if (!isFixed(kind)) return Buffer.from(value as string, 'latin1');
  const values = Array.isArray(value) ? (value as number[]) : [value as number | string | boolean];
  return Buffer.concat(values.map((one) => numberOf(kind, one)));
}

function numberOf(kind: Kind, value: number | string | boolean): Uint8Array {
  const bytes = Buffer.alloc(isFixed(kind) ? widthOf(kind) : 0);
  if (kind === 'float32') bytes.writeFloatLE(Number(value));
  else if (kind === 'float64') bytes.writeDoubleLE(Number(value));
  else {
    let rest = BigInt(value);
    for (let i = 0; i < bytes.length; i++, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  }
  return bytes;
}

/** The values of every event; without those that are undefined. */
function rowsOf(batch: Batch, fields: readonly Field[]): Values[] {
  const span = new Span();
  const readers = fields.map((field) => ({ field, locate: locatorOf(field), read: readerOf(field) }));
  return Array.from({ length: batch.count }, (_, row) =>
    Object.fromEntries(
      readers.flatMap(({ field, locate, read }) =>
        batch.keep[row] === 1 && locate(batch, row, span) ? [[field.fullName, read(span)]] : [],
      ),
    ),
  );
}

function readerOf({ kind, length }: Field): (span: Span) => Value {
  if (!isFixed(kind))
    return ({ bytes, start, end }) => Buffer.from(bytes.subarray(start, end)).toString('latin1');
  if (length > 1) {
    const width = widthOf(kind);
    const read = numberReaderOf(kind);
    const one = new Span();
    return ({ bytes, view, start, end }) =>
      Array.from({ length: (end - start) / width }, (_, i) => {
        one.set(bytes, view, start + i * width, start + (i + 1) * width);
        return read(one);
      });
  }
  if (kind === 'int64' || kind === 'uint64') {
    const read = bigintReaderOf(kind);
    return (span) => String(read(span));
  }
  const read = numberReaderOf(kind);
  // As a byte: a column of booleans has no other values than 0 and 1.
  if (kind === 'bool') return ({ bytes, start }) => (bytes[start]! < 2 ? bytes[start] === 1 : bytes[start]!);
  return (span) => {
    const value = read(span);
    if (Object.is(value, -0)) return '-0';
    return Number.isFinite(value) ? value : String(value);
  };
}
