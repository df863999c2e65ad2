// gadget.yaml: reads it, checks it against the JSON Schema, and gives it a typed shape.

import { readFileSync } from 'node:fs';
import type { Annotations } from '../data/field.js';
import { GadgetError } from './errors.js';

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

export interface DataSourceMetadata {
  readonly annotations: Annotations;
  readonly tags: readonly string[];
  /** By lower-cased full name: gadget.yaml's keys are read regardless of case. */
  readonly fields: Readonly<Record<string, FieldMetadata>>;
}

export interface ProgramMetadata {
  readonly attachTo?: string;
  /** Parameter key → the value that it must have for the program to be loaded. */
  readonly enabledBy: Readonly<Record<string, string>>;
  readonly optional: boolean;
}

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
  readonly paramDefaults: Readonly<Record<string, string>>;
}

/** The metadata of an image without any. */
export function emptyMetadata(name: string): Metadata {
  return shape({ name });
}

/**
 * Parses gadget.yaml. `validate` checks it against the schema (skip it for what was checked when it was built).
 * Throws GadgetError: place in the file, what was expected.
 */
export async function parseMetadata(bytes: Uint8Array, validate: boolean): Promise<Metadata> {
  const text = new TextDecoder().decode(bytes);
  const canonical = canonicalKeys(parseJson(text) ?? (await parseYaml(text)));
  if (validate) await validateTree(canonical);
  return shape(canonical as Tree);
}

/** JSON is YAML that needs no YAML parser, which takes tens of milliseconds to load: images may hold it. */
function parseJson(text: string): unknown {
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

async function parseYaml(text: string): Promise<unknown> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { maxAliasCount: 100 } as object);
  const problem = document.errors[0];
  if (problem !== undefined) {
    const line = problem.linePos?.[0]?.line ?? 1;
    throw new GadgetError(`invalid gadget.yaml, line ${line}: ${firstLine(problem.message)}`);
  }
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new GadgetError(`invalid gadget.yaml: ${firstLine(String(cause))}`, { cause });
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!.replace(/ at line .*/, '');
}

/** Reads the JSON Schema that lies beside this module. */
function readSchema(): object {
  return JSON.parse(readFileSync(new URL('gadget.schema.json', import.meta.url), 'utf8')) as object;
}

async function validateTree(tree: unknown): Promise<void> {
  const { Ajv } = await import('ajv');
  const validate = new Ajv({ allErrors: false, allowUnionTypes: true, verbose: true }).compile(readSchema());
  if (validate(tree)) return;
  const error = validate.errors![0]!;
  const path = error.instancePath === '' ? 'the top level' : error.instancePath.slice(1).replaceAll('/', '.');
  throw new GadgetError(
    `invalid gadget.yaml: at ${path}: ${explain(error.keyword, error.params, error.message, error.data)}`,
  );
}

function explain(
  keyword: string,
  params: Record<string, unknown>,
  message: string | undefined,
  data: unknown,
): string {
  switch (keyword) {
    case 'additionalProperties':
      return `unknown key ${JSON.stringify(params['additionalProperty'])}`;
    case 'required':
      return `the key ${JSON.stringify(params['missingProperty'])} is missing`;
    case 'enum':
      return `expected one of ${(params['allowedValues'] as unknown[]).join(', ')}, found ${show(data)}`;
    case 'type':
      return `expected ${[params['type']].flat().join(' or ')}, found ${show(data)}`;
    default:
      return `${message ?? keyword}, found ${show(data)}`;
  }
}

function show(data: unknown): string {
  const text = JSON.stringify(data) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

type Tree = { [key: string]: Tree } & Record<string, unknown>;

const CANONICAL = new Map(
  [
    'name description homepageURL documentationURL sourceURL annotations datasources params programs',
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
  'enabledBy',
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
    datasources: mapOf(root['datasources'], (source) => ({
      annotations: texts(source['annotations']),
      tags: list(source['tags']),
      fields: lowerKeys(
        mapOf(source['fields'], (field) => ({
          annotations: texts(field['annotations']),
          tags: list(field['tags']),
        })),
      ),
    })),
    ebpfParams: mapOf(root['params']?.['ebpf'] ?? root['ebpfParams'], param),
    wasmParams: mapOf(root['params']?.['wasm'], param),
    programs: mapOf(root['programs'], (program) => ({
      ...(program['attach_to'] === undefined ? {} : { attachTo: text(program['attach_to']) }),
      enabledBy: texts(program['enabledBy']),
      optional: (program['optional'] as unknown) === true,
    })),
    paramDefaults: texts(root['paramDefaults']),
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
