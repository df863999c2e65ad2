// build.yaml: which files of a folder make the gadget, if they are not the usual ones. Keys are the peer's.

import { readFileSync } from 'node:fs';
import { didYouMean } from '../data/nearest.js';
import { YamlError, parseLocated } from '../gadget/located-yaml.js';
import { BuildError } from './errors.js';
import type { GadgetFolder } from './folder.js';
import { LANGUAGES, type Language } from './language.js';

/** What build.yaml says; paths are relative to the gadget's folder. */
export interface BuildFile {
  /** C source, or a prebuilt object (`.o`). */
  readonly ebpfSource?: string;
  /** Wasm source, or a prebuilt module (`.wasm`). */
  readonly wasm?: string;
  /** What the Wasm source is written in, if its name does not say. */
  readonly language?: Language;
  /** gadget.yaml. */
  readonly metadata?: string;
  /** More words for the C compiler. */
  readonly cflags: readonly string[];
}

export const BUILD_FILE = 'build.yaml';
const KEYS = ['ebpfsource', 'wasm', 'language', 'metadata', 'cflags'] as const;
const MAX_BYTES = 1 << 20;

/**
 * Reads `path`, or build.yaml in the folder if there is one.
 * Throws BuildError: file and line, what is wrong, what was expected.
 */
export function readBuildFile(folder: GadgetFolder, path: string | undefined): BuildFile {
  if (path !== undefined) return parseBuildFile(readNamed(path), path);
  if (folder.find(BUILD_FILE) === undefined) return { cflags: [] };
  return parseBuildFile(folder.read(BUILD_FILE, 'build file'), folder.pathOf(BUILD_FILE));
}

function readNamed(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new BuildError(`cannot read the build file ${path}: ${(cause as Error).message}`, { cause });
  }
}

function parseBuildFile(bytes: Uint8Array, path: string): BuildFile {
  if (bytes.length > MAX_BYTES) throw new BuildError(`${path} is larger than ${MAX_BYTES} bytes`);
  const { value, lineOf } = parse(new TextDecoder().decode(bytes), path);
  const refuse = (key: string, sentence: string): never => {
    throw new BuildError(`${path}:${lineOf([key])}: ${sentence}`);
  };
  if (value !== null && (typeof value !== 'object' || Array.isArray(value))) {
    return refuse('', 'expected keys and values, such as `wasm: wasm/program.ts`');
  }
  const given = new Map<string, unknown>();
  for (const [key, content] of Object.entries(value ?? {})) {
    const name = KEYS.find((known) => known === key.toLowerCase());
    if (name === undefined) {
      return refuse(key, `unknown key ${/^\w{1,60}$/.test(key) ? key : show(key)}, expected one of ${KEYS.join(', ')}${didYouMean(key, KEYS)}`);
    }
    given.set(name, content);
  }
  const pathAt = (key: (typeof KEYS)[number]): string | undefined => {
    const content = given.get(key) ?? '';
    if (typeof content !== 'string') return refuse(key, `${key} is ${show(content)}, expected a path`);
    return content === '' ? undefined : content;
  };
  const [ebpfSource, wasm, metadata] = [pathAt('ebpfsource'), pathAt('wasm'), pathAt('metadata')];
  const language = LANGUAGES.find((known) => known === given.get('language'));
  if (given.has('language') && language === undefined) {
    const told = given.get('language');
    const near = typeof told === 'string' ? didYouMean(told, LANGUAGES) : '';
    return refuse('language', `language is ${show(told)}, expected one of ${LANGUAGES.join(', ')}${near}`);
  }
  return {
    ...(ebpfSource === undefined ? {} : { ebpfSource }),
    ...(wasm === undefined ? {} : { wasm }),
    ...(language === undefined ? {} : { language }),
    ...(metadata === undefined ? {} : { metadata }),
    cflags: wordsOf(given.get('cflags')) ?? refuse('cflags', 'cflags is neither text nor a list of texts'),
  };
}

function parse(text: string, path: string): ReturnType<typeof parseLocated> {
  try {
    return parseLocated(text);
  } catch (cause) {
    if (!(cause instanceof YamlError)) throw cause;
    throw new BuildError(`${path}:${cause.line}: ${cause.message}`, { cause });
  }
}

/** Words as they reach the compiler, without any quoting; a list for those with blanks. */
function wordsOf(value: unknown): string[] | undefined {
  if (value === undefined || value === null) return [];
  if (typeof value === 'string') return value.split(/\s+/).filter((word) => word !== '');
  if (Array.isArray(value) && value.every((word) => typeof word === 'string')) return value;
  return undefined;
}

function show(value: unknown): string {
  return JSON.stringify(value).slice(0, 60);
}
