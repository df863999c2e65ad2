// Drafts gadget.yaml from what the object declares, or adds what is missing to the one there is.

import { type Pair, type YAMLMap, isMap, isScalar, parseDocument, stringify } from 'yaml';
import type { Annotations } from '../data/field.js';
import type { RecordFieldSpec } from '../data/spec.js';
import type { Param } from '../gadget/params.js';
import { BuildError } from './errors.js';
import { NO_OBJECT, type ObjectFacts } from './object.js';

export interface Update {
  readonly text: string;
  /** What was added, such as `datasources.exec.fields.comm`; empty when nothing was missing. */
  readonly added: readonly string[];
}

const HEAD =
  '# Drafted from the eBPF object. Say what things are; a field needs no entry here to be shown.\n';
const FILTER_HEAD = `# Drafted. Say what the filter does, and which parameters it takes:
#
# params:
#   wasm:
#     NAME:
#       description: …
`;
const INDENT = 2;

/**
 * Adds every data source, field and parameter that `before` does not mention; the rest of the text stays as it is.
 * Throws BuildError when `before` is no YAML mapping.
 * @param before undefined when there is no file yet
 * @param name the gadget's, unless the file says
 */
export function updateMetadata(before: string | undefined, name: string, object: ObjectFacts): Update {
  const added: string[] = [];
  let text = before ?? (object === NO_OBJECT ? FILTER_HEAD : HEAD);
  const add = (path: readonly string[], value: unknown): void => {
    const longer = withValue(text, path, value);
    if (longer === undefined) return;
    text = longer;
    added.push(path.join('.'));
  };
  add(['name'], name);
  add(['description'], '');
  for (const { dataSource, fields } of object.tracers) {
    for (const field of fields) {
      const annotations = { description: descriptionOf(field), ...looksOf(field) };
      add(['datasources', dataSource, 'fields', field.fullName], { annotations });
    }
  }
  const params = hasKey(text, 'ebpfParams') ? ['ebpfParams'] : ['params', 'ebpf'];
  for (const param of object.params) {
    if (param.target.in === 'ebpf') add([...params, param.target.variable], wordsOf(param));
  }
  return { text, added };
}

function rootOf(text: string): YAMLMap | null {
  const { contents, errors } = parseDocument(text);
  if (errors.length === 0 && (contents === null || isMap(contents))) return contents;
  throw new BuildError('gadget.yaml is not a YAML mapping, so nothing can be added to it');
}

function hasKey(text: string, name: string): boolean {
  const root = rootOf(text);
  return root !== null && pairOf(root, name) !== undefined;
}

/** The text with a value at `path`; undefined when there is one, or something else stands above it. */
function withValue(text: string, path: readonly string[], value: unknown): string | undefined {
  let map = rootOf(text);
  let above: Pair | undefined;
  for (const [depth, name] of path.entries()) {
    const rest = path.slice(depth).reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
    if (map === null) return insertBelow(text, above, rest);
    const pair = pairOf(map, name);
    if (pair === undefined) return map.flow ? insertInBraces(text, map, rest) : insertBehind(text, map, rest);
    if (isMap(pair.value)) map = pair.value;
    else if (isNull(pair.value)) map = null;
    else return undefined;
    above = pair;
  }
  return undefined;
}

function pairOf(map: YAMLMap, name: string): Pair | undefined {
  return map.items.find(({ key }) => isScalar(key) && String(key.value).toLowerCase() === name.toLowerCase());
}

function isNull(value: unknown): boolean {
  return value === null || (isScalar(value) && value.value === null);
}

function startOf({ key }: Pair): number {
  return (key as { range: [number, number, number] }).range[0];
}

/** Spaces in front of a key. */
function indentOf(text: string, pair: Pair): number {
  return startOf(pair) - (text.lastIndexOf('\n', startOf(pair) - 1) + 1);
}

