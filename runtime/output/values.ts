// Writers of single values, by kind: what JSON and YAML have in common, and columns use for numbers.

import type { Span } from '../data/batch.js';
import { type Field, numberReaderOf } from '../data/field.js';
import { type FixedKind, type Kind, isFixed, widthOf } from '../data/kind.js';
import { type ByteWriter, constant } from './byte-writer.js';

/** Writes a located value. */
export type ValueWriter = (span: Span, writer: ByteWriter) => void;

/** Where two formats differ on the same value. */
export interface ValueStyle {
  readonly text: ValueWriter;
  /** How the format writes lists of texts, each behind the other with a NUL between; else in brackets, each as `text`. */
  readonly texts?: ValueWriter;
  /** How the format writes infinities and NaN. */
  readonly notFinite: (value: number) => string;
}

const QUOTE = 0x22;
const TRUE = constant('true');
const FALSE = constant('false');

export type IntegerKind = Exclude<FixedKind, 'float32' | 'float64'>;

export function isIntegerKind(kind: Kind): kind is IntegerKind {
  return isFixed(kind) && kind !== 'float32' && kind !== 'float64';
}

/** Writes the integer (or bool) at `at`. */
export function writeInteger(kind: IntegerKind, view: DataView, at: number, writer: ByteWriter): void {
  switch (kind) {
    case 'bool':
      return writer.raw(view.getUint8(at) === 0 ? FALSE : TRUE);
    case 'int8':
      return writer.int32(view.getInt8(at));
    case 'int16':
      return writer.int32(view.getInt16(at, true));
    case 'int32':
      return writer.int32(view.getInt32(at, true));
    case 'int64':
      return writer.int64(view.getUint32(at, true), view.getUint32(at + 4, true));
    case 'uint8':
      return writer.uint32(view.getUint8(at));
    case 'uint16':
      return writer.uint32(view.getUint16(at, true));
    case 'uint32':
      return writer.uint32(view.getUint32(at, true));
    case 'uint64':
      return writer.uint64(view.getUint32(at, true), view.getUint32(at + 4, true));
  }
}

function integerWriter(kind: IntegerKind): ValueWriter {
  return (span, writer) => writeInteger(kind, span.view, span.start, writer);
}

/** The writer of a field's values in a format. Bytes are written as hexadecimal text, lists in brackets. */
export function valueWriterOf(field: Field, style: ValueStyle): ValueWriter {
  const { kind } = field;
  if (isFixed(kind)) {
    const one = isIntegerKind(kind) ? integerWriter(kind) : floatWriter(kind, style);
    return field.length === 1 ? one : arrayWriter(one, widthOf(kind), field.length);
  }
  if (kind === 'bytes') return writeHexText;
  const { text, texts } = style;
  return kind === 'strings' ? (texts ?? stringsWriter(text)) : text;
}

function writeHexText(span: Span, writer: ByteWriter): void {
  writer.byte(QUOTE);
  writer.hex(span.bytes, span.start, span.end);
  writer.byte(QUOTE);
}

function floatWriter(kind: Kind, style: ValueStyle): ValueWriter {
  const read = numberReaderOf(kind);
  // The shortest digits that read back as the same number need the engine's own conversion to a string.
  const text = kind === 'float32' ? shortestFloat32 : String;
  return (span, writer) => {
    const value = read(span);
    writer.ascii(Number.isFinite(value) ? text(value) : style.notFinite(value));
  };
}

function shortestFloat32(value: number): string {
  for (let precision = 6; precision < 9; precision++) {
    const rounded = Number(value.toPrecision(precision));
    if (Math.fround(rounded) === value) return String(rounded);
  }
  return String(value);
}

const OPEN = 0x5b;
const CLOSE = 0x5d;
const COMMA = 0x2c;

function arrayWriter(one: ValueWriter, width: number, length: number): ValueWriter {
  return (span, writer) => {
    writer.byte(OPEN);
    const { start, end } = span;
    for (let i = 0; i < length && start + (i + 1) * width <= end; i++) {
      if (i > 0) writer.byte(COMMA);
      span.start = start + i * width;
      one(span, writer);
    }
    writer.byte(CLOSE);
  };
}

function stringsWriter(text: ValueWriter): ValueWriter {
  return (span, writer) => {
    const { bytes, start, end } = span;
    writer.byte(OPEN);
    for (let from = start; from < end; from = span.end + 1) {
      let to = from;
      while (to < end && bytes[to] !== 0) to++;
      if (from > start) writer.byte(COMMA);
      span.start = from;
      span.end = to;
      text(span, writer);
    }
    writer.byte(CLOSE);
  };
}
