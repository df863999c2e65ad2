// What must hold for every output, whatever was put in, told by other code than the one that is tried: slow and plain.

import { isDeepStrictEqual } from 'node:util';
import { parseAllDocuments } from 'yaml';

/** Something that must hold does not. It is no error that a parser may throw. */
export class Wrong extends Error {
  name = 'Wrong';
}

export function ensure(holds, what) {
  if (!holds) throw new Wrong(typeof what === 'function' ? what() : what);
}

export function ensureSame(found, expected, what) {
  ensure(isDeepStrictEqual(found, expected), () => `${what} is ${show(found)} instead of ${show(expected)}`);
}

export function show(value) {
  const plain = (_, one) =>
    typeof one === 'bigint'
      ? `${one}n`
      : one instanceof Map
        ? { map: [...one] }
        : Object.is(one, -0)
          ? '-0'
          : one;
  return JSON.stringify(value, plain)?.slice(0, 2000);
}

/** Controls but the line feed, what turns the direction of writing, and what is no character. */
const UNSAFE = /[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff]/u;

const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The bytes as text, which must be fit for a terminal: valid UTF-8 without anything that drives one. */
export function safeText(bytes, what) {
  let text;
  try {
    text = DECODER.decode(bytes);
  } catch {
    throw new Wrong(`${what} is not UTF-8: ${Buffer.from(bytes).toString('latin1')}`);
  }
  const unsafe = UNSAFE.exec(text);
  ensure(unsafe === null, () => `${what} has U+${unsafe[0].codePointAt(0).toString(16)}: ${show(text)}`);
  return text;
}

/** The characters of what should be UTF-8, one after the other; a byte that is part of none is itself, as a number. */
export function* charactersOf(bytes) {
  for (let at = 0; at < bytes.length;) {
    if (bytes[at] < 0x80) {
      yield String.fromCharCode(bytes[at++]);
      continue;
    }
    const found = [1, 2, 3, 4].map((length) => decoded(bytes.subarray(at, at + length)));
    const length = found.findIndex((text) => text !== undefined) + 1;
    yield length === 0 ? bytes[at] : found[length - 1];
    at += Math.max(length, 1);
  }
}

function decoded(bytes) {
  try {
    return DECODER.decode(bytes);
  } catch {
    return undefined;
  }
}

/** A text as JSON and YAML have it. */
export function replaced(bytes) {
  return Array.from(charactersOf(bytes), (one) => (typeof one === 'number' ? '\ufffd' : one)).join('');
}

const LETTERS = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** A text as columns have it. */
export function visible(bytes) {
  return Array.from(charactersOf(bytes), (one) => {
    if (typeof one === 'number') return `\\x${one.toString(16)}`;
    if (one !== '\n' && !UNSAFE.test(one)) return one;
    const digits = one.codePointAt(0).toString(16);
    return LETTERS[one] ?? (one < '\x80' ? `\\x${digits.padStart(2, '0')}` : `\\u${digits.padStart(4, '0')}`);
  }).join('');
}

/** A number as it is written, which a double would change. */
export class NumberText {
  constructor(text) {
    this.text = text;
  }
}

/** JSON, with objects as maps and numbers as NumberText; keys must be in order, and none twice. */
export function parseExactly(text, what) {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new Wrong(`${what} is not JSON: ${error.message}: ${show(text)}`);
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[-+.\w]+|[[\]{}:,]/g);
  let at = 0;
  const value = () => {
    const token = tokens[at++];
    if (token === '{') return object();
    if (token === '[') return array();
    if (token.startsWith('"')) return JSON.parse(token);
    return /^[-\d]/.test(token) ? new NumberText(token) : JSON.parse(token);
  };
  const array = () => {
    const items = [];
    while (tokens[at] !== ']') {
      items.push(value());
      if (tokens[at] === ',') at++;
    }
    at++;
    return items;
  };
  const object = () => {
    const members = new Map();
    while (tokens[at] !== '}') {
      const key = JSON.parse(tokens[at]);
      at += 2;
      ensure(!members.has(key), () => `${what} has ${show(key)} twice`);
      members.set(key, value());
      if (tokens[at] === ',') at++;
    }
    at++;
    ensureSame([...members.keys()], [...members.keys()].sort(), `${what}: the order of keys`);
    return members;
  };
  return value();
}

/** The documents of YAML, with objects as maps and whole numbers as bigint. */
export function parseYaml(text, what) {
  return parseAllDocuments(text, { intAsBigInt: true, prettyErrors: false }).map((document) => {
    const [error] = document.errors;
    ensure(error === undefined, () => `${what} is not YAML: ${error.message}: ${show(text)}`);
    return document.toJS({ mapAsMap: true });
  });
}
