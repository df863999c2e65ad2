// Writes the folder of a new gadget or filter: one that builds, and passes its test.

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { type Language, commonTemplateOf, templateOf } from './build/language.js';

/** What templates call the gadget. */
const PLACEHOLDER = /my_gadget/g;
/** Names that images can have, and the packages of every language. */
const NAME = /^[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*$/;
const MAX_NAME_LENGTH = 60;
/** Files in which the name is not filled in. */
const BINARY = /\.(?:ig|wasm)$/;

export class ScaffoldError extends Error {
  override name = 'ScaffoldError';
}

/**
 * Writes the folder `path`, which must not be there yet; its last part is the name. Returns the files, relative to it.
 * Throws ScaffoldError.
 */
export function scaffold(path: string, kind: 'gadget' | 'filter', language: Language): string[] {
  const name = basename(resolve(path));
  if (!NAME.test(name) || name.length > MAX_NAME_LENGTH) {
    throw new ScaffoldError(
      `${JSON.stringify(name)} is no name for a ${kind}: take lower-case letters and digits, with _ or - between`,
    );
  }
  makeFolder(path);
  return [commonTemplateOf(kind), templateOf(language)]
    .flatMap((template) => copy(template, path, name))
    .sort();
}

function makeFolder(path: string): void {
  try {
    mkdirSync(dirname(resolve(path)), { recursive: true });
    mkdirSync(path);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = code === 'EEXIST' ? 'it is there already, and nothing in it is overwritten' : message;
    throw new ScaffoldError(`cannot make the folder ${path}: ${reason}`, { cause });
  }
}

function copy(template: string, path: string, name: string): string[] {
  return readdirSync(template, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const file = relative(template, join(entry.parentPath, entry.name));
      const bytes = readFileSync(join(template, file));
      mkdirSync(dirname(join(path, file)), { recursive: true });
      const content = BINARY.test(file) ? bytes : bytes.toString().replaceAll(PLACEHOLDER, name);
      writeFileSync(join(path, file), content, { flag: 'wx' });
      return file;
    });
}
