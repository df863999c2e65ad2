// Records against any schema: through all operators and outputs, through filters, and sorted.

import { ContainerView } from '../../../dist/runtime/containers/view.js';
import { isFixed, isText } from '../../../dist/runtime/data/kind.js';
import { makeDataSource } from '../../../dist/runtime/data/spec.js';
import { OperatorError } from '../../../dist/runtime/operators/errors.js';
import { filter, parseFilter } from '../../../dist/runtime/operators/filter.js';
import { sorter } from '../../../dist/runtime/operators/sort.js';
import { RecordedNames } from '../../../dist/runtime/operators/users.js';
import { ByteWriter } from '../../../dist/runtime/output/byte-writer.js';
import { OutputError } from '../../../dist/runtime/output/errors.js';
import { Chain } from '../../../dist/runtime/pipeline/chain.js';
import { Control } from '../../../dist/runtime/pipeline/control.js';
import { PipelineError, ScopeError } from '../../../dist/runtime/pipeline/errors.js';
import { Sink } from '../../../dist/runtime/pipeline/sink.js';
import { askedOf } from '../../../dist/runtime/pipeline/scope.js';
import { RecordingError } from '../../../dist/runtime/recording/errors.js';
import { ensure, ensureSame } from '../oracles.js';
import { Input } from '../input.js';
import {
  AWKWARD,
  batchFrom,
  bytesOf,
  checkOutputs,
  columnFrom,
  numberIn,
  sourceFrom,
  stringsIn,
} from './schemas.js';

const REFUSALS = [OperatorError, OutputError, ScopeError, PipelineError, RecordingError];

/** What the flags of a run may ask. */
export const CONFIG = {
  sources: [],
  rings: [],
  modules: [],
  containers: { filtering: false, hostMntns: 1, node: 'n', changes: [] },
  output: { mode: 'json', fd: 1 },
  filters: [],
  maxEntries: -1,
  bootToEpochNs: 1_700_000_000_123_456_789n,
};

/** What chains share. `write` is given the bytes of each write, and takes as many of them as it says. */
export function sharedOf(view = new ContainerView(), write = (bytes) => bytes.length) {
  const control = new Control();
  const port = { write: (_fd, bytes, start, end) => write(bytes.subarray(start, end)), unread: () => 0 };
  return {
    control,
    writer: new ByteWriter(64),
    sink: new Sink(1, control, port),
    view,
    modules: { run: () => true, turn: () => undefined },
    askContainer: () => undefined,
    catchUp: () => undefined,
    userFiles: { recorded: new RecordedNames() },
    recorder: undefined,
  };
}

/** Names for the few that containers and users have here. */
function sharedFrom(input) {
  const view = new ContainerView();
  for (let index = 0; index < input.below(3); index++) {
    const container = {
      key: '',
      id: input.text(),
      name: input.text(),
      runtime: '',
      pid: input.u32(),
      mntns: index + 2,
    };
    const rest = { imageName: input.text(), imageDigest: '', imageId: '', startedAt: '', bundle: '' };
    const change = {
      index,
      mntns: index + 2,
      sinceBootNs: 0,
      selected: true,
      container: { ...container, ...rest },
    };
    view.apply({ kind: 'add', ...change });
  }
  const shared = sharedOf(view, (bytes) => takeSome(input, bytes.length));
  const names = new Map(input.list(3, () => [input.below(4), input.text()]));
  shared.userFiles.recorded.set('users', names);
  shared.userFiles.recorded.set('groups', names);
  return shared;
}

/** As a reader takes what is written: all of it, mostly, a part, or nothing any more as it is gone. */
function takeSome(input, size) {
  if (input.once(20)) throw Object.assign(new Error('gone'), { code: 'EPIPE' });
  return input.once(3) ? Math.max(1, input.below(size + 1)) : size;
}

/** Every operator's fields are there, and every record is written as what stands in it. */
function runRecords(bytes) {
  const input = new Input(bytes);
  const source = makeDataSource(sourceFrom(input));
  const shared = sharedFrom(input);
  const chain = new Chain(source, 0, CONFIG, shared);
  const added = input.list(2, () =>
    source.addColumn({ fullName: `w${source.fields.length}`, kind: input.kind() }),
  );
  chain.compile(askedOf(CONFIG, [source]).get(source), undefined);
  const batch = batchFrom(input, source);
  chain.take(batch, 0);
  const { read, ...fates } = shared.control.counts();
  ensureSame(
    Object.values(fates).reduce((sum, count) => sum + count) + heldBy(chain),
    read,
    'the account of events',
  );
  batch.keep.fill(1, 0, batch.count);
  for (const { field, column } of added)
    if (field.kind !== 'none') batch.columns[column] = columnFrom(input, field, batch.count);
  checkOutputs(input, source, batch);
}

