// Prepares a core module of the peer's API on the main thread, for any number of instances in a worker.

import { createHash } from 'node:crypto';
import { compileCore } from '../compile.js';
import { DEFAULT_MEMORY_MAX_BYTES } from '../component.js';
import { InvalidModuleError, quoted } from '../errors.js';
import { capMemory } from '../memory-cap.js';
import { moduleForm } from '../module-form.js';

/** A core module ready to be instantiated. Can be posted to a worker. */
export interface PreparedCore {
  readonly form: 'core';
  /** SHA-256 of the module, in hex. */
  readonly digest: string;
  readonly module: WebAssembly.Module;
  /** Whether it may change the gadget's configuration before the gadget is loaded. */
  readonly configures: boolean;
}

export interface PrepareCoreOptions {
  readonly memoryMaxBytes?: number;
}

/** What core modules can import from. */
export const HOST_MODULES = { ig: 'ig', wasi: 'wasi_snapshot_preview1' } as const;

/** Checks and compiles a core module. Throws InvalidModuleError when it is none of the peer's API. */
export async function prepareCore(
  bytes: Uint8Array,
  options: PrepareCoreOptions = {},
): Promise<PreparedCore> {
  if (moduleForm(bytes) !== 'core')
    throw new InvalidModuleError("the gadget's Wasm module is a component, not a core module");
  const capped = capMemory(bytes, options.memoryMaxBytes ?? DEFAULT_MEMORY_MAX_BYTES);
  const module = await compileCore(capped);
  refuseImports(module);
  refuseExports(module);
  return {
    form: 'core',
    digest: createHash('sha256').update(bytes).digest('hex'),
    module,
    configures: WebAssembly.Module.imports(module).some(({ name }) => name === 'setConfig'),
  };
}

function refuseImports(module: WebAssembly.Module): void {
  const allowed: readonly string[] = Object.values(HOST_MODULES);
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (allowed.includes(from) && kind === 'function') continue;
    throw new InvalidModuleError(
      `the gadget's Wasm module imports the ${kind} ${quoted(name)} from ${quoted(from)}, but it can import functions from ${allowed.join(' and ')} only`,
    );
  }
}

function refuseExports(module: WebAssembly.Module): void {
  const exports = WebAssembly.Module.exports(module);
  const has = (name: string, kind: string): boolean =>
    exports.some((exported) => exported.name === name && exported.kind === kind);
  if (!has('gadgetAPIVersion', 'function'))
    throw new InvalidModuleError(
      "the gadget's Wasm module is a core module without the function gadgetAPIVersion; build it as a component of ig:post-processor, or with the gadget API of Inspektor Gadget",
    );
  if (!has('memory', 'memory'))
    throw new InvalidModuleError("the gadget's Wasm module does not export its memory under the name memory");
}
