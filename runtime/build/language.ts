// The languages of Wasm parts: which one a source is in, and what compiles it.

import { fileURLToPath } from 'node:url';
import { join, posix } from 'node:path';

const SDK = fileURLToPath(new URL('../../wasm/sdk', import.meta.url));

export const LANGUAGES = ['assemblyscript', 'typescript', 'javascript', 'c', 'rust', 'go'] as const;
export type Language = (typeof LANGUAGES)[number];

/** A Wasm part to compile, or, without a language, one that is a module already. */
export interface WasmSource {
  /** Below the folder. */
  readonly file: string;
  readonly language: Language | undefined;
  /** Another that the file may be in, as far as its name tells; none when build.yaml says which it is. */
  readonly orElse?: Language;
}

/** As their authors write them. */
const TITLES: Readonly<Record<Language, string>> = {
  assemblyscript: 'AssemblyScript',
  typescript: 'TypeScript',
  javascript: 'JavaScript',
  c: 'C',
  rust: 'Rust',
  go: 'Go',
};

/** TypeScript ends as AssemblyScript does, so build.yaml has to say which it is. */
const ENDINGS: Readonly<Record<string, Language>> = {
  '.ts': 'assemblyscript',
  '.js': 'javascript',
  '.c': 'c',
  '.cpp': 'c',
  '.rs': 'rust',
  '.go': 'go',
};
/** A file that stands for the folder it is in: a package of Go is one. */
const GO_PACKAGE = /^(?:go\.mod|program\.go)$/;

/** Where the Wasm part of a folder is, if build.yaml does not say; of one language, the first. */
export const WASM_SOURCES: readonly string[] = [
  ...Object.keys(ENDINGS).map((ending) => `wasm/program${ending}`),
  'wasm/go.mod',
];

export function titleOf(language: Language): string {
  return TITLES[language];
}

/** The language of a file by its name. */
export function languageOf(file: string): Language | undefined {
  return GO_PACKAGE.test(posix.basename(file)) ? 'go' : ENDINGS[posix.extname(file)];
}

/** Another language that the file may be in, by its name. */
export function otherLanguageOf(file: string): Language | undefined {
  return posix.extname(file) === '.ts' ? 'typescript' : undefined;
}

/** What the SDK's compiler is given for a file: a package's folder, or the file itself. */
export function programOf(path: string): string {
  return GO_PACKAGE.test(posix.basename(path)) ? posix.dirname(path) : path;
}

/** The program that compiles a language: `node build.js PROGRAM OUT.wasm`. */
export function compilerOf(language: Language): string {
  return join(sdkOf(language), 'build.js');
}

/** What a program in a language can call. */
export function manualOf(language: Language): string {
  return join(sdkOf(language), 'README.md');
}

/** The folder of what new Wasm parts in a language begin with. */
export function templateOf(language: Language): string {
  return join(sdkOf(language), language === 'typescript' ? 'template-typescript' : 'template');
}

/** The folder of what all new gadgets, or all new filters, begin with. */
export function commonTemplateOf(kind: 'gadget' | 'filter'): string {
  return join(SDK, 'template', kind);
}

function sdkOf(language: Language): string {
  return join(SDK, language === 'typescript' ? 'javascript' : language);
}