function heldBy(chain) {
  return chain['held'].size;
}

const OPERATORS = ['=', '==', '!=', '>', '>=', '<', '<=', '~', '!~'];

/** A filter keeps what the same conditions, evaluated one by one, hold for. */
function runFilter(bytes) {
  const input = new Input(bytes);
  const source = makeDataSource(sourceFrom(input));
  const batch = batchFrom(input, source);
  const fields = source.fields.filter(({ fullName }) => /^[^\s:=!<>~,\\]+$/.test(fullName));
  if (fields.length === 0) return;
  const rules = input.list(2, () => {
    const field = input.choose(fields);
    return { field, operator: input.choose(OPERATORS), value: literalFrom(input, field, source, batch) };
  });
  const expression = rules
    .map(({ field, operator, value }) => `${field.fullName}${operator}${escaped(value)}`)
    .join(',');
  const parsed = rules.length === 0 ? [] : parseFilter(expression);
  parsed.forEach((rule, i) => {
    ensureSame(
      [rule.field, rule.operator, rule.value],
      [rules[i].field.fullName, rules[i].operator, rules[i].value],
      'a rule',
    );
  });
  ensureSame(parsed.length, rules.length, 'the number of rules');
  const { apply } = filter(source, parsed);
  const expected = Array.from({ length: batch.count }, (_, row) =>
    rules.every((rule) => holds(rule, source, batch, row)),
  );
  apply(batch);
  ensureSame(Array.from(batch.keep.subarray(0, batch.count), Boolean), expected, `the filter ${expression}`);
}

/** White space around a value does not count, and a backslash stands before a comma. */
function escaped(value) {
  return value.replaceAll(',', '\\,');
}

/** Mostly what one of the records has, or next to it. */
function literalFrom(input, field, source, batch) {
  const row = input.below(Math.max(batch.count, 1));
  const bytes = batch.count === 0 ? undefined : bytesOf(field, batch, row);
  const other = input.text(12);
  const change = input.below(5);
  if (bytes === undefined || change === 0) return trimmed(other);
  if (isText(field.kind)) {
    const text = textOf(field, bytes).toString();
    return trimmed([text, text, text.slice(0, 2), `${text}x`][change - 1]);
  }
  if (!isFixed(field.kind) || field.length !== 1) return trimmed(other);
  const number = numberIn(field.kind, bytes);
  if (typeof number !== 'bigint') return String(number);
  const near = number + BigInt(input.below(3)) - 1n;
  return change === 1 && near >= 0n ? `0x${near.toString(16)}` : String(near);
}

function trimmed(text) {
  // A backslash before a comma, or at the end, would be one that hides the comma.
  return text.replaceAll('\\', '/').trim();
}

/** A text as filters see it: the words of a list with one space between them. */
function textOf({ kind }, bytes) {
  return kind === 'strings'
    ? Buffer.from(
        stringsIn(bytes)
          .map((text) => text.toString('latin1'))
          .join(' '),
        'latin1',
      )
    : Buffer.from(bytes);
}

function holds({ field: { fullName }, operator, value }, source, batch, row) {
  // Of fields whose names differ in case only, and of short names, the operator chooses one.
  const [field] = source.fieldsMeant(fullName);
  const bytes = bytesOf(field, batch, row);
  if (bytes === undefined) return operator.startsWith('!');
  if (operator.endsWith('~')) return matches(textOf(field, bytes), value) === (operator === '~');
  const order = isText(field.kind)
    ? Buffer.compare(textOf(field, bytes), Buffer.from(value))
    : compare(numberIn(field.kind, bytes), value, field.kind);
  switch (operator) {
    case '=':
    case '==':
      return order === 0;
    case '!=':
      return order !== 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
    case '<':
      return order < 0;
    default:
      return order <= 0;
  }
}

function matches(text, pattern) {
  const flags = /^\(\?([ims]+)\)/.exec(pattern);
  const decoded = new TextDecoder().decode(text.subarray(0, 8192));
  return new RegExp(pattern.slice(flags?.[0].length ?? 0), `u${flags?.[1] ?? ''}`).test(decoded);
}

/** NaN where there is no order, and then only `!=` holds. */
function compare(number, text, kind) {
  if (typeof number === 'boolean') return number === (text === 'true') ? 0 : 1;
  let wanted = text.startsWith('-') ? undefined : text;
  if (typeof number === 'bigint') {
    wanted = wanted === undefined ? -BigInt(text.slice(1)) : BigInt(text);
    return number < wanted ? -1 : number > wanted ? 1 : 0;
  }
  wanted = kind === 'float32' ? Math.fround(Number(text)) : Number(text);
  return number === wanted ? 0 : number < wanted ? -1 : number > wanted ? 1 : NaN;
}

