// Checks gadget.yaml against what the gadget is: names that nothing bears, values that do not fit.

import { WANTED_SWITCH } from '../data/field.js';
import { MODULE_READS, namesRead } from '../data/module-reads.js';
import { didYouMean } from '../data/nearest.js';
import { ParamError } from '../gadget/errors.js';
import type { MetadataFile, Mistake, ParamMetadata } from '../gadget/metadata.js';
import { type Param, type ParamType, checkValue, ebpfParam, wasmParam } from '../gadget/params.js';
import type { ObjectFacts } from './object.js';

/**
 * The full names of a data source's fields with those that operators and the Wasm module add, by data source;
 * undefined when that cannot be known, as a module of the peer's API adds them while it runs.
 */
export type KnownFields = ReadonlyMap<string, ReadonlySet<string>> | undefined;

type Report = (path: readonly string[], text: string) => void;

/** All that does not fit, in the order of the lines. */
export function checkMetadata(file: MetadataFile, object: ObjectFacts, fields: KnownFields): Mistake[] {
  const mistakes: Mistake[] = [];
  const report: Report = (path, text) =>
    void mistakes.push({ line: file.lineOf(path), text: `${path.join('.')}: ${text}` });
  if (fields !== undefined) checkDataSources(file, fields, report);
  checkSwitches(file, object, report);
  checkModuleReads(file, object, report);
  const params = checkParams(file, object, report);
  checkObjectNames(file, object, report);
  checkEnabledBy(file, params, report);
  return mistakes.sort((a, b) => a.line - b.line);
}

function unknown(what: string, name: string, known: Iterable<string>): string {
  const names = [...known];
  const expected = names.length === 0 ? `expected none` : `expected one of ${names.join(', ')}`;
  const near = names.length > 1 ? didYouMean(name, names) : '';
  return `${what}, ${expected}${near}`;
}

function findKey<T>(entries: Iterable<readonly [string, T]>, name: string): T | undefined {
  for (const [key, value] of entries) if (key.toLowerCase() === name.toLowerCase()) return value;
  return undefined;
}

function checkDataSources({ metadata }: MetadataFile, known: NonNullable<KnownFields>, report: Report): void {
  for (const [name, source] of Object.entries(metadata.datasources)) {
    const fields = findKey(known, name);
    if (fields === undefined) {
      report(['datasources', name], unknown('there is no such data source', name, known.keys()));
      continue;
    }
    const names = new Set([...fields].map((field) => field.toLowerCase()));
    for (const [field, { annotations }] of Object.entries(source.fields)) {
      const path = ['datasources', name, 'fields', field];
      if (!names.has(field)) report(path, unknown('there is no such field', field, fields));
      for (const [key, value] of Object.entries(annotations)) {
        const expected = ANNOTATIONS[key]?.(value);
        if (expected !== undefined) {
          report([...path, 'annotations', key], `expected ${expected}, found ${JSON.stringify(value)}`);
        }
      }
    }
  }
}

function checkSwitches({ metadata }: MetadataFile, { switches }: ObjectFacts, report: Report): void {
  for (const [name, { fields }] of Object.entries(metadata.datasources)) {
    for (const [field, { annotations }] of Object.entries(fields)) {
      const wanted = annotations[WANTED_SWITCH];
      if (wanted === undefined || switches.includes(wanted)) continue;
      const path = ['datasources', name, 'fields', field, 'annotations', WANTED_SWITCH];
      report(path, unknown('there is no such GADGET_WANTED', wanted, switches));
    }
  }
}

