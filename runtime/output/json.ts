// Output modes `json` (one line per event) and `jsonpretty`; a batch of an array data source is one JSON array.

import type { DataSource } from '../data/data-source.js';
import type { Field } from '../data/field.js';
import { constant } from './byte-writer.js';
import { jsonName, writeJsonString, writeJsonStrings } from './escape.js';
import { type Output, forEachKept } from './output.js';
import { type TreeStyle, compileRecord, treeFields } from './tree.js';

const NEWLINE = 0x0a;
const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;
const COMMA = 0x2c;
const EMPTY_OBJECT = constant('{}');

const COMPACT: TreeStyle = {
  text: writeJsonString,
  texts: writeJsonStrings,
  notFinite: () => 'null',
  key: (name) => `,${jsonName(name)}:`,
  open: OPEN_OBJECT,
  close: () => '}',
};

const PRETTY: TreeStyle = {
  ...COMPACT,
  key: (name, depth) => `,\n${indent(depth + 1)}${jsonName(name)}: `,
  close: (depth) => `\n${indent(depth)}}`,
};

function indent(depth: number): string {
  return '  '.repeat(depth);
}

/** `choice` is the user's choice of fields, as of `treeFields`. */
export function jsonOutput(source: DataSource, choice?: string): Output {
  return treeOutput(source, treeFields(source, choice), { style: COMPACT, depth: 0 });
}

export function jsonPrettyOutput(source: DataSource, choice?: string): Output {
  const inArray = { depth: 1, beforeElement: '\n  ', beforeClose: '\n' };
  const layout = source.type === 'array' ? inArray : { depth: 0 };
  return treeOutput(source, treeFields(source, choice), { style: PRETTY, ...layout });
}

interface Layout {
  readonly style: TreeStyle;
  readonly depth: number;
  /** White space inside an array's brackets. */
  readonly beforeElement?: string;
  readonly beforeClose?: string;
}

function treeOutput(
  source: DataSource,
  fields: readonly Field[],
  { style, depth, beforeElement = '', beforeClose = '' }: Layout,
): Output {
  const record = compileRecord(fields, style, depth);
  const elementSpace = constant(beforeElement);
  const closing = constant(`${beforeClose}]\n`);
  return {
    header: () => undefined,
    usedFields: () => fields,
    write: (batch, writer, rows) => {
      const isArray = source.type === 'array';
      if (isArray) writer.byte(OPEN_ARRAY);
      const start = writer.position;
      const written = forEachKept(batch, writer, rows, (row) => {
        if (isArray) {
          if (writer.position > start) writer.byte(COMMA);
          writer.raw(elementSpace);
        }
        if (!record(batch, row, writer)) writer.raw(EMPTY_OBJECT);
        if (!isArray) writer.byte(NEWLINE);
      });
      if (isArray) writer.raw(closing);
      return written;
    },
  };
}
