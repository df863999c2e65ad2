// Data sources of any form with records of any content, and what must come of them.

import { Batch, Column, OFFSETS_SIZE_BYTES, Span } from '../../../dist/runtime/data/batch.js';
import { locatorOf } from '../../../dist/runtime/data/field.js';
import { isFixed, isText, widthOf } from '../../../dist/runtime/data/kind.js';
import { countCells } from '../../../dist/runtime/output/cell-width.js';
import { ByteWriter } from '../../../dist/runtime/output/byte-writer.js';
import { createOutput } from '../../../dist/runtime/output/modes.js';
import { selectColumns } from '../../../dist/runtime/output/select-columns.js';
import { checkHeader } from '../../../dist/runtime/recording/check.js';
import {
  NumberText,
  ensure,
  ensureSame,
  parseExactly,
  parseYaml,
  replaced,
  safeText,
  visible,
} from '../oracles.js';

const TAGS = [
  'mntns_id',
  'timestamp',
  'pid',
  'uid',
  'gid',
  'errno',
  'signal',
  'syscall',
  'bytes',
  'duration',
].concat(...[['file_mode', 'file_flags']]);

/** Keys and values of annotations. */
const ANNOTATIONS = [
  ['value.undefined', ['0', '255', '4294967295', '18446744073709551615', '-1', '99999999999999999999']],
  ['json.skip', ['true', 'false']],
  ['template', ['comm', 'uid', 'timestamp', 'l4endpoint', '__proto__', 'toString']],
  ['columns.hidden', ['true', 'false']],
  ['columns.width', ['0', '1', '7', 'type', '99999', 'x']],
  ['columns.minwidth', ['0', '3', '30']],
  ['columns.maxwidth', ['0', '2', '12']],
  ['columns.alignment', ['left', 'right', 'up']],
  ['columns.ellipsis', ['none', 'start', 'middle', 'end']],
  ['columns.fixed', ['true']],
  ['columns.hex', ['true']],
  ['columns.precision', ['0', '20', '999']],
  ['columns.alias', ['a', '\x1b]0;x\x07', '']],
  ['formatters.bytes.target', ['size', '', 'a.b']],
  ['formatters.timestamp.target', ['when']],
  ['formatters.duration.target', ['took']],
  ['uidgidresolver.target', ['who', '__proto__']],
];

/** A data source as a recording has it, which the check may refuse: most are right. */
export function sourceFrom(input, type = input.choose(['single', 'array'])) {
  let end = 0;
  const fields = input.list(9, () => {
    const field = fieldFrom(input, end);
    end = Math.max(
      end,
      field.offset + (field.place === 'record' ? field.size : field.place === 'tail' ? 8 : 0),
    );
    return field;
  });
  const slack = input.below(12);
  const source = {
    name: input.once(30) ? input.text(12) : 'events',
    type,
    recordSize: input.once(20) ? slack : end + slack,
    fields,
  };
  const header = { gadget: 'g', sources: [source], bootToEpochNs: String(input.u64()), naming: NAMING };
  return checkHeader(header).sources[0];
}

const NAMING = { filtering: false, hostMntns: 1 };

function fieldFrom(input, end) {
  const kind = input.kind();
  const length = input.once(5) ? input.below(5) : 1;
  const place = kind === 'none' ? 'nowhere' : isFixed(kind) || input.once(2) ? 'record' : 'tail';
  return {
    fullName: input.name(),
    kind,
    length,
    place,
    offset: input.once(8) ? input.below(64) : end,
    size: isFixed(kind) ? widthOf(kind) * length : input.below(20),
    tags: input.list(2, () => `type:gadget_${input.choose(TAGS)}`),
    annotations: Object.fromEntries(
      input.list(2, () => {
        const [key, values] = input.choose(ANNOTATIONS);
        return [key, input.choose(values)];
      }),
    ),
  };
}