/** What the module is to read of the records must be there, or it would not be told of it. */
function checkModuleReads({ metadata }: MetadataFile, { tracers }: ObjectFacts, report: Report): void {
  for (const [name, source] of Object.entries(metadata.datasources)) {
    const tracer = tracers.find(({ dataSource }) => dataSource.toLowerCase() === name);
    const known = tracer?.fields.map(({ fullName }) => fullName) ?? [];
    const names = new Set(known.map((field) => field.toLowerCase()));
    const places = Object.entries(source.fields).map(([field, of]) => [['fields', field], of] as const);
    for (const [place, { annotations }] of [[[], source] as const, ...places]) {
      const path = ['datasources', name, ...place, 'annotations', MODULE_READS];
      for (const read of namesRead(annotations))
        if (!names.has(read)) report(path, unknown('there is no such field', read, known));
    }
  }
}

/** What an annotation should be, if it is not. */
type AnnotationCheck = (value: string) => string | undefined;

const oneOf =
  (...values: string[]): AnnotationCheck =>
  (value) =>
    values.includes(value) ? undefined : `one of ${values.join(', ')}`;
const isBoolean: AnnotationCheck = (value) => (/^(true|false)$/i.test(value) ? undefined : 'true or false');
const isNumber: AnnotationCheck = (value) => (/^\d{1,6}$/.test(value) ? undefined : 'a whole number');
const isWidth: AnnotationCheck = (value) =>
  value === 'type' || isNumber(value) === undefined ? undefined : 'a whole number, or "type"';

const ANNOTATIONS: Readonly<Record<string, AnnotationCheck>> = {
  'columns.width': isWidth,
  'columns.minwidth': isWidth,
  'columns.maxwidth': isWidth,
  'columns.precision': isNumber,
  'columns.alignment': oneOf('left', 'right'),
  'columns.ellipsis': oneOf('none', 'start', 'middle', 'end'),
  'columns.hidden': isBoolean,
  'columns.fixed': isBoolean,
  'columns.hex': isBoolean,
  'columns.expendable': isBoolean,
  'json.skip': isBoolean,
};

/** Returns the parameters as gadget.yaml makes them. */
function checkParams({ metadata, lineOf }: MetadataFile, object: ObjectFacts, report: Report): Param[] {
  const params: Param[] = [];
  // Older files have them at the top; there is no line of its own for what is not there.
  const ebpf = lineOf(['ebpfParams']) > lineOf(['params', 'ebpf']) ? ['ebpfParams'] : ['params', 'ebpf'];
  const declared = new Map(object.params.map((param) => [variableOf(param), param]));
  for (const [name, words] of Object.entries(metadata.ebpfParams)) {
    const param = findKey(declared, name);
    if (param === undefined) {
      report([...ebpf, name], unknown('no variable of that name is a GADGET_PARAM', name, declared.keys()));
      continue;
    }
    checkType([...ebpf, name], words, param.type, report);
    params.push(checkParam([...ebpf, name], withWords(param, words), words, report));
  }
  for (const [name, words] of Object.entries(metadata.wasmParams)) {
    const path = ['params', 'wasm', name];
    params.push(checkParam(path, wasmParam(name, words), words, report));
  }
  checkKeys(params, metadata.ebpfParams, ebpf, report);
  const untold = [...declared].filter(([name]) => findKey(Object.entries(metadata.ebpfParams), name) === undefined);
  const all = [...params, ...untold.map(([, param]) => param)];
  checkDefaults(metadata.paramDefaults, all, report);
  return all;
}

function variableOf({ target }: Param): string {
  return target.in === 'ebpf' ? target.variable : target.name;
}

/** The parameter as `words` change it. */
function withWords(param: Param, words: ParamMetadata): Param {
  if (param.target.in !== 'ebpf') return param;
  const { variable, sizeBytes } = param.target;
  const made = ebpfParam(variable, param.type, sizeBytes, new Uint8Array(sizeBytes), words);
  return words.defaultValue === undefined ? { ...made, defaultValue: param.defaultValue } : made;
}

/** Words for a type that say less than the variable's own. */
const LOOSE_TYPES: Readonly<Record<string, RegExp>> = {
  int: /^int/,
  uint: /^uint/,
  duration: /^u?int64$/,
  bytes: /^string$/,
  '[]string': /^string$/,
};

