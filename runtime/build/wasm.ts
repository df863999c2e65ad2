// Builds a gadget's Wasm part, or takes it prebuilt, and checks that it is one that gadgets can have.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { prepareComponent } from '../../wasm/host/component.js';
import { prepareCore } from '../../wasm/host/core/prepare.js';
import { type ModuleForm, moduleForm } from '../../wasm/host/module-form.js';
import { BuildError } from './errors.js';
import type { GadgetFolder } from './folder.js';
import { runTool } from './run-tool.js';

const ASSEMBLYSCRIPT = fileURLToPath(new URL('../../wasm/sdk/assemblyscript/build.js', import.meta.url));
/** Exit status of build.js when there is no AssemblyScript compiler. */
const NO_COMPILER = 3;

/**
 * The module that `file` of the folder is, or becomes when compiled to `module`. `output` takes what the compiler
 * says. Throws BuildError.
 */
export async function buildWasm(
  folder: GadgetFolder,
  file: string,
  module: string,
  output: (text: string) => void,
): Promise<Uint8Array> {
  if (file.endsWith('.wasm')) return folder.read(file, 'Wasm module');
  const source = folder.need(file, 'Wasm source');
  const built = await runTool(process.execPath, [ASSEMBLYSCRIPT, source, module]);
  output(built?.output ?? '');
  if (built?.ok) return readFileSync(module);
  throw new BuildError(
    built?.status === NO_COMPILER
      ? `${folder.pathOf(file)} needs the AssemblyScript compiler; see above how to get it, or name a prebuilt module in build.yaml (wasm: program.wasm)`
      : `the AssemblyScript compiler could not compile ${folder.pathOf(file)}; see what it says above`,
  );
}

/**
 * Checks a module: a component that only exports our interface, or a core module of the peer's API. A component
 * transpiled for that is kept in `cacheDir`. Throws BuildError or WasmError, naming `path`.
 */
export async function checkWasm(bytes: Uint8Array, path: string, cacheDir: string): Promise<ModuleForm> {
  try {
    const form = moduleForm(bytes);
    if (form === 'component') await prepareComponent(bytes, { cacheDirs: [cacheDir] });
    else await prepareCore(bytes);
    return form;
  } catch (cause) {
    throw new BuildError(`${path} cannot be a gadget's Wasm part: ${(cause as Error).message}`, { cause });
  }
}
