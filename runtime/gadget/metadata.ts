// gadget.yaml: reads it, checks it against the JSON Schema, and gives it a typed shape.

import { readFileSync } from 'node:fs';
import type { ErrorObject } from 'ajv';
import type { Annotations } from '../data/field.js';
import { didYouMean } from '../data/nearest.js';
import { GadgetError } from './errors.js';
import type { LocatedYaml } from './located-yaml.js';

/** More than a person would read. */
const MAX_MISTAKES = 100;

export interface ParamMetadata {
  readonly key?: string;
  readonly alias?: string;
  readonly title?: string;
  readonly description?: string;
  readonly defaultValue?: string;
  readonly isMandatory?: boolean;
  readonly type?: string;
  readonly typeHint?: string;
  readonly valueHint?: string;
  readonly possibleValues?: readonly string[];
}

export interface FieldMetadata {
  readonly annotations: Annotations;
  readonly tags: readonly string[];
}

/** Parameter key → the value that it must have for something to be part of the run. */
export type EnabledBy = Readonly<Record<string, string>>;

export interface DataSourceMetadata {
  readonly enabledBy: EnabledBy;
  readonly annotations: Annotations;
  readonly tags: readonly string[];
  readonly fields: Readonly<Record<string, FieldMetadata>>;
}

export interface ProgramMetadata {
  readonly attachTo?: string;
  readonly enabledBy: EnabledBy;
  readonly optional: boolean;
}

export interface MapMetadata {
  readonly enabledBy: EnabledBy;
}

/** Keys that the author names are in lower case, but for `wasmParams`: gadget.yaml is read regardless of case. */
export interface Metadata {
  readonly name: string;
  readonly description: string;
  readonly homepageURL: string;
  readonly documentationURL: string;
  readonly sourceURL: string;
  readonly annotations: Annotations;
  readonly datasources: Readonly<Record<string, DataSourceMetadata>>;
  /** `params.ebpf` by variable, `params.wasm` by name. */
  readonly ebpfParams: Readonly<Record<string, ParamMetadata>>;
  readonly wasmParams: Readonly<Record<string, ParamMetadata>>;
  readonly programs: Readonly<Record<string, ProgramMetadata>>;
  readonly maps: Readonly<Record<string, MapMetadata>>;
  readonly paramDefaults: Readonly<Record<string, string>>;
}

/** Something wrong in gadget.yaml: where, what, and what was expected. */
export interface Mistake {
  /** From 1 on. */
  readonly line: number;
  /** A sentence without full stop that starts with the place: `params.ebpf.x.key: expected string, found 7`. */
  readonly text: string;
}

/** gadget.yaml as read, right or wrong. */
export interface MetadataFile {
  /** What of it has the right form. */
  readonly metadata: Metadata;
  /** What is against the schema, in the order of the lines. */
  readonly mistakes: readonly Mistake[];
  /** The line of a key, found regardless of case; of the nearest one above it when there is no such key. */
  readonly lineOf: (path: readonly string[]) => number;
}

/** What is said of a data source and its fields, as `DataSourceSpec` has it. */
export function fieldWordsOf(
  { datasources }: Metadata,
  dataSource: string,
): { annotations: Annotations; fieldAnnotations: Record<string, Annotations> } {
  const words = datasources[dataSource.toLowerCase()];
  const fields = Object.entries(words?.fields ?? {}).map(([field, { annotations }]) => [field, annotations]);
  return {
    annotations: words?.annotations ?? {},
    fieldAnnotations: Object.fromEntries(fields) as Record<string, Annotations>,
  };
}

/** The metadata of an image without any. */
export function emptyMetadata(name: string): Metadata {
  return shape({ name });
}

/**
 * Parses gadget.yaml. `validate` checks it against the schema (skip it for what was checked when it was built).
 * Throws GadgetError: line in the file, what was expected.
 */
