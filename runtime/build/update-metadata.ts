// Drafts gadget.yaml from what the object declares, or adds what is missing to the one there is.

import { Document, type YAMLMap, isMap, parseDocument } from 'yaml';
import type { Annotations } from '../data/field.js';
import type { RecordFieldSpec } from '../data/spec.js';
import type { Param } from '../gadget/params.js';
import { BuildError } from './errors.js';
import type { ObjectFacts } from './object.js';

export interface Update {
  readonly text: string;
  /** What was added, such as `datasources.exec.fields.comm`; empty when nothing was missing. */
  readonly added: readonly string[];
}

const HEAD = ' Drafted from the eBPF object. Say what things are; what this file does not mention keeps its looks.';

/**
 * Adds every data source, field and parameter that `before` does not mention. Nothing there is removed or changed,
 * and comments stay; blanks may move. Throws BuildError when it is no YAML mapping.
 * @param before undefined when there is no file yet
 * @param name the gadget's, unless the file says
 */
export function updateMetadata(before: string | undefined, name: string, object: ObjectFacts): Update {
  const document = before === undefined ? new Document({}) : parseDocument(before);
  if (before === undefined) document.commentBefore = HEAD;
  if (document.contents === null) document.contents = document.createNode({});
  if (document.errors.length > 0 || !isMap(document.contents)) {
    throw new BuildError('gadget.yaml is not a YAML mapping, so nothing can be added to it');
  }
  const adder = new Adder(document, document.contents);
  adder.add(['name'], name);
  adder.add(['description'], '');
  for (const { dataSource, fields } of object.tracers) {
    for (const field of fields) {
      const annotations = { description: descriptionOf(field), ...looksOf(field) };
      adder.add(['datasources', dataSource, 'fields', field.fullName], { annotations });
    }
  }
  const params = ['params', 'ebpf'];
  for (const param of object.params) {
    if (param.target.in === 'ebpf' && !adder.has(['ebpfParams', param.target.variable])) {
      adder.add([...params, param.target.variable], wordsOf(param));
    }
  }
  const { added } = adder;
  const text = added.length === 0 ? before! : document.toString({ lineWidth: 0, singleQuote: true });
  return { text, added };
}

class Adder {
  readonly added: string[] = [];
  readonly #document: Document;
  readonly #root: YAMLMap;

  constructor(document: Document, root: YAMLMap) {
    this.#document = document;
    this.#root = root;
  }

  has(path: readonly string[]): boolean {
    let map: unknown = this.#root;
    for (const name of path) {
      const pair = isMap(map) ? pairOf(map, name) : undefined;
      if (pair === undefined) return false;
      map = pair.value;
    }
    return true;
  }

  /** Adds a value, and the maps above it, where none is. */
  add(path: readonly string[], value: unknown): void {
    if (this.has(path)) return;
    let map = this.#root;
    for (const name of path.slice(0, -1)) {
      const pair = pairOf(map, name);
      if (pair !== undefined && isMap(pair.value)) map = pair.value;
      else if (pair !== undefined && !isEmpty(pair.value)) return; // the check of the file says what is wrong there
      else {
        const child = this.#document.createNode({}) as YAMLMap;
        if (pair === undefined) map.set(this.#document.createNode(name), child);
        else pair.value = child;
        map = child;
      }
    }
    // An empty `{}` would keep everything on its line.
    map.flow = map.items.length === 0 ? false : (map.flow ?? false);
    map.set(path.at(-1)!, this.#document.createNode(value));
    this.added.push(path.join('.'));
  }
}

function pairOf(map: YAMLMap, name: string): YAMLMap['items'][number] | undefined {
  return map.items.find(({ key }) => String(key).toLowerCase() === name.toLowerCase());
}

function isEmpty(value: unknown): boolean {
  return value === null || (value as { value?: unknown }).value === null;
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
