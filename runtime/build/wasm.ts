// Builds a gadget's Wasm part, or takes it prebuilt, and checks that it is one that gadgets can have.

import { readFileSync } from 'node:fs';
import { prepareComponent } from '../../wasm/host/component.js';
import { prepareCore } from '../../wasm/host/core/prepare.js';
import { type ModuleForm, moduleForm } from '../../wasm/host/module-form.js';
import { BuildError } from './errors.js';
import type { GadgetFolder } from './folder.js';
import { type WasmSource, compilerOf, programOf, titleOf } from './language.js';
import { runTool } from './run-tool.js';

/** Exit status of an SDK's build.js when its compiler is missing; what it prints says how to get it. */
const NO_COMPILER = 3;

/**
 * The module that a source of the folder is, or becomes when compiled to `module`. `output` takes what the compiler
 * says. Throws BuildError.
 */
export async function buildWasm(
  folder: GadgetFolder,
  { file, language, orElse }: WasmSource,
  module: string,
  output: (text: string) => void,
): Promise<Uint8Array> {
  if (language === undefined) return folder.read(file, 'Wasm module');
  const program = programOf(folder.need(file, 'Wasm source'));
  const built = await runTool(process.execPath, [compilerOf(language), program, module]);
  if (built?.status === NO_COMPILER) {
    throw new BuildError(
      `cannot compile ${folder.pathOf(file)}: ${sentenceIn(built.output)}; or compile it elsewhere, and name the module in build.yaml (wasm: program.wasm)`,
    );
  }
  output(built?.output ?? '');
  if (built?.ok) return readFileSync(module);
  const hint =
    orElse === undefined
      ? ''
      : `; if it is ${titleOf(orElse)}, say so in build.yaml (language: ${orElse})`;
  throw new BuildError(
    `the compiler for ${titleOf(language)} could not compile ${folder.pathOf(file)}; see what it says above${hint}`,
  );
}

/** What a program printed, to stand within a sentence. */
function sentenceIn(output: string): string {
  const text = output.trim().replaceAll(/\s*\n\s*/g, ' ');
  return text.replace(/\.$/, '').replace(/^[A-Z](?=[a-z]* )/, (letter) => letter.toLowerCase());
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
