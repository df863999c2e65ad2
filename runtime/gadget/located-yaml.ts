// Reads a YAML file so that every value can be told with the line it stands on.

import {
  type CST,
  Composer,
  type Document,
  Lexer,
  LineCounter,
  type Node,
  Parser,
  isAlias,
  isMap,
  isScalar,
  isSeq,
} from 'yaml';

/** Aliases may make a small file a huge tree. */
const MAX_ALIASES = 100;
/** The YAML library needs a thousand times a text's size in memory, and seconds, for one made to that end. */
const MAX_LENGTH = 64 * 1024;
/** It also recurses, and takes a minute for a thousand bytes of keys within keys. */
const MAX_NESTING = 20;

const MAX_MESSAGE_LENGTH = 200;

/** What is wrong with the YAML itself; the message says what, `line` where. */
export class YamlError extends Error {
  override name = 'YamlError';
  /** From 1 on. */
  readonly line: number;

  constructor(line: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.line = line;
  }
}

/** One document: its values as plain JavaScript, and where they stand. */
export interface LocatedYaml {
  readonly value: unknown;
  /**
   * The line of the key that `path` leads to, from 1 on; of the nearest one above it when there is no such key.
   * Keys are found regardless of case.
   */
  readonly lineOf: (path: readonly string[]) => number;
}

/** Parses one YAML document. Throws YamlError. */
export function parseLocated(text: string): LocatedYaml {
  if (text.length > MAX_LENGTH)
    throw new YamlError(1, `YAML of more than ${MAX_LENGTH} characters is not read`);
  const lines = new LineCounter();
  // Pretty errors take time for each, with the text that stands before it; warnings would go to the terminal.
  const composer = new Composer({ lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const [document, second] = composer.compose(tokensOf(text, lines), true, text.length);
  if (document === undefined) throw new YamlError(1, 'it is empty');
  if (second !== undefined) {
    throw new YamlError(lines.linePos(second.range[0]).line, 'expected one document, found another');
  }
  const [problem] = document.errors;
  if (problem !== undefined) {
    const line = lines.linePos(problem.pos[0]).line;
    throw new YamlError(line, firstWords(problem.message));
  }
  try {
    const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
    return { value, lineOf: (path) => lines.linePos(offsetOf(document, path)).line };
  } catch (cause) {
    throw new YamlError(1, firstWords((cause as Error).message), { cause });
  }
}

/** What the library's own `Parser.parse` yields, unless it nests too deep. */
function* tokensOf(text: string, lines: LineCounter): Generator<CST.Token> {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    if (parser.stack.length > MAX_NESTING) {
      const { line } = lines.linePos(parser.offset);
      throw new YamlError(line, `it is nested deeper than ${MAX_NESTING} levels`);
    }
    yield* parser.next(lexeme);
  }
  yield* parser.end();
}

/** The library quotes the text. */
function firstWords(message: string): string {
  return message.split('\n', 1)[0]!.slice(0, MAX_MESSAGE_LENGTH);
}

function offsetOf(document: Document, path: readonly string[]): number {
  let node: unknown = document.contents;
  let offset = startOf(node);
  for (const name of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => textOf(key).toLowerCase() === name.toLowerCase());
      if (pair === undefined) break;
      offset = startOf(pair.key);
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(name)];
      if (node === undefined) break;
      offset = startOf(node);
    } else break;
  }
  return offset;
}

function startOf(node: unknown): number {
  return (node as Node | null | undefined)?.range?.[0] ?? 0;
}

function textOf(key: unknown): string {
  return isScalar(key) ? String(key.value) : '';
}
