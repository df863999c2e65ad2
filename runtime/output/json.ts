// Output modes `json` (one line per event) and `jsonpretty`; a batch of an array data source is one JSON array.

import type { DataSource } from '../data/data-source.js';
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

export function jsonOutput(source: DataSource): Output {
  return treeOutput(source, COMPACT, 0, '', '');
}

export function jsonPrettyOutput(source: DataSource): Output {
  return source.type === 'array'
    ? treeOutput(source, PRETTY, 1, '\n  ', '\n')
    : treeOutput(source, PRETTY, 0, '', '');
}

/** `beforeElement` and `beforeClose` are the white space inside an array's brackets. */
function treeOutput(
  source: DataSource,
  style: TreeStyle,
  depth: number,
  beforeElement: string,
  beforeClose: string,
): Output {
  const fields = treeFields(source);
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