export async function parseMetadata(bytes: Uint8Array, validate: boolean): Promise<Metadata> {
  const { metadata, mistakes } = await readMetadata(bytes, validate);
  const [first] = mistakes;
  if (first !== undefined) throw new GadgetError(`invalid gadget.yaml, line ${first.line}: ${first.text}`);
  return metadata;
}

/** Parses gadget.yaml and collects all that is against the schema. Throws GadgetError for what is not YAML. */
export async function readMetadata(bytes: Uint8Array, validate = true): Promise<MetadataFile> {
  const text = new TextDecoder().decode(bytes);
  const { value, lineOf } = parseJson(text) ?? (await parseYaml(text));
  const canonical = canonicalKeys(value);
  const mistakes = validate ? await mistakesIn(canonical, lineOf) : [];
  const isMapping = canonical !== null && typeof canonical === 'object' && !Array.isArray(canonical);
  return { metadata: shape(isMapping ? (canonical as Tree) : {}), mistakes, lineOf };
}

/** JSON is YAML that needs no YAML parser, which takes tens of milliseconds to load: images may hold it. */
function parseJson(text: string): LocatedYaml | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    return { value: JSON.parse(text) as unknown, lineOf: () => 1 };
  } catch {
    return undefined;
  }
}

async function parseYaml(text: string): Promise<LocatedYaml> {
  const { YamlError, parseLocated } = await import('./located-yaml.js');
  try {
    return parseLocated(text);
  } catch (cause) {
    if (!(cause instanceof YamlError)) throw cause;
    throw new GadgetError(`invalid gadget.yaml, line ${cause.line}: ${cause.message}`, { cause });
  }
}

/** Reads the JSON Schema that lies beside this module. */
function readSchema(): object {
  return JSON.parse(readFileSync(new URL('gadget.schema.json', import.meta.url), 'utf8')) as object;
}

async function mistakesIn(tree: unknown, lineOf: LocatedYaml['lineOf']): Promise<Mistake[]> {
  const { Ajv } = await import('ajv');
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true, verbose: true }).compile(readSchema());
  if (validate(tree)) return [];
  const mistakes = validate.errors!.slice(0, MAX_MISTAKES).map((error) => {
    const path = error.instancePath
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
    const unknown: unknown = error.params['additionalProperty'];
    const line = lineOf(typeof unknown === 'string' ? [...path, unknown] : path);
    return { line, text: `${path.map(readable).join('.') || 'the top level'}: ${explain(error)}` };
  });
  return mistakes.sort((a, b) => a.line - b.line);
}

function explain({ keyword, params, message, data, parentSchema }: ErrorObject): string {
  switch (keyword) {
    case 'additionalProperties': {
      const known = Object.keys((parentSchema?.['properties'] ?? {}) as object);
      const name = params['additionalProperty'] as string;
      return `unknown key ${show(name)}, expected one of ${known.join(', ')}${didYouMean(name, known)}`;
    }
    case 'required':
      return `the key ${show(params['missingProperty'])} is missing`;
    case 'enum':
      return `expected one of ${(params['allowedValues'] as unknown[]).join(', ')}, found ${show(data)}`;
    case 'type':
      return `expected ${[params['type']].flat().join(' or ')}, found ${show(data)}`;
    case 'pattern':
      return `expected ${(parentSchema?.['$comment'] as string | undefined) ?? message}, found ${show(data)}`;
    default:
      return `${message ?? keyword}, found ${show(data)}`;
  }
}

/** Names of the author's stand as they are, unless that would spoil the sentence. */
function readable(name: string): string {
  return /^[\x20-\x7e]{1,60}$/.test(name) ? name : show(name);
}

