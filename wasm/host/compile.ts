// Compiles core modules, after a look at what compiling and running them could cost.

import { setFlagsFromString } from 'node:v8';
import { type Section, readByte, readU32, sectionsOf, skipValueType } from './binary.js';
import { InvalidModuleError, quoted } from './errors.js';
import { largestFunction } from './function-cost.js';

const SECTION_TYPE = 1;
const SECTION_CODE = 10;
const FUNCTION_TYPE = 0x60;

/** The size of function from which on the optimizing compiler would take seconds and hundreds of MiB. */
const MAX_OPTIMIZED_BYTES = 64 * 1024;
/** What has it compile functions that are called often. */
const OPTIMIZING = ['wasm-dynamic-tiering', 'wasm-tier-up'];

/** Throws InvalidModuleError when a module is not valid, or would cost too much. */
export async function compileCore(bytes: Uint8Array): Promise<WebAssembly.Module> {
  const largest = inspect(bytes);
  try {
    return largest > MAX_OPTIMIZED_BYTES ? compileUnoptimized(bytes) : await WebAssembly.compile(bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InvalidModuleError(`the gadget's Wasm module does not compile: ${quoted(reason)}`, {
      cause: error,
    });
  }
}

/** Returns the size of the largest function, in bytes. */
function inspect(bytes: Uint8Array): number {
  let largest = 0;
  for (const section of sectionsOf(bytes)) {
    if (section.id === SECTION_TYPE) refuseObjects(section);
    if (section.id === SECTION_CODE) largest = Math.max(largest, largestFunction(section));
  }
  return largest;
}

/** Structs and arrays would be on the JavaScript heap, which no cap of memory bounds; newer versions of Node.js have them. */
function refuseObjects({ bytes, content }: Section): void {
  const cursor = { bytes, position: content };
  for (let count = readU32(cursor); count > 0; count--) {
    if (readByte(cursor) !== FUNCTION_TYPE) {
      throw new InvalidModuleError(
        "the gadget's Wasm module has garbage-collected types, which is not allowed; build it with linear memory only",
      );
    }
    for (let part = 0; part < 2; part++) for (let i = readU32(cursor); i > 0; i--) skipValueType(cursor);
  }
}

/** The flags count for what is compiled while they are set. */
function compileUnoptimized(bytes: Uint8Array): WebAssembly.Module {
  for (const flag of OPTIMIZING) setFlagsFromString(`--no-${flag}`);
  try {
    return new WebAssembly.Module(bytes);
  } finally {
    for (const flag of OPTIMIZING) setFlagsFromString(`--${flag}`);
  }
}
