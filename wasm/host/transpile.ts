// Turns a component into core modules and JavaScript that connects them, and refuses what is not ours to run.

import { compileCore } from './compile.js';
import { InvalidModuleError, quoted } from './errors.js';
import { imported, refuseForeign } from './refuse.js';
import { runTranspiler } from './transpiler.js';

/** What a component becomes: plain bytes, the same for the same component and the same version below. */
export interface Transpiled {
  /** Body of a function that returns `instantiate`; free names are those of SOURCE_PARAMS. */
  readonly source: string;
  readonly modules: readonly { readonly name: string; readonly bytes: Uint8Array }[];
}

/** Changes whenever the same component would become something else: a new transpiler, or a change here. */
export const TRANSPILER_VERSION = 'jco-transpile-0.15.0-4';

/**
 * Names that the source may use and that are not the language's. The first hide the process from it; the others are
 * our checks, by names that no export of a component can get: a function of that name would take their place.
 */
export const SOURCE_PARAMS = [
  'globalThis',
  'process',
  'require',
  'ig$readBytes',
  'ig$readText',
  'ig$newList',
  'ig$newHandle',
] as const;

const INTERFACE = /^ig:post-processor\/processor@1\.\d+\.\d+$/;
/** The transpiler's short name for the same export. */
const INTERFACE_ALIAS = 'processor';
/** What to build a component with, in words for the user. */
const WANTED = 'ig:post-processor/processor@1.0.0';
const MAX_CORE_MODULES = 32;

/** What the transpiler's TypeScript says of `process` etc. when a component has the functions and types of our WIT. */
const FUNCTIONS = [
  'export function init(params: Array<[string, string]>, sources: Array<Source>, log: Level): Plan;',
  'export function select(used: Array<boolean>): void;',
  'export function process(source: number, count: number, batch: Uint8Array): Uint8Array;',
  'export function tick(now: bigint): Uint8Array;',
  'export function finish(): Uint8Array;',
];
const TYPES = [
  "export type Kind = 'none' | 'boolean' | 's8' | 's16' | 's32' | 's64' | 'u8' | 'u16' | 'u32' | 'u64' | 'f32' | 'f64' | 'text' | 'cstring' | 'bytes' | 'text-list';",
  "export type Place = 'fixed' | 'tail' | 'column';",
  "export type Level = 'error' | 'warn' | 'info' | 'debug' | 'trace';",
  'export interface Field { name: string, kind: Kind, length: number, place: Place, offset: number, size: number, tags: Array<string>, annotations: Array<[string, string]>, }',
  'export interface Source { id: number, name: string, fields: Array<Field>, }',
  'export interface NewField { name: string, kind: Kind, length: number, tags: Array<string>, annotations: Array<[string, string]>, }',
  'export interface Column { source: number, field: NewField, }',
  'export interface NewSource { name: string, fields: Array<NewField>, }',
  'export interface Plan { columns: Array<Column>, reads: Array<[number, number]>, emits: Array<NewSource>, tickMs: number, }',
];

/** Transpiles a component. Throws InvalidModuleError when it is not a post-processor as in wasm/wit. */
export async function transpile(component: Uint8Array): Promise<Transpiled> {
  refuseForeign(component);
  const { files, imports, exports } = await runTranspiler(component);
  if (imports.length > 0) throw imported(imports.join(', '));
  refuseExports(exports.map(([name]) => name));
  const text = new TextDecoder();
  const find = (suffix: string): string => text.decode(files.find(([name]) => name.endsWith(suffix))?.[1]);
  const functions = find('/ig-post-processor-processor.d.ts');
  requireTypes(functions, FUNCTIONS);
  refuseClasses(functions);
  requireTypes(find('/ig-post-processor-types.d.ts'), TYPES);
  const modules = files.filter(([name]) => name.endsWith('.wasm')).map(([name, bytes]) => ({ name, bytes }));
  if (modules.length > MAX_CORE_MODULES) {
    throw new InvalidModuleError(
      `the gadget's Wasm component has more than ${MAX_CORE_MODULES} core modules`,
    );
  }
  for (const { bytes } of modules) await refuseHostileNames(bytes);
  return { source: functionBody(find('guest.js')), modules };
}

