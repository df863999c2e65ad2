// Tells apart the two forms of Wasm binary: a component, and a core module.

import { InvalidModuleError } from './errors.js';

export type ModuleForm = 'component' | 'core';

/** The largest Wasm binary that is looked at. */
export const MAX_MODULE_SIZE_BYTES = 100 * 1024 * 1024;

const MAGIC = 0x6d736100; // "\0asm"
const CORE_VERSION_1 = 0x0000_0001;
/** Version 13, layer 1: the component model's binary format before 1.0, which all tools write.
 *  https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md */
const COMPONENT_VERSION = 0x0001_000d;

/** The form of a Wasm binary, by its version field. Throws InvalidModuleError when it is none. */
export function moduleForm(bytes: Uint8Array): ModuleForm {
  if (bytes.length > MAX_MODULE_SIZE_BYTES) {
    throw new InvalidModuleError(
      `the gadget's Wasm module has ${bytes.length} bytes, but at most ${MAX_MODULE_SIZE_BYTES} are allowed`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8 || view.getUint32(0, true) !== MAGIC) {
    throw new InvalidModuleError(
      "the gadget's Wasm module is not WebAssembly: it does not start with \\0asm",
    );
  }
  const version = view.getUint32(4, true);
  if (version === CORE_VERSION_1) return 'core';
  if (version === COMPONENT_VERSION) return 'component';
  throw new InvalidModuleError(
    `the gadget's Wasm module has the unknown version 0x${version.toString(16)}; build it as a component or a core module of version 1`,
  );
}