/** Behind the last entry of a map that is written in lines. */
function insertBehind(text: string, map: YAMLMap, value: unknown): string {
  const end = text.slice(0, map.range![1]).trimEnd().length;
  return insertLines(text, end, indentOf(text, map.items[0]!), value);
}

/** Below a key without a value, or at the end of a text without any. */
function insertBelow(text: string, above: Pair | undefined, value: unknown): string {
  if (above === undefined) return insertLines(text, text.trimEnd().length, 0, value);
  return insertLines(text, startOf(above), indentOf(text, above) + INDENT, value);
}

/** Behind the line that `offset` is on. */
function insertLines(text: string, offset: number, indent: number, value: unknown): string {
  const line = text.indexOf('\n', offset);
  const at = line < 0 ? text.length : line + 1;
  const lines = stringify(value, { lineWidth: 0, singleQuote: true, indent: INDENT }).replace(
    /^(?=.)/gm,
    ' '.repeat(indent),
  );
  // Sections of the file stand apart.
  const gap = indent === 0 && lines.includes(':\n') ? '\n' : '';
  return `${text.slice(0, at)}${line < 0 && text !== '' ? '\n' : ''}${gap}${lines}${text.slice(at)}`;
}

/** At the end of a map written `{ a: b }`. */
function insertInBraces(text: string, map: YAMLMap, value: unknown): string {
  const close = text.lastIndexOf('}', map.range![1] - 1);
  const inner = JSON.stringify(value).slice(1, -1);
  const before = text.slice(0, close).trimEnd();
  const comma = before.endsWith('{') || before.endsWith(',') ? ' ' : ', ';
  return `${before}${comma}${inner} ${text.slice(close)}`;
}

function wordsOf({ key, type, defaultValue, description }: Param): Record<string, unknown> {
  const isNumber = /^u?int(8|16|32)$/.test(type);
  const value = type === 'bool' ? defaultValue === 'true' : isNumber ? Number(defaultValue) : defaultValue;
  return { key, typeHint: type, defaultValue: value, description };
}

/** What members of these types are in every gadget. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  gadget_process: 'The process',
  gadget_creds: 'User and group of the process',
  gadget_parent: 'The parent process',
  gadget_comm: 'Name of the process',
  gadget_pcomm: 'Name of the parent process',
  gadget_pid: 'Process ID',
  gadget_ppid: 'Process ID of the parent',
  gadget_tid: 'Thread ID',
  gadget_ptid: 'Thread ID of the parent',
  gadget_uid: 'User ID',
  gadget_gid: 'Group ID',
  gadget_mntns_id: 'Inode number of the mount namespace',
  gadget_netns_id: 'Inode number of the network namespace',
  gadget_timestamp: 'When it happened',
};

function descriptionOf({ tags }: RecordFieldSpec): string {
  for (const tag of tags) {
    const description = DESCRIPTIONS[tag.replace(/^type:/, '')];
    if (description !== undefined) return description;
  }
  return '';
}

/** Widths that hold a value and are not wide for a text. */
const TEXT_WIDTH = 32;

/** Column annotations that suit a field's kind; none where its type says them already. */
function looksOf({ kind, length, size, annotations, tags }: RecordFieldSpec): Annotations | object {
  if (kind === 'none' || Object.keys(annotations).length > 0) return {};
  if (kind === 'bytes' || length > 1) return { 'columns.hidden': true };
  if (kind === 'cstring') return { 'columns.width': Math.min(Math.max(size, 8), TEXT_WIDTH) };
  if (kind === 'string' || kind === 'strings') return { 'columns.width': TEXT_WIDTH };
  if (kind === 'bool') return { 'columns.width': 5 };
  // The text that stands beside such a number has a look of its own.
  if (tags.some((tag) => /^type:gadget_(errno|signal|syscall|file_|bytes|duration)/.test(tag))) return {};
  return { 'columns.width': 'type', 'columns.alignment': 'right' };
}
