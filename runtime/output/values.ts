// Writers of single values, by kind: what JSON and YAML have in common, and columns use for numbers.

import type { Span } from '../data/batch.js';
import { type Field, numberReaderOf } from '../data/field.js';
import { type Kind, isFixed, widthOf } from '../data/kind.js';
import { type ByteWriter, constant } from './byte-writer.js';

/** Writes a located value. */
export type ValueWriter = (span: Span, writer: ByteWriter) => void;

/** Writes `bytes[start .. end)` as one text. */
export type TextWriter = (writer: ByteWriter, bytes: Uint8Array, start: number, end: number) => void;

/** Where two formats differ on the same value. */
export interface ValueStyle {
  readonly text: TextWriter;
  /** How the format writes infinities and NaN. */
  readonly notFinite: (value: number) => string;
}

const QUOTE = 0x22;
const TRUE = constant('true');
const FALSE = constant('false');

const INTEGER_WRITERS: Partial<Record<Kind, ValueWriter>> = {
  bool: (s, w) => w.raw(s.bytes[s.start] === 0 ? FALSE : TRUE),
  int8: (s, w) => w.int32(s.view.getInt8(s.start)),
  int16: (s, w) => w.int32(s.view.getInt16(s.start, true)),
  int32: (s, w) => w.int32(s.view.getInt32(s.start, true)),
  int64: (s, w) => w.int64(s.view.getUint32(s.start, true), s.view.getUint32(s.start + 4, true)),
  uint8: (s, w) => w.uint32(s.bytes[s.start]!),
  uint16: (s, w) => w.uint32(s.view.getUint16(s.start, true)),
  uint32: (s, w) => w.uint32(s.view.getUint32(s.start, true)),
  uint64: (s, w) => w.uint64(s.view.getUint32(s.start, true), s.view.getUint32(s.start + 4, true)),
};

/** The writer of a field's values in a format. Bytes are written as hexadecimal text, lists in brackets. */
export function valueWriterOf(field: Field, style: ValueStyle): ValueWriter {
  const { kind } = field;
  if (isFixed(kind)) {
    const one = INTEGER_WRITERS[kind] ?? floatWriter(kind, style);
    return field.length === 1 ? one : arrayWriter(one, widthOf(kind), field.length);
  }
  if (kind === 'bytes') return writeHexText;
  const { text } = style;
  if (kind === 'strings') return stringsWriter(text);
  return (span, writer) => text(writer, span.bytes, span.start, span.end);
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

function stringsWriter(text: TextWriter): ValueWriter {
  return (span, writer) => {
    const { bytes, end } = span;
    writer.byte(OPEN);
    for (let start = span.start; start < end;) {
      let stop = start;
      while (stop < end && bytes[stop] !== 0) stop++;
      if (start > span.start) writer.byte(COMMA);
      text(writer, bytes, start, stop);
      start = stop + 1;
    }
    writer.byte(CLOSE);
  };
}