/** Bytes that are nearly UTF-8, or that a terminal or a format takes for more than text. */
export const AWKWARD = [
  ...[
    [0xed, 0xa0, 0x80],
    [0xed, 0xbf, 0xbf],
    [0xf4, 0x90, 0x80, 0x80],
    [0xc0, 0x80],
    [0xe0, 0x80, 0x80],
    [0xf0, 0x80],
  ],
  ...[
    [0xc2, 0x9b],
    [0xe2, 0x80, 0xae],
    [0xef, 0xbf, 0xbe],
    [0xf0, 0x9f, 0x98, 0x80],
    [0xcc, 0x81],
    [0x1b, 0x5b],
  ],
  ...[
    [0x22, 0x5c, 0x0a],
    [0x00],
    [0xff, 0xff, 0xff, 0xff],
    [0, 0, 0xc0, 0x7f],
    [0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
  ],
].map((bytes) => Buffer.from(bytes));

/** Records of any content, and columns where a Wasm module has made some. */
export function batchFrom(input, source) {
  const count = input.below(6);
  const sizes = Array.from({ length: count }, () => (source.recordSize + input.below(80) + 7) & ~7);
  const batch = new Batch(sizes.reduce((sum, size) => sum + size, 0));
  let at = (batch.offsets[0] = OFFSETS_SIZE_BYTES);
  sizes.forEach((size, row) => {
    batch.bytes.set(input.take(size), at);
    if (input.once(2))
      batch.bytes.set(input.choose(AWKWARD).subarray(0, size), at + input.below(Math.max(1, size - 8)));
    if (!input.once(4)) aimTails(input, batch, source, at, size);
    batch.offsets[row + 1] = at += size;
  });
  batch.reset(count);
  return batch;
}

/** Has the places of tails lead into the record, which they hardly ever would by themselves. */
function aimTails(input, batch, source, record, size) {
  for (const { location } of source.fields) {
    if (location.in !== 'tail') continue;
    const start = input.below(size + 1);
    batch.view.setUint32(record + location.offset, start, true);
    batch.view.setUint32(
      record + location.offset + 4,
      input.below(size - start + 1) + (input.once(8) ? 8 : 0),
      true,
    );
  }
}

/** A column of any content. */
export function columnFrom(input, { kind, length }, count) {
  const defined = input.once(2) ? Uint8Array.from({ length: count }, () => input.below(2)) : undefined;
  if (isFixed(kind)) {
    const bytes = new Uint8Array(count * length * widthOf(kind));
    bytes.set(input.take(bytes.length));
    return new Column(kind, bytes, undefined, defined, length);
  }
  const offsets = new Uint32Array(count + 1);
  for (let i = 0; i < count; i++) offsets[i + 1] = offsets[i] + input.below(20);
  const bytes = new Uint8Array(offsets[count]);
  bytes.set(input.take(bytes.length));
  return new Column(kind, bytes, offsets, defined, length);
}

/** The bytes of a field's value; undefined when it is. Copied, as computed ones last only until the next one. */
export function bytesOf(field, batch, row, span = new Span()) {
  if (!locatorOf(field)(batch, row, span)) return undefined;
  ensure(
    Number.isInteger(span.start) &&
      span.start >= 0 &&
      span.start <= span.end &&
      span.end <= span.bytes.length,
    () => `${field.fullName} is found from ${span.start} to ${span.end} of ${span.bytes.length} bytes`,
  );
  if (span.bytes === batch.bytes) {
    const [start, end] = [batch.offsets[row], batch.offsets[row + 1]];
    ensure(
      span.start >= start && span.end <= end,
      () =>
        `${field.fullName} is found from ${span.start} to ${span.end}, outside its record ${start} to ${end}`,
    );
  }
  return span.bytes.slice(span.start, span.end);
}

/** The strings of a list: each ends with a NUL, which the last one may lack. */
export function stringsIn(bytes) {
  const strings = [];
  let rest = Buffer.from(bytes);
  while (rest.length > 0) {
    const end = rest.indexOf(0);
    strings.push(rest.subarray(0, end < 0 ? rest.length : end));
    rest = end < 0 ? rest.subarray(rest.length) : rest.subarray(end + 1);
  }
  return strings;
}

/** One number of a fixed kind: whole ones as bigint. */
export function numberIn(kind, bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (kind === 'bool') return bytes[0] !== 0;
  if (kind === 'float32') return view.getFloat32(0, true);
  if (kind === 'float64') return view.getFloat64(0, true);
  const unsigned = bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return kind.startsWith('u') ? unsigned : BigInt.asIntN(bytes.length * 8, unsigned);
}

/** A value as JSON should have it: whole numbers as bigint. */
export function valueOf({ kind, length }, bytes) {
  if (kind === 'bytes') return Buffer.from(bytes).toString('hex');
  if (kind === 'strings') return stringsIn(bytes).map(replaced);
  if (isText(kind)) return replaced(bytes);
  const width = widthOf(kind);
  const numbers = Array.from({ length }, (_, i) =>
    numberIn(kind, bytes.subarray(i * width, (i + 1) * width)),
  );
  return length === 1 ? numbers[0] : numbers;
}

/** A record as JSON should have it: maps and values. */
function recordOf(source, batch, row) {
  const skipped = source.fields.filter(({ annotations }) => annotations['json.skip'] === 'true');
  const isSkipped = ({ fullName }) =>
    skipped.some((other) => fullName === other.fullName || fullName.startsWith(`${other.fullName}.`));
  const shown = source.fields.filter((field) => field.kind !== 'none' && !isSkipped(field));
  const record = new Map();
  for (const field of shown) {
    // A name that is a struct, too, has no value of its own.
    if (shown.some(({ fullName }) => fullName.startsWith(`${field.fullName}.`))) continue;
    const bytes = bytesOf(field, batch, row);
    if (bytes === undefined) continue;
    const path = field.fullName.split('.');
    let place = record;
    for (const name of path.slice(0, -1)) {
      if (!(place.get(name) instanceof Map)) place.set(name, new Map());
      place = place.get(name);
    }
    place.set(path.at(-1), valueOf(field, bytes));
  }
  return record;
}

/** Whether what was read from an output is the value. */
function isValue(read, value) {
  if (value instanceof Map)
    return (
      read instanceof Map &&
      read.size === value.size &&
      [...value].every(([key, one]) => isValue(read.get(key), one))
    );
  if (Array.isArray(value))
    return (
      Array.isArray(read) && read.length === value.length && value.every((one, i) => isValue(read[i], one))
    );
  if (typeof value === 'bigint')
    return (read instanceof NumberText ? read.text : String(read)) === String(value);
  if (typeof value !== 'number') return read === value;
  // JSON has neither NaN nor infinities; single precision may have fewer digits than a double.
  if (read === null) return !Number.isFinite(value);
  const number = Number(read instanceof NumberText ? read.text : read);
  return Object.is(number, value) || number === value || Math.fround(number) === value;
}

export function written(output, batch, rows) {
  const writer = new ByteWriter(16);
  const count = output.write(batch, writer, rows);
  return { count, bytes: Buffer.from(writer.written) };
}

/** Holds every output of a batch against the values that stand in its records. */
export function checkOutputs(input, source, batch) {
  const kept = Array.from({ length: batch.count }, (_, row) => row).filter((row) => batch.keep[row] === 1);
  // Where every value is found is looked at, whatever the output.
  const records = kept.map((row) => recordOf(source, batch, row));
  // One each time: an input that is a little different tries another.
  const mode = input.choose(['json', 'jsonpretty', 'yaml', 'columns']);
  if (mode === 'columns') checkColumns(input, source, batch, kept);
  else checkTree(mode, source, batch, records);
  if (mode !== 'yaml') checkPoisoned(mode, source, batch, kept[input.below(Math.max(1, kept.length))]);
}

function checkTree(mode, source, batch, records) {
  const isArray = source.type === 'array';
  const { count, bytes } = written(createOutput(mode, source), batch);
  ensureSame(count, records.length, `${mode}: the number of records`);
  const text = safeText(bytes, mode);
  const found = mode === 'yaml' ? parseYaml(text, mode) : documentsIn(text, mode, isArray);
  const read = isArray ? (found[0] ?? []) : found;
  ensure(
    isArray ? found.length === 1 : found.length === records.length,
    () => `${mode}: ${records.length} records are ${found.length} documents: ${text}`,
  );
  records.forEach((record, i) => {
    if (!isValue(read[i], record)) ensureSame(read[i], record, `${mode}: record ${i}`);
  });
}

function documentsIn(text, mode, isArray) {
  if (text === '') return [];
  if (isArray) return [parseExactly(text, mode)];
  // A document ends where the next line begins with a bracket.
  const documents = mode === 'json' ? text.split('\n').slice(0, -1) : text.split(/\n(?=\{)/);
  return documents.map((one) => parseExactly(one, mode));
}

/** What stands outside of a record must not show. */
function checkPoisoned(mode, source, batch, row) {
  if (row === undefined) return;
  const rows = Uint32Array.of(row);
  const output = createOutput(mode, source);
  const before = written(output, batch, rows).bytes;
  const copy = batch.bytes.slice();
  batch.bytes.fill(0x41, OFFSETS_SIZE_BYTES, batch.offsets[row]).fill(0x42, batch.offsets[row + 1]);
  const after = written(output, batch, rows).bytes;
  batch.bytes.set(copy);
  ensureSame(after.toString(), before.toString(), `${mode}: with other bytes outside of it, record ${row}`);
}

const ENCODER = new TextEncoder();

function cellsIn(text) {
  const bytes = ENCODER.encode(text);
  return countCells(bytes, 0, bytes.length);
}

function checkColumns(input, source, batch, kept) {
  const specs = selectColumns(source);
  if (specs.length === 0) return;
  const plain = safeText(written(createOutput('columns', source), batch).bytes, 'columns')
    .split('\n')
    .slice(0, -1);
  ensureSame(plain.length, kept.length, 'columns: the number of lines');
  kept.forEach((row, i) => ensureSame(plain[i], lineOf(specs, batch, row), `columns: record ${row}`));
  const width = 1 + input.below(200);
  const writer = new ByteWriter(16);
  const output = createOutput('columns', source, { widthColumns: width });
  output.header(writer);
  output.write(batch, writer);
  const lines = safeText(writer.written, 'columns on a terminal').split('\n').slice(0, -1);
  ensureSame(lines.length, kept.length + 1, 'columns on a terminal: the number of lines');
  const needed = specs.reduce((sum, { fixed, width: own }) => sum + (fixed ? own : 1) + 1, -1);
  const widest = lines.reduce((most, line) => Math.max(most, cellsIn(line)), 0);
  ensure(widest <= Math.max(width, needed), () => `a line of ${widest} cells for a terminal of ${width}`);
}

function lineOf(specs, batch, row) {
  const cells = specs.map((spec, i) => {
    const bytes = bytesOf(spec.field, batch, row);
    const text = bytes === undefined ? '' : cellOf(spec, bytes);
    const padding = ' '.repeat(Math.max(0, Math.max(spec.width, spec.title.length) - cellsIn(text)));
    if (spec.alignment === 'right') return padding + text;
    return i === specs.length - 1 ? text : text + padding;
  });
  return cells.join(' ').replace(/ +$/, '');
}

function cellOf({ field, hex, precision }, bytes) {
  const { kind, length } = field;
  if (kind === 'strings') return stringsIn(bytes).map(visible).join(' ');
  if (isText(kind)) return visible(bytes);
  const value = valueOf(field, bytes);
  if (kind === 'bytes') return value;
  if (Array.isArray(value)) return `[${value.map((one) => numberText(kind, one)).join(',')}]`;
  if (kind.startsWith('float')) return value.toFixed(precision);
  if (!hex || kind === 'bool' || length !== 1) return String(value);
  return `0x${BigInt.asUintN(bytes.length * 8, value).toString(16)}`;
}

/** A number of a list, in columns. */
function numberText(kind, value) {
  if (kind !== 'float32' || !Number.isFinite(value)) return String(value);
  for (let digits = 6; digits < 9; digits++)
    if (Math.fround(Number(value.toPrecision(digits))) === value)
      return String(Number(value.toPrecision(digits)));
  return String(value);
}
