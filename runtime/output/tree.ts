// Compiles the fields of a data source into one function that writes a record as nested objects.

import { type Batch, Span } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { type Existence, type Field, locateTail, locatorOf, undefinedBytesOf } from '../data/field.js';
import { DIGIT_0, KEPT_BYTES, KeptDigits, MAX_DIGITS, putInt32, putUint32 } from '../data/digits.js';
import { type ByteWriter, type Piece, constant } from './byte-writer.js';
import { Code } from './code.js';
import { selectFields } from './select-columns.js';
import { type IntegerKind, type ValueStyle, isIntegerKind, valueWriterOf } from './values.js';

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

/** The fields that JSON and YAML show; `choice` as of `selectFields`, which also throws. */
export function treeFields(source: DataSource, choice?: string): Field[] {
  const skipped = source.fields.filter((field) => field.annotations[SKIP] === 'true');
  const isSkipped = (field: Field): boolean =>
    skipped.some((other) => other === field || field.fullName.startsWith(`${other.fullName}.`));
  const usual = source.valueFields().filter((field) => !isSkipped(field));
  return selectFields(source, usual, choice);
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
  return new RecordCompiler(style).compile(root, depth);
}

/**
 * Writes the source of a record's function. In it, `p` is where the next byte goes in `out`, which always has room for
 * all pieces and numbers of a record, and `at` is where the record begins in `records`.
 */
class RecordCompiler {
  private readonly style: TreeStyle;
  private readonly code = new Code();
  private readonly span = new Span();
  /** What the pieces and numbers of a record take, at most. */
  private readonly room = { sizeBytes: 0 };
  private objects = 0;

  constructor(style: TreeStyle) {
    this.style = style;
  }

  compile(root: Node, depth: number): RecordWriter {
    const { code, room } = this;
    code.add(
      `const at = batch.offsets[row];`,
      `const records = batch.view;`,
      `writer.ensure(${code.value(room)}.sizeBytes);`,
      `let out = writer.view;`,
      `let p = writer.position;`,
    );
    const before = this.addMembers(root, depth);
    code.add(`if (p === ${before}) return false;`);
    this.addBrackets(before, depth);
    code.add(`writer.position = p;`, `return true;`);
    return code.compile(['batch', 'row', 'writer']) as RecordWriter;
  }

  /** Returns what the place before the first member is called; nothing is written when no member is defined. */
  private addMembers(node: Node, depth: number): string {
    const before = `start${this.objects++}`;
    this.code.add(`const ${before} = p;`);
    const exists = existenceOf(node);
    if (exists !== undefined) this.code.add(`if (${this.code.value(exists)}(batch, row)) {`);
    for (const name of [...node.children.keys()].sort())
      this.addMember(name, node.children.get(name)!, depth);
    if (exists !== undefined) this.code.add(`}`);
    return before;
  }

  /**
   * Every member starts with a separator, and the object's opening bracket overwrites the first one: no member
   * needs to know whether others were left out before it.
   */
  private addBrackets(before: string, depth: number): void {
    if (this.style.open !== undefined) this.code.add(`out.setUint8(${before}, ${this.style.open});`);
    this.addText(this.style.close(depth));
  }

  /** A name that is both a value and a struct is written as the struct: a key must not stand twice. */
  private addMember(name: string, node: Node, depth: number): void {
    const isObject = node.children.size > 0;
    const key = this.style.key(name, depth, isObject);
    if (isObject) this.addObject(key, node, depth + 1);
    else this.addValue(key, node.field!);
  }

  private addObject(key: string, node: Node, depth: number): void {
    const { code } = this;
    code.add(`{`, `const before = p;`);
    this.addText(key);
    const start = this.addMembers(node, depth);
    code.add(`if (p === ${start}) p = before;`, `else {`);
    this.addBrackets(start, depth);
    code.add(`}`, `}`);
  }

  private addValue(key: string, field: Field): void {
    const { code } = this;
    const { kind, location } = field;
    const isInteger = field.length === 1 && isIntegerKind(kind);
    const span = code.value(this.span);
    if (location.in === 'record' && isInteger) {
      const place = `at + ${location.offset}`;
      const marker = undefinedBytesOf(field, location.size);
      code.add(marker === undefined ? `{` : `if (${standsNotAt(place, marker)}) {`);
      this.addInteger(key, kind, 'records', place);
    } else {
      if (location.in === 'tail')
        code.add(`if (${code.value(locateTail)}(batch, row, ${location.offset}, ${span})) {`);
      else code.add(`if (${code.value(locatorOf(field))}(batch, row, ${span})) {`);
      if (isInteger) this.addInteger(key, kind, `${span}.view`, `${span}.start`);
      else this.addOther(key, field);
    }
    code.add(`}`);
  }

  private addInteger(key: string, kind: IntegerKind, view: string, place: string): void {
    const { code } = this;
    if (kind === 'bool') {
      code.add(`if (${view}.getUint8(${place}) === 0) {`);
      this.addText(`${key}false`);
      code.add(`} else {`);
      this.addText(`${key}true`);
      code.add(`}`);
      return;
    }
    this.addText(key);
    if (kind === 'int64' || kind === 'uint64') {
      this.room.sizeBytes += KEPT_BYTES;
      const halves = `${view}.getInt32(${place}, true), ${view}.getInt32(${place} + 4, true)`;
      code.add(`p = ${code.value(new KeptDigits(kind === 'int64'))}.put(out, p, ${halves});`);
      return;
    }
    this.room.sizeBytes += MAX_DIGITS;
    const { put, read } = INTEGERS[kind];
    // Most are small: one digit spares the call.
    code.add(
      `const n = ${read(view, place)};`,
      `if (n >= 0 && n < 10) out.setUint8(p++, ${DIGIT_0} + n);`,
      `else p = ${code.value(put)}(out, p, n);`,
    );
  }

  /** A value of no certain size: its writer makes the room, and may replace `out`. */
  private addOther(key: string, field: Field): void {
    const { code } = this;
    this.addText(key);
    code.add(
      `writer.position = p;`,
      `${code.value(valueWriterOf(field, this.style))}(${code.value(this.span)}, writer);`,
      `writer.ensure(${code.value(this.room)}.sizeBytes);`,
      `out = writer.view;`,
      `p = writer.position;`,
    );
  }

  private addText(text: string): void {
    const piece: Piece = constant(text);
    this.room.sizeBytes += piece.words.byteLength;
    this.code.addPiece(piece);
  }
}

interface Integer {
  readonly put: typeof putInt32;
  /** The source of its arguments. */
  readonly read: (view: string, place: string) => string;
}

const INTEGERS: Readonly<Record<Exclude<IntegerKind, 'bool' | 'int64' | 'uint64'>, Integer>> = {
  int8: { put: putInt32, read: (view, place) => `${view}.getInt8(${place})` },
  int16: { put: putInt32, read: (view, place) => `${view}.getInt16(${place}, true)` },
  int32: { put: putInt32, read: (view, place) => `${view}.getInt32(${place}, true)` },
  uint8: { put: putUint32, read: (view, place) => `${view}.getUint8(${place})` },
  uint16: { put: putUint32, read: (view, place) => `${view}.getUint16(${place}, true)` },
  uint32: { put: putUint32, read: (view, place) => `${view}.getUint32(${place}, true)` },
};

/** The source that tells whether a record's bytes at `place` are others than `marker`. */
function standsNotAt(place: string, marker: Uint8Array): string {
  return Array.from(marker, (byte, i) => `records.getUint8(${place} + ${i}) !== ${byte}`).join(' || ');
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