function show(data: unknown): string {
  // Not written out: it may nest deeper than `JSON.stringify` goes.
  if (typeof data === 'object' && data !== null) return Array.isArray(data) ? 'a list' : 'a mapping';
  const text = JSON.stringify(data) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

type Tree = { [key: string]: Tree } & Record<string, unknown>;

const CANONICAL = new Map(
  [
    'name description homepageURL documentationURL sourceURL annotations datasources params programs maps',
    'paramDefaults operator ebpfParams tags fields ebpf wasm custom key alternativeKey alias title',
    'defaultValue isMandatory type typeHint valueHint possibleValues attach_to enabledBy optional perf sampler',
  ]
    .join(' ')
    .split(' ')
    .map((key) => [key.toLowerCase(), key]),
);

/** Keys whose children are named by the author, not by the format. */
const NAMED = new Set([
  'annotations',
  'datasources',
  'fields',
  'ebpf',
  'wasm',
  'custom',
  'programs',
  'maps',
  'enabledBy',
  'paramDefaults',
  'ebpfParams',
]);

/** Gives the format's own keys their canonical case: the peer reads them regardless of case. */
function canonicalKeys(tree: unknown, named = false, depth = 0): unknown {
  if (tree === null || typeof tree !== 'object' || Array.isArray(tree) || depth > 8) return tree;
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(tree)) {
    const canonical = named ? key : (CANONICAL.get(key.toLowerCase()) ?? key);
    out[canonical] = canonicalKeys(value, !named && NAMED.has(canonical), depth + 1);
  }
  return out;
}

function shape(tree: Record<string, unknown>): Metadata {
  const root = tree as Tree;
  return {
    name: text(root['name']),
    description: text(root['description']),
    homepageURL: text(root['homepageURL']),
    documentationURL: text(root['documentationURL']),
    sourceURL: text(root['sourceURL']),
    annotations: texts(root['annotations']),
    datasources: lowerKeys(
      mapOf(root['datasources'], (source) => ({
        enabledBy: texts(source['enabledBy']),
        annotations: texts(source['annotations']),
        tags: list(source['tags']),
        fields: lowerKeys(
          mapOf(source['fields'], (field) => ({
            annotations: texts(field['annotations']),
            tags: list(field['tags']),
          })),
        ),
      })),
    ),
    ebpfParams: lowerKeys(mapOf(root['params']?.['ebpf'] ?? root['ebpfParams'], param)),
    wasmParams: mapOf(root['params']?.['wasm'], param),
    programs: lowerKeys(
      mapOf(root['programs'], (program) => ({
        ...(program['attach_to'] === undefined ? {} : { attachTo: text(program['attach_to']) }),
        enabledBy: texts(program['enabledBy']),
        optional: (program['optional'] as unknown) === true,
      })),
    ),
    maps: lowerKeys(mapOf(root['maps'], (map) => ({ enabledBy: texts(map['enabledBy']) }))),
    paramDefaults: lowerKeys(texts(root['paramDefaults'])),
  };
}

function param(tree: Tree): ParamMetadata {
  const out: Record<string, unknown> = {};
  for (const key of [
    'key',
    'alias',
    'title',
    'description',
    'defaultValue',
    'type',
    'typeHint',
    'valueHint',
  ]) {
    if (tree[key] !== undefined) out[key] = text(tree[key]);
  }
  if (tree['isMandatory'] !== undefined) out['isMandatory'] = (tree['isMandatory'] as unknown) === true;
  if (tree['possibleValues'] !== undefined) out['possibleValues'] = list(tree['possibleValues']);
  return out;
}

function text(value: unknown): string {
  return typeof value === 'string'
    ? value
    : typeof value === 'number' || typeof value === 'boolean'
      ? `${value}`
      : '';
}

function texts(tree: unknown): Record<string, string> {
  return Object.fromEntries(Object.entries(tree ?? {}).map(([key, value]) => [key, text(value)]));
}

function list(value: unknown): string[] {
  return Array.isArray(value) ? value.map(text) : [];
}

function mapOf<T>(tree: unknown, convert: (tree: Tree) => T): Record<string, T> {
  return Object.fromEntries(
    Object.entries((tree ?? {}) as Record<string, Tree | null>).map(([key, value]) => [
      key,
      convert(value ?? {}),
    ]),
  );
}

function lowerKeys<T>(record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key.toLowerCase(), value]));
}
