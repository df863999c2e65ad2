// Refuses components by their bytes, before the transpiler reads them: what they import, and what of the component
// model they use that no post-processor needs.
// https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md

import { type Cursor, type Section, damaged, readByte, readName, readU32, sectionsOf } from './binary.js';
import { InvalidModuleError, quoted } from './errors.js';

const SECTION_COMPONENT = 4;
const SECTION_CANON = 8;
const SECTION_IMPORT = 10;
const SORT_INSTANCE = 5;

/** The only thing to import: the names of types, which tools write as an import although nothing is called. */
const TYPES_INTERFACE = /^ig:post-processor\/types@1\.\d+\.\d+$/;

/** Components in components; each level is a call of ours, and of the transpiler's. */
const MAX_DEPTH = 16;
/** Functions between components, and to the host: each becomes a page of JavaScript, or of a module. */
const MAX_FUNCTIONS = 512;

/** Throws InvalidModuleError. */
export function refuseForeign(component: Uint8Array): void {
  for (const section of sectionsOf(component)) if (section.id === SECTION_IMPORT) refuseImports(section);
  const functions = refuseAsync(component, 0);
  if (functions > MAX_FUNCTIONS) {
    throw new InvalidModuleError(
      `the gadget's Wasm component has ${functions} functions of the component model, but at most ${MAX_FUNCTIONS} are allowed`,
    );
  }
}

function refuseImports({ bytes, content }: Section): void {
  const cursor = { bytes, position: content };
  for (let count = readU32(cursor); count > 0; count--) {
    readByte(cursor); // how the name is encoded
    const name = readName(cursor);
    if (readByte(cursor) !== SORT_INSTANCE || !TYPES_INTERFACE.test(name)) throw imported(name);
    readU32(cursor); // the instance's type
  }
}

export function imported(name: string): InvalidModuleError {
  return new InvalidModuleError(
    `the gadget's Wasm component imports ${quoted(name)}, but a post-processor may import nothing; build it without WASI`,
  );
}

/**
 * Returns the number of canonical functions. Tasks, streams, threads and the like need no import; the transpiler's code for them runs outside of the calls that
 * are watched over.
 */
function refuseAsync(component: Uint8Array, depth: number): number {
  if (depth > MAX_DEPTH) {
    throw new InvalidModuleError(
      `the gadget's Wasm component has components nested more than ${MAX_DEPTH} deep`,
    );
  }
  let functions = 0;
  for (const { id, bytes, content } of sectionsOf(component)) {
    if (id === SECTION_COMPONENT) functions += refuseAsync(bytes.subarray(content), depth + 1);
    if (id !== SECTION_CANON) continue;
    const cursor = { bytes, position: content };
    for (let count = readU32(cursor); count > 0; count--, functions++) readCanon(cursor);
  }
  return functions;
}

const CANON = { lift: 0x00, lower: 0x01, resourceNew: 0x02, resourceDrop: 0x03, resourceRep: 0x04 };

function readCanon(cursor: Cursor): void {
  const kind = readByte(cursor);
  switch (kind) {
    case CANON.lift:
    case CANON.lower:
      if (readByte(cursor) !== 0) throw damaged();
      readU32(cursor); // the function
      for (let count = readU32(cursor); count > 0; count--) readOption(cursor);
      if (kind === CANON.lift) readU32(cursor); // its type
      break;
    case CANON.resourceNew:
    case CANON.resourceDrop:
    case CANON.resourceRep:
      readU32(cursor); // the type
      break;
    default:
      throw asynchronous(`canonical function 0x${kind.toString(16)}`);
  }
}

/** How texts are encoded: UTF-8, UTF-16, or Latin-1 besides. */
const MAX_ENCODING_OPTION = 0x02;
/** The memory, what allocates in it, and what is called after a result was read. */
const MAX_MEMORY_OPTION = 0x05;

function readOption(cursor: Cursor): void {
  const option = readByte(cursor);
  if (option <= MAX_ENCODING_OPTION) return;
  if (option > MAX_MEMORY_OPTION) throw asynchronous(`canonical option 0x${option.toString(16)}`);
  readU32(cursor);
}

function asynchronous(what: string): InvalidModuleError {
  return new InvalidModuleError(
    `the gadget's Wasm component uses asynchronous functions (${what}), which a post-processor may not; build it without them`,
  );
}
