// Which files of a folder make the gadget: found before anything is compiled, so that what is missing is said at once.

import type { BuildFile } from './build-file.js';
import { BuildError } from './errors.js';
import type { GadgetFolder } from './folder.js';
import type { BuildOptions } from './job.js';

/** Paths below the folder. */
export interface Plan {
  /** C source, or prebuilt objects (`.o`). */
  readonly ebpf: string | undefined;
  /** AssemblyScript (`.ts`), or a module (`.wasm`). */
  readonly wasm: string | undefined;
  /** Undefined when there is none, and none is needed. */
  readonly metadata: string | undefined;
  readonly cflags: readonly string[];
}

const EBPF_SOURCE = 'program.bpf.c';
const WASM_PLACES = ['wasm/program.ts', 'program.wasm'];
const METADATA = 'gadget.yaml';
const LANGUAGES: Readonly<Record<string, string>> = { go: 'Go', rs: 'Rust' };

/** Throws BuildError when a file is missing, or of a kind that cannot be built. */
export function planBuild(
  folder: GadgetFolder,
  file: BuildFile,
  options: Pick<BuildOptions, 'validate' | 'updateMetadata'>,
): Plan {
  const ebpf = file.ebpfSource ?? firstOf(folder, [EBPF_SOURCE]);
  const wasm = file.wasm ?? firstOf(folder, WASM_PLACES);
  if (ebpf === undefined && wasm === undefined) {
    throw new BuildError(
      `there is nothing to build in ${folder.path}: no ${[EBPF_SOURCE, ...WASM_PLACES].join(', no ')}, and no build.yaml that names other files`,
    );
  }
  if (ebpf?.endsWith('.o') === false) folder.need(ebpf, 'eBPF source');
  if (wasm !== undefined) needWasm(folder, wasm);
  return { ebpf, wasm, metadata: metadataOf(folder, file, options), cflags: file.cflags };
}

function firstOf(folder: GadgetFolder, places: readonly string[]): string | undefined {
  return places.find((place) => folder.find(place) !== undefined);
}

function needWasm(folder: GadgetFolder, file: string): void {
  const [, ending = ''] = /\.([a-z]+)$/.exec(file) ?? [];
  if (ending === 'ts' || ending === 'wasm') {
    folder.need(file, ending === 'ts' ? 'Wasm source' : 'Wasm module');
    return;
  }
  const language = LANGUAGES[ending];
  const what =
    language === undefined ? `${folder.pathOf(file)} is no .ts or .wasm file` : `${language} cannot be built yet`;
  throw new BuildError(
    `${what}: compile ${folder.pathOf(file)} to Wasm yourself, and name the module in build.yaml (wasm: program.wasm)`,
  );
}

function metadataOf(
  folder: GadgetFolder,
  file: BuildFile,
  { validate, updateMetadata }: Pick<BuildOptions, 'validate' | 'updateMetadata'>,
): string | undefined {
  const name = file.metadata ?? METADATA;
  if (updateMetadata || folder.find(name) !== undefined) return name;
  if (!validate && file.metadata === undefined) return undefined;
  throw new BuildError(
    `there is no metadata file ${folder.pathOf(name)}; --update-metadata drafts one from the eBPF object`,
  );
}