const FILTERED = makeDataSource({
  name: 'exec',
  type: 'single',
  recordSize: 64,
  annotations: {},
  fieldAnnotations: {},
  fields: [
    ...['uint8', 'int64', 'uint64', 'float32', 'bool', 'bytes', 'cstring'].map((kind, i) => ({
      ...{
        fullName: `proc.${kind}`,
        kind,
        place: 'record',
        offset: 8 * i,
        size: 8,
        length: 1,
        tags: [],
        annotations: {},
      },
    })),
    {
      fullName: 'args',
      kind: 'strings',
      place: 'tail',
      offset: 56,
      size: 8,
      length: 1,
      tags: [],
      annotations: {},
    },
  ],
});

/** What is read of an expression can be written again, and is then read as the same. */
function runExpression(bytes) {
  const rules = parseFilter(bytes.toString());
  filter(FILTERED, rules);
  const again = rules.map(({ source, field, operator, value }) => {
    ensure(value.trim() === value, 'a value has white space around it');
    return `${source === undefined ? '' : `${source}:`}${field}${operator}${value.replaceAll(',', '\\,')}`;
  });
  // A value that ends in a backslash would hide the comma behind it.
  if (rules.some(({ value }) => value.endsWith('\\'))) return;
  ensureSame(parseFilter(again.join(',')), rules, `${show(bytes)}, written again,`);
}

function show(bytes) {
  return JSON.stringify(bytes.toString().slice(0, 200));
}

/** Rows are in the order of their values; undefined ones last. */
function runSort(bytes) {
  const input = new Input(bytes);
  const source = makeDataSource(sourceFrom(input, 'array'));
  const names = source.fields.filter(({ fullName }) => /^[\w.]+$/.test(fullName));
  if (names.length === 0) return;
  const keys = [input.choose(names), input.choose(names)].map(({ fullName }) => ({
    ...{ fullName, descends: input.once(2) },
  }));
  const sort = sorter(
    source,
    keys.map(({ fullName, descends }) => `${descends ? '-' : ''}${fullName}`).join(','),
  );
  const batch = batchFrom(input, source);
  const rows = sort(batch);
  ensureSame(
    [...rows].sort((a, b) => a - b),
    [...Array(batch.count).keys()],
    'the rows',
  );
  for (let i = 1; i < rows.length; i++)
    ensure(
      orderOf(source, batch, keys, rows[i - 1], rows[i]) <= 0,
      () => `rows are in the order ${[...rows]}`,
    );
}

function orderOf(source, batch, keys, a, b) {
  for (const { fullName, descends } of keys) {
    const [field] = source.fieldsMeant(fullName);
    const [first, second] = [a, b].map((row) => sortable(field, bytesOf(field, batch, row)));
    if (first === undefined && second === undefined) continue;
    if (first === undefined || second === undefined) return first === undefined ? 1 : -1;
    const order = orderOfValues(field, first, second);
    if (order !== 0) return descends ? -order : order;
  }
  return 0;
}

/** NaN is no value to sort by. */
function sortable({ kind }, bytes) {
  return bytes !== undefined && isFixed(kind) && Number.isNaN(numberIn(kind, bytes)) ? undefined : bytes;
}

function orderOfValues({ kind }, first, second) {
  if (!isFixed(kind)) return Buffer.compare(first, second);
  const [a, b] = [numberIn(kind, first), numberIn(kind, second)];
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Any bytes are a schema and records. */
function bytesToStartFrom() {
  return [7, 31, 101].map((step) =>
    Buffer.from(Array.from({ length: 600 }, (_, i) => (i * step + (i >> 3)) & 0xff)),
  );
}

export const TARGETS = {
  records: {
    seeds: bytesToStartFrom,
    words: AWKWARD,
    refusals: REFUSALS,
    isStructured: true,
    run: runRecords,
  },
  filter: {
    seeds: bytesToStartFrom,
    words: ['(?i)', '^', '.*', '[', '\\,', '0x', 'true', '-1'],
    isTyped: true,
    refusals: REFUSALS,
    isStructured: true,
    run: runFilter,
  },
  expression: {
    seeds: () => [
      'proc.cstring==bash,proc.uint8!=0x10,args~^a b\\,c',
      'exec:proc.uint64>=18446744073709551615,proc.float32<1.5e3,proc.bool!=true,proc.int64<=-9',
    ],
    words: ['==', '!~', '\\,', ',', '~', '(?i)', '(?<a>', '[^', '{1,9}', 'exec:', '\\u{1F600}', ' '],
    isTyped: true,
    refusals: [OperatorError],
    run: runExpression,
  },
  sort: { seeds: bytesToStartFrom, refusals: REFUSALS, isStructured: true, run: runSort },
};
