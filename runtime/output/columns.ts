// Output mode `columns`: a table for a person's eyes, fitted to the terminal when there is one.

import { type Batch, Span } from '../data/batch.js';
import { type Locator, locatorOf, numberReaderOf } from '../data/field.js';
import type { ByteWriter } from './byte-writer.js';
import { countCells, headEnd, tailStart } from './cell-width.js';
import type { ColumnSpec, Ellipsis } from './column-spec.js';
import { Code } from './code.js';
import { fitWidths } from './column-widths.js';
import { writeVisibleText, writeVisibleValue } from './escape.js';
import { type Output, forEachKept } from './output.js';
import { type ValueStyle, type ValueWriter, valueWriterOf } from './values.js';

const NEWLINE = 0x0a;
const SPACE = 0x20;
const WORD_SIZE = 4;
const DIGIT_0 = 0x30;
const ELLIPSIS = Buffer.from('…');
const NO_ELLIPSIS = new Uint8Array(0);

/** Writes a located value and returns how many cells it takes. */
type CellWriter = (span: Span, writer: ByteWriter) => number;

interface Cell {
  readonly spec: ColumnSpec;
  readonly locate: Locator;
  readonly write: CellWriter;
  isLast: boolean;
  /** In cells of the terminal; changes with it. */
  width: number;
  /** Whether longer values are cut to the width: only on a terminal. */
  cut: boolean;
}

/**
 * A table of these columns. On a terminal of `widthColumns` cells it fills the width and cuts what is longer;
 * without one (piped) nothing is ever cut, values are padded to the column's own width.
 */
export function columnsOutput(specs: readonly ColumnSpec[], widthColumns?: number): Output {
  const all = specs.map((spec, i): Cell => ({
    spec,
    locate: locatorOf(spec.field),
    write: cellWriterOf(spec),
    isLast: i === specs.length - 1,
    width: Math.max(spec.width, spec.title.length),
    cut: false,
  }));
  let cells = all;
  const resize = (columns: number): void => {
    const widths = fitWidths(specs, columns);
    all.forEach((cell, i) => Object.assign(cell, { width: widths[i]!, cut: true, isLast: false }));
    cells = all.filter((cell) => cell.width > 0);
    const last = cells.at(-1);
    if (last !== undefined) last.isLast = true;
  };
  if (widthColumns !== undefined) resize(widthColumns);
  let writeRow = compileRow(cells);
  return {
    resize: (columns) => {
      resize(columns);
      writeRow = compileRow(cells);
    },
    usedFields: () => specs.map((spec) => spec.field),
    header: (writer) => writeHeader(cells, writer),
    write: (batch, writer, rows) => forEachKept(batch, writer, rows, (row) => writeRow(batch, row, writer)),
  };
}

type RowWriter = (batch: Batch, row: number, writer: ByteWriter) => void;

/** A function without a loop over the cells: the engine then knows what each of its calls calls. */
function compileRow(cells: readonly Cell[]): RowWriter {
  const code = new Code();
  const [span, finish] = [code.value(new Span()), code.value(finishCell)];
  code.add(`const lineStart = writer.position;`, `let start = lineStart;`);
  for (const cell of cells) {
    const used = `${code.value(cell.locate)}(batch, row, ${span}) ? ${code.value(cell.write)}(${span}, writer) : 0`;
    code.add(`${finish}(${code.value(cell)}, start, ${used}, writer);`, `start = writer.position;`);
  }
  code.add(`${code.value(finishLine)}(lineStart, writer);`);
  return code.compile(['batch', 'row', 'writer']) as RowWriter;
}

function writeHeader(cells: readonly Cell[], writer: ByteWriter): void {
  const lineStart = writer.position;
  for (const cell of cells) {
    const title = Buffer.from(cell.spec.title);
    const start = writer.position;
    finishCell(cell, start, writeVisibleText(writer, title, 0, title.length), writer);
  }
  finishLine(lineStart, writer);
}

/** Cuts or pads the value that stands from `start` on, `used` cells wide, and parts it from the next one. */
function finishCell(cell: Cell, start: number, used: number, writer: ByteWriter): void {
  const { width } = cell;
  if (cell.cut && used > width) used = cutCell(writer, start, used, width, cell.spec.ellipsis);
  if (used < width) {
    if (cell.spec.alignment === 'right') padLeft(writer, start, width - used);
    else if (!cell.isLast) writer.repeat(SPACE, width - used);
  }
  if (!cell.isLast) writer.byte(SPACE);
}