function checkType(path: readonly string[], words: ParamMetadata, type: ParamType, report: Report): void {
  for (const key of ['type', 'typeHint'] as const) {
    const said = words[key];
    if (said === undefined || said === type || LOOSE_TYPES[said]?.test(type) === true) continue;
    report([...path, key], `expected ${type}, the variable's type, found ${said}`);
  }
}

function checkParam(path: readonly string[], param: Param, words: ParamMetadata, report: Report): Param {
  for (const value of words.possibleValues ?? []) {
    const problem = problemOf({ ...param, possibleValues: [] }, value);
    if (problem !== undefined) report([...path, 'possibleValues'], problem);
  }
  if (words.defaultValue !== undefined && words.defaultValue !== '') {
    const problem = problemOf(param, words.defaultValue);
    if (problem !== undefined) report([...path, 'defaultValue'], problem);
  }
  return param;
}

/** Why a parameter does not take a value: `takes true or false, not "x"`. */
function problemOf(param: Param, value: string): string | undefined {
  try {
    checkValue(param, value);
    return undefined;
  } catch (error) {
    if (!(error instanceof ParamError)) throw error;
    return error.message;
  }
}

function checkKeys(
  params: readonly Param[],
  ebpfParams: Readonly<Record<string, ParamMetadata>>,
  ebpf: readonly string[],
  report: Report,
): void {
  const owners = new Map<string, string>();
  for (const param of params) {
    const name = variableOf(param);
    const path =
      param.target.in === 'ebpf' && name.toLowerCase() in ebpfParams ? [...ebpf, name] : ['params', 'wasm', name];
    for (const [flag, place] of [
      [`--${param.key}`, 'key'],
      ...(param.alias === undefined ? [] : [[`-${param.alias}`, 'alias']]),
    ] as [string, string][]) {
      const owner = owners.get(flag);
      if (owner === undefined) owners.set(flag, name);
      else report([...path, place], `${flag} is the flag of ${owner} already, expected another`);
    }
  }
}

const OURS = /^operator\.oci\.(ebpf|wasm)\.(.*)$/;

function checkDefaults(
  defaults: Readonly<Record<string, string>>,
  params: readonly Param[],
  report: Report,
): void {
  for (const [name, value] of Object.entries(defaults)) {
    const [, room, key] = OURS.exec(name) ?? [];
    if (room === undefined) continue; // other operators' own
    const own = params.filter(({ target }) => target.in === room);
    const param = own.find((candidate) => candidate.key.toLowerCase() === key);
    const path = ['paramDefaults', name];
    if (param === undefined) {
      const names = own.map((candidate) => `operator.oci.${room}.${candidate.key}`);
      report(path, unknown('there is no such parameter', name, names));
      continue;
    }
    const problem = problemOf(param, value);
    if (problem !== undefined) report(path, problem);
  }
}

function checkObjectNames({ metadata }: MetadataFile, object: ObjectFacts, report: Report): void {
  for (const [group, what] of [
    ['programs', 'eBPF program'],
    ['maps', 'eBPF map'],
  ] as const) {
    const known = new Set(object[group].map((name) => name.toLowerCase()));
    for (const name of Object.keys(metadata[group]))
      if (!known.has(name)) report([group, name], unknown(`there is no such ${what}`, name, object[group]));
  }
}

function checkEnabledBy(
  { metadata: { datasources, programs, maps } }: MetadataFile,
  params: readonly Param[],
  report: Report,
): void {
  const keys = params.map(({ key }) => key);
  for (const [group, members] of Object.entries({ datasources, programs, maps })) {
    for (const [name, { enabledBy }] of Object.entries(members)) {
      for (const [key, value] of Object.entries(enabledBy)) {
        const param = params.find((candidate) => candidate.key === key);
        const problem =
          param === undefined ? unknown('there is no such parameter', key, keys) : problemOf(param, value);
        if (problem !== undefined) report([group, name, 'enabledBy', key], problem);
      }
    }
  }
}
