// Compiles the fields of a data source into one function that writes a record as nested objects.

import { type Batch, Span } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { type Field, type Locator, locatorOf } from '../data/field.js';
import { type ByteWriter, type Piece, constant } from './byte-writer.js';
import { type ValueStyle, type ValueWriter, valueWriterOf } from './values.js';

/** Writes one member of an object, or nothing when its value is undefined. */
type Member = (batch: Batch, row: number, writer: ByteWriter) => void;

/** How a format writes objects. */
export interface TreeStyle extends ValueStyle {
  /** What stands before a value: a separator of one byte or more, then the name. Depth 0 is the record. */
  readonly key: (name: string, depth: number, isObject: boolean) => string;
  /** Replaces the first byte of an object's first separator: the opening bracket. */
  readonly open?: number;
  readonly close: (depth: number) => string;
}

/** Writes one record; false when not one of its fields is defined, and nothing was written. */
export type RecordWriter = (batch: Batch, row: number, writer: ByteWriter) => boolean;

/** The annotation that keeps a field, or a struct with all its children, out of JSON and YAML. */
const SKIP = 'json.skip';

/** The fields that JSON and YAML show. */
export function treeFields(source: DataSource): Field[] {
  const skipped = source.fields.filter((field) => field.annotations[SKIP] === 'true');
  const isSkipped = (field: Field): boolean =>
    skipped.some((other) => other === field || field.fullName.startsWith(`${other.fullName}.`));
  return source.valueFields().filter((field) => !isSkipped(field));
}

interface Node {
  readonly children: Map<string, Node>;
  field?: Field;
}

/** Compiles the writer of a record: nested by dotted name, names sorted, undefined values left out. */
export function compileRecord(fields: readonly Field[], style: TreeStyle, depth = 0): RecordWriter {
  const root: Node = { children: new Map() };
  for (const field of fields) {
    let node = root;
    for (const part of field.fullName.split('.')) {
      let child = node.children.get(part);
      if (child === undefined) node.children.set(part, (child = { children: new Map() }));
      node = child;
    }
    node.field = field;
  }
  return objectWriter(root, style, depth, new Span());
}

/**
 * Every member starts with a separator, and the object's opening bracket overwrites the first one: no member
 * needs to know whether others were left out before it.
 */
function objectWriter(node: Node, style: TreeStyle, depth: number, span: Span): RecordWriter {
  const names = [...node.children.keys()].sort();
  const members = names.map((name) => compileMember(name, node.children.get(name)!, style, depth, span));
  const { open } = style;
  const close = constant(style.close(depth));
  return (batch, row, writer) => {
    const start = writer.position;
    for (let i = 0; i < members.length; i++) members[i]!(batch, row, writer);
    if (writer.position === start) return false;
    if (open !== undefined) writer.bytes[start] = open;
    writer.raw(close);
    return true;
  };
}

/** A name that is both a value and a struct is written as the struct: a key must not stand twice. */
function compileMember(name: string, node: Node, style: TreeStyle, depth: number, span: Span): Member {
  const isObject = node.children.size > 0;
  const key = constant(style.key(name, depth, isObject));
  if (isObject) return objectMember(key, objectWriter(node, style, depth + 1, span));
  return valueMember(key, locatorOf(node.field!), valueWriterOf(node.field!, style), span);
}

function objectMember(key: Piece, write: RecordWriter): Member {
  return (batch, row, writer) => {
    const start = writer.position;
    writer.raw(key);
    if (!write(batch, row, writer)) writer.position = start;
  };
}

function valueMember(key: Piece, locate: Locator, write: ValueWriter, span: Span): Member {
  return (batch, row, writer) => {
    if (!locate(batch, row, span)) return;
    writer.raw(key);
    write(span, writer);
  };
}