/** A line has no trailing spaces, however many of its last values are empty. */
function finishLine(lineStart: number, writer: ByteWriter): void {
  while (writer.position > lineStart && writer.bytes[writer.position - 1] === SPACE) writer.position--;
  writer.byte(NEWLINE);
}

/** Moves what stands from `start` on to the right, four bytes at a time: the last first, which nothing lies behind. */
function padLeft(writer: ByteWriter, start: number, count: number): void {
  const size = writer.position - start;
  writer.ensure(count + WORD_SIZE);
  const { view } = writer;
  const last = start + ((size - 1) & -WORD_SIZE);
  for (let at = last; at >= start; at -= WORD_SIZE) view.setInt32(at + count, view.getInt32(at));
  writer.position = start;
  writer.repeat(SPACE, count);
  writer.position += size;
}

/** Cuts the text from `start` on to at most `width` cells; returns how many it takes now. */
function cutCell(writer: ByteWriter, start: number, used: number, width: number, ellipsis: Ellipsis): number {
  writer.ensure(ELLIPSIS.length);
  const { bytes, position: end } = writer;
  const sign = ellipsis === 'none' ? NO_ELLIPSIS : ELLIPSIS;
  const room = ellipsis === 'none' ? width : width - 1;
  const tail = ellipsis === 'start' ? room : ellipsis === 'middle' ? Math.floor(room / 2) : 0;
  const signAt = headEnd(bytes, start, end, room - tail);
  const rest = tail === 0 ? end : tailStart(bytes, start, end, used - tail);
  bytes.copyWithin(signAt + sign.length, rest, end);
  bytes.set(sign, signAt);
  writer.position = signAt + sign.length + end - rest;
  // Counted anew: a wide character that did not fit leaves a cell unused.
  return countCells(bytes, start, writer.position);
}

function cellWriterOf(spec: ColumnSpec): CellWriter {
  const { kind, length } = spec.field;
  if (kind === 'strings') return writeWords;
  if (kind === 'string' || kind === 'cstring') return writeVisibleValue;
  if (kind === 'bytes') return measured((span, writer) => writer.hex(span.bytes, span.start, span.end));
  const isFloat = kind === 'float32' || kind === 'float64';
  if (length !== 1) return measured(valueWriterOf(spec.field, NUMBERS));
  if (isFloat) return floatWriter(spec);
  return measured(spec.hex && kind !== 'bool' ? writeHexNumber : valueWriterOf(spec.field, NUMBERS));
}

/** For values that are ASCII: a cell is a byte. */
function measured(write: ValueWriter): CellWriter {
  return (span, writer) => {
    const start = writer.position;
    write(span, writer);
    return writer.position - start;
  };
}

/** How columns write what has no text in it. */
const NUMBERS: ValueStyle = { text: () => undefined, notFinite: String };

function floatWriter({ field, precision }: ColumnSpec): CellWriter {
  const read = numberReaderOf(field.kind);
  // Rounding to digits behind the point needs the engine's own conversion to a string.
  return measured((span, writer) => writer.ascii(read(span).toFixed(precision)));
}

/** Negative numbers show as the machine holds them. */
function writeHexNumber(span: Span, writer: ByteWriter): void {
  writer.ascii('0x');
  const start = writer.position;
  for (let i = span.end - 1; i >= span.start; i--) {
    if (span.bytes[i] !== 0 || writer.position > start || i === span.start) writer.hex(span.bytes, i, i + 1);
  }
  if (writer.bytes[start] === DIGIT_0) {
    writer.bytes.copyWithin(start, start + 1, writer.position);
    writer.position--;
  }
}

/** A list of strings, with spaces between them. */
function writeWords(span: Span, writer: ByteWriter): number {
  const { bytes, start, end } = span;
  let cells = 0;
  for (let from = start; from < end;) {
    let to = from;
    while (to < end && bytes[to] !== 0) to++;
    if (from > start) {
      writer.byte(SPACE);
      cells++;
    }
    cells += writeVisibleText(writer, bytes, from, to);
    from = to + 1;
  }
  return cells;
}