function refuseExports(exports: readonly string[]): void {
  if (!exports.some((name) => INTERFACE.test(name))) {
    const names = exports.length === 0 ? 'nothing' : quoted(exports.join(', '));
    throw new InvalidModuleError(`the gadget's Wasm component exports ${names}, but must export ${WANTED}`);
  }
  // Types are looked at in one interface, and functions called in one: it must be the same.
  const [, ...versions] = exports.filter((name) => INTERFACE.test(name));
  const others = [
    ...versions,
    ...exports.filter((name) => !INTERFACE.test(name) && name !== INTERFACE_ALIAS),
  ];
  if (others.length === 0) return;
  throw new InvalidModuleError(
    `the gadget's Wasm component exports ${quoted(others.join(', '))} besides ${WANTED}; remove it`,
  );
}

function requireTypes(text: string, expected: readonly string[]): void {
  const plain = text.replace(/\/\*[^]*?\*\//g, '').replace(/\s+/g, ' ');
  const missing = expected.find((declaration) => !plain.includes(declaration));
  if (missing === undefined) return;
  throw new InvalidModuleError(
    `the gadget's Wasm component has another ${missing.split(/[ (]/)[2]} than ${WANTED}; build it with the WIT of this version`,
  );
}

/** Resources become classes, by names that JavaScript's own may have. */
function refuseClasses(text: string): void {
  if (!/^export class /m.test(text)) return;
  throw new InvalidModuleError(
    `the gadget's Wasm component has resources in ${WANTED}, which has none; remove them`,
  );
}

/**
 * Names of core imports and exports, which the format leaves free. The transpiler pastes them between quotes into
 * its JavaScript as they are, so a quote in a name would let a module write code of this process.
 */
const HARMLESS_NAME = /^[A-Za-z0-9_$.:@/#|()[\]<>=+~%, -]*$/;

async function refuseHostileNames(bytes: Uint8Array): Promise<void> {
  const module = await compileCore(bytes);
  const names = [
    ...WebAssembly.Module.imports(module).flatMap(({ module: from, name }) => [from, name]),
    ...WebAssembly.Module.exports(module).map(({ name }) => name),
  ];
  const hostile = names.find((name) => !HARMLESS_NAME.test(name));
  if (hostile === undefined) return;
  throw new InvalidModuleError(
    `the gadget's Wasm component has a core import or export named ${quoted(JSON.stringify(hostile))}; only letters, digits and plain punctuation are allowed`,
  );
}

/** How the transpiler reads a list of bytes: where it is outside memory, `slice` silently returns less. */
const READ_BYTES = /\b(memory\d+)\.buffer\.slice\((ptr\d+), \2 \+ (len\d+) \* 1\)/g;
/** How it reads texts and begins lists, of any number. */
const READ_TEXT = /\bTEXT_DECODER_UTF8\.decode\(new Uint8Array\((memory\d+)\.buffer, (ptr\d+), (len\d+)\)\)/g;
const NEW_LIST = /\bvar result(\d+) = \[\];/g;
/** How it begins to put a resource into a table, which has a pair of numbers for each. */
const NEW_HANDLE = /\bfunction rscTableCreate(?:Own|Borrow)\(table, [^)]*\) \{/g;
const HANDLE_PUSHED = /\btable\.push\(rep\b/g;
/** What would get by the others. */
const UNCHECKED = /\.buffer\s*\.slice\(|\.decode\(|\bresult\d+ = \[\]/;

function functionBody(source: string): string {
  const checked = source
    .replace(/^export (function|const) /gm, '$1 ')
    .replace(READ_BYTES, 'ig$$readBytes($1.buffer, $2, $3)')
    .replace(READ_TEXT, 'ig$$readText($1.buffer, $2, $3)')
    .replace(NEW_LIST, 'var result$1 = ig$$newList(len$1);')
    .replace(NEW_HANDLE, '$& ig$$newHandle(table);');
  if (
    !checked.includes('ig$readBytes(') ||
    UNCHECKED.test(checked) ||
    count(NEW_HANDLE, source) !== count(HANDLE_PUSHED, source)
  ) {
    throw new InvalidModuleError(
      "the gadget's Wasm component returns values in a way that cannot be checked",
    );
  }
  return `${checked}\nreturn instantiate;`;
}

function count(pattern: RegExp, text: string): number {
  return text.match(pattern)?.length ?? 0;
}
