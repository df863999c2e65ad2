// Output mode `yaml`: one YAML 1.2 document per event, or per batch of an array data source.

import type { Span } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { type ByteWriter, constant } from './byte-writer.js';
import { jsonName, writeJsonString } from './escape.js';
import { type Output, forEachKept } from './output.js';
import { type TreeStyle, compileRecord, treeFields } from './tree.js';

const NEWLINE = 0x0a;
const DASH = 0x2d;
const SPACE = 0x20;
const DOCUMENT = constant('---');
const EMPTY_ELEMENT = constant('\n- {}');
const EMPTY_OBJECT = constant(' {}');
const EMPTY_LIST = constant(' []');

const STYLE: TreeStyle = {
  text: writeScalar,
  notFinite: (value) => (Number.isNaN(value) ? '.nan' : value > 0 ? '.inf' : '-.inf'),
  key: (name, depth, isObject) => `\n${'  '.repeat(depth)}${yamlKey(name)}:${isObject ? '' : ' '}`,
  close: () => '',
};

/** `choice` is the user's choice of fields, as of `treeFields`. */
export function yamlOutput(source: DataSource, choice?: string): Output {
  const fields = treeFields(source, choice);
  const isArray = source.type === 'array';
  const record = compileRecord(fields, STYLE, isArray ? 1 : 0);
  return {
    header: () => undefined,
    usedFields: () => fields,
    write: (batch, writer, rows) => {
      if (isArray) writer.raw(DOCUMENT);
      const written = forEachKept(batch, writer, rows, (row) => {
        if (!isArray) writer.raw(DOCUMENT);
        const start = writer.position;
        // The first key of an element is written as `\n  key`: the dash goes where its indentation begins.
        if (!record(batch, row, writer)) writer.raw(isArray ? EMPTY_ELEMENT : EMPTY_OBJECT);
        else if (isArray) writer.bytes[start + 1] = DASH;
        if (!isArray) writer.byte(NEWLINE);
      });
      if (isArray) {
        if (written === 0) writer.raw(EMPTY_LIST);
        writer.byte(NEWLINE);
      }
      return written;
    },
  };
}

/** 1 for each byte that a plain scalar may begin with here: far fewer than YAML allows. */
const PLAIN_START = bytesOf('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_/');
/** 1 for each byte that may follow; without `:` and `#`, which begin other things after or before a space. */
const PLAIN = bytesOf('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_/0123456789.-+= ');

function bytesOf(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const byte of Buffer.from(characters)) table[byte] = 1;
  return table;
}

/** Words that some reader of YAML 1.1 or 1.2 takes for something else than text. */
const RESERVED = new Set(['true', 'false', 'null', 'yes', 'no', 'on', 'off', 'y', 'n']);
const LONGEST_RESERVED = 5;

/** Writes text without quotes when it can be nothing but text, else as a JSON string, which is YAML too. */
function writeScalar(span: Span, writer: ByteWriter): void {
  const { bytes, start, end } = span;
  if (!isPlain(bytes, start, end)) {
    writeJsonString(span, writer);
    return;
  }
  writer.ensure(end - start);
  for (let i = start; i < end; i++) writer.bytes[writer.position++] = bytes[i]!;
}

function isPlain(bytes: Uint8Array, start: number, end: number): boolean {
  if (start >= end || PLAIN_START[bytes[start]!] === 0 || bytes[end - 1] === SPACE) return false;
  for (let i = start + 1; i < end; i++) if (PLAIN[bytes[i]!] === 0) return false;
  if (end - start > LONGEST_RESERVED) return true;
  // Short texts only: they may be a reserved word.
  return !RESERVED.has(String.fromCharCode(...bytes.subarray(start, end)).toLowerCase());
}

function yamlKey(name: string): string {
  const bytes = Buffer.from(name);
  return isPlain(bytes, 0, bytes.length) ? name : jsonName(name);
}
