// Compiles the fields of a data source into one function that writes a record as nested objects.

import { type Batch, Span } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import {
  type Existence,
  type Field,
  type Locator,
  locateTail,
  locatorOf,
  standsAt,
  undefinedBytesOf,
} from '../data/field.js';
import { type ByteWriter, type Piece, constant } from './byte-writer.js';
import {
  type IntegerKind,
  type ValueStyle,
  type ValueWriter,
  isIntegerKind,
  valueWriterOf,
  writeInteger,
} from './values.js';

/**
 * One member of an object. All have the same properties, used or not: the engine reads objects of one shape fastest.
 * What stands in the record itself is not reached through `locate`, whose call would cost more than its work.
 */
interface Member {
  readonly key: Piece;
  /** Writes the struct that the member is, if it is one. */
  readonly object: RecordWriter | undefined;
  /** The kind of an integer that stands in the record. */
  readonly integer: IntegerKind | undefined;
  /** The bytes that mean "undefined" in place of the integer. */
  readonly marker: Uint8Array | undefined;
  readonly isTail: boolean;
  /** Where in the record the integer, or the place of the tail, stands. */
  readonly offset: number;
  /** For all fields; integers in the record need neither. */
  readonly locate: Locator;
  readonly write: ValueWriter;
}

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
  const exists = existenceOf(node);
  const { open } = style;
  const close = constant(style.close(depth));
  // One loop, no function per member: the engine then inlines most of what is called.
  return (batch, row, writer) => {
    if (exists !== undefined && !exists(batch, row)) return false;
    const start = writer.position;
    for (let i = 0; i < members.length; i++) {
      const member = members[i]!;
      if (member.integer !== undefined) {
        const at = batch.offsets[row]! + member.offset;
        if (member.marker !== undefined && standsAt(batch.bytes, at, member.marker)) continue;
        writer.raw(member.key);
        writeInteger(member.integer, batch.view, at, writer);
      } else if (member.object !== undefined) {
        const before = writer.position;
        writer.raw(member.key);
        if (!member.object(batch, row, writer)) writer.position = before;
      } else if (
        member.isTail ? locateTail(batch, row, member.offset, span) : member.locate(batch, row, span)
      ) {
        writer.raw(member.key);
        member.write(span, writer);
      }
    }
    if (writer.position === start) return false;
    if (open !== undefined) writer.bytes[start] = open;
    writer.raw(close);
    return true;
  };
}

/** What tells that none of an object's members is defined, where one function tells it of all. */
function existenceOf({ children }: Node): Existence | undefined {
  const each = new Set(
    Array.from(children.values(), (child) =>
      child.children.size > 0 ? existenceOf(child) : existenceOfField(child.field!),
    ),
  );
  const [first] = each;
  return each.size === 1 ? first : undefined;
}

function existenceOfField({ location }: Field): Existence | undefined {
  return location.in === 'derived' ? location.exists : undefined;
}

/** A name that is both a value and a struct is written as the struct: a key must not stand twice. */
function compileMember(name: string, node: Node, style: TreeStyle, depth: number, span: Span): Member {
  const isObject = node.children.size > 0;
  const key = constant(style.key(name, depth, isObject));
  return isObject
    ? objectMember(key, objectWriter(node, style, depth + 1, span))
    : valueMember(key, node.field!, style);
}

function objectMember(key: Piece, object: RecordWriter): Member {
  return {
    key,
    object,
    integer: undefined,
    marker: undefined,
    isTail: false,
    offset: 0,
    locate: () => false,
    write: () => undefined,
  };
}

function valueMember(key: Piece, field: Field, style: TreeStyle): Member {
  const { kind, length, location } = field;
  const isInteger = location.in === 'record' && length === 1 && isIntegerKind(kind);
  return {
    key,
    object: undefined,
    integer: isInteger ? kind : undefined,
    marker: isInteger ? undefinedBytesOf(field, location.size) : undefined,
    isTail: location.in === 'tail',
    offset: isInteger || location.in === 'tail' ? location.offset : 0,
    locate: locatorOf(field),
    write: valueWriterOf(field, style),
  };
}
