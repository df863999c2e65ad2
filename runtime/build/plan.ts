// Which files of a folder make the gadget: found before anything is compiled, so that what is missing is said at once.

import type { BuildFile } from './build-file.js';
import { BuildError } from './errors.js';
import type { GadgetFolder } from './folder.js';
import type { BuildOptions } from './job.js';
import { type Language, WASM_SOURCES, type WasmSource, languageOf, otherLanguageOf, titleOf } from './language.js';

/** Paths below the folder. */
export interface Plan {
  /** C source, or prebuilt objects (`.o`). */
  readonly ebpf: string | undefined;
  readonly wasm: WasmSource | undefined;
  /** Undefined when there is none, and none is needed. */
  readonly metadata: string | undefined;
  readonly cflags: readonly string[];
}

const EBPF_SOURCE = 'program.bpf.c';
const WASM_MODULE = 'program.wasm';
export const METADATA = 'gadget.yaml';

/** Throws BuildError when a file is missing, or of a kind that cannot be built. */
export function planBuild(
  folder: GadgetFolder,
  file: BuildFile,
  options: Pick<BuildOptions, 'validate' | 'updateMetadata'>,
): Plan {
  const ebpf = planEbpf(folder, file);
  const wasm = planWasm(folder, file);
  if (ebpf === undefined && wasm === undefined) {
    const places = [EBPF_SOURCE, ...WASM_SOURCES, WASM_MODULE];
    throw new BuildError(
      `there is nothing to build in ${folder.path}: no ${places.join(', no ')}, and no build.yaml that names other files`,
    );
  }
  if (ebpf?.endsWith('.o') === false) folder.need(ebpf, 'eBPF source');
  return { ebpf, wasm, metadata: metadataOf(folder, file, options, ebpf), cflags: file.cflags };
}

/** The eBPF part of the folder, which may have none. Throws BuildError. */
export function planEbpf(folder: GadgetFolder, file: BuildFile): string | undefined {
  return file.ebpfSource ?? (folder.find(EBPF_SOURCE) === undefined ? undefined : EBPF_SOURCE);
}

/** The Wasm part of the folder, which may have none. Throws BuildError. */
export function planWasm(folder: GadgetFolder, file: BuildFile): WasmSource | undefined {
  const name = file.wasm ?? findWasm(folder);
  if (name === undefined) return undefined;
  const isModule = name.endsWith('.wasm');
  folder.need(name, isModule ? 'Wasm module' : 'Wasm source');
  if (isModule) return { file: name, language: undefined };
  if (file.language !== undefined) return { file: name, language: file.language };
  const language = languageOf(name);
  const orElse = otherLanguageOf(name);
  if (language !== undefined) return { file: name, language, ...(orElse === undefined ? {} : { orElse }) };
  throw new BuildError(
    `nothing tells the language of ${folder.pathOf(name)}; name it in build.yaml (language: rust), or compile it yourself and name the module there (wasm: program.wasm)`,
  );
}

function findWasm(folder: GadgetFolder): string | undefined {
  const found = new Map<Language, string>();
  for (const file of WASM_SOURCES) {
    const language = languageOf(file)!;
    if (!found.has(language) && folder.find(file) !== undefined) found.set(language, file);
  }
  if (found.size > 1) {
    const files = [...found].map(([language, file]) => `${file} (${titleOf(language)})`);
    throw new BuildError(
      `there are several Wasm sources in ${folder.path}: ${files.join(', ')}; name one in build.yaml (wasm: ${[...found.values()][0]})`,
    );
  }
  return [...found.values()][0] ?? (folder.find(WASM_MODULE) === undefined ? undefined : WASM_MODULE);
}

function metadataOf(
  folder: GadgetFolder,
  file: BuildFile,
  { validate, updateMetadata }: Pick<BuildOptions, 'validate' | 'updateMetadata'>,
  ebpf: string | undefined,
): string | undefined {
  const name = file.metadata ?? METADATA;
  if (updateMetadata || folder.find(name) !== undefined) return name;
  if (!validate && file.metadata === undefined) return undefined;
  const from = ebpf === undefined ? '' : ' from the eBPF object';
  throw new BuildError(
    `there is no metadata file ${folder.pathOf(name)}; --update-metadata drafts one${from}`,
  );
}
