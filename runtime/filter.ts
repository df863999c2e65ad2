// A filter by its name: a module in a file, a folder of sources, or an image; what `--wasm` takes.

import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { checkAllowed } from '../oci/allowed.js';
import { MAX_MODULE_SIZE_BYTES } from '../wasm/host/module-form.js';
import { GadgetError } from './gadget/errors.js';
import { type Metadata, emptyMetadata, parseMetadata } from './gadget/metadata.js';
import { type Param, wasmParam } from './gadget/params.js';
import { cacheDirs } from './guest.js';
import { type OpenImageOptions, openImage } from './open-image.js';
import { isSourceFolder, withFolderHint } from './source-folder.js';

/** A Wasm module to run after a gadget's own. */
export interface Filter {
  /** What messages call it. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Those that its gadget.yaml names; a module without may know any. */
  readonly params: readonly Param[];
}

export interface FilterOptions extends OpenImageOptions {
  /** Whether gadget.yaml is checked; always skipped for built-in gadgets. */
  readonly validateMetadata: boolean;
  /** Shows what compilers say also when they succeed. */
  readonly verbose: boolean;
  /** Takes what compilers say, as it is. */
  readonly compilerSays: (text: string) => void;
}

/**
 * Finds the filter `name`: a file that ends in `.wasm`, a folder of sources (`./filter`, `filters/mine/`), which is
 * compiled, or an image, which must be allowed, and signed, as a gadget's. Of a gadget the Wasm module alone is taken.
 * Throws OciError, BuildError, MetadataError, GadgetError: one sentence each.
 */
export async function openFilter(name: string, options: FilterOptions): Promise<Filter> {
  if (name.endsWith('.wasm')) {
    checkAllowed(name, undefined, undefined, options.config.allowedGadgets);
    return { name: basename(name, '.wasm'), bytes: readModule(name), params: [] };
  }
  if (isSourceFolder(name)) {
    checkAllowed(name, undefined, undefined, options.config.allowedGadgets);
    return buildFilter(name, options);
  }
  const { image, resolved } = await openImage(name, options).catch((error: unknown) => {
    throw withFileHint(withFolderHint(error, name), name);
  });
  const imageName = resolved.reference?.name ?? name;
  if (image.wasm === undefined) {
    throw new GadgetError(`the image of ${imageName} has no Wasm module, so it is no filter`);
  }
  const validate = resolved.from !== 'builtin' && options.validateMetadata;
  const metadata =
    image.metadata === undefined ? emptyMetadata(imageName) : await parseMetadata(image.metadata, validate);
  return { name: imageName, bytes: image.wasm, params: filterParams(metadata) };
}

/** Tells who gave the name of a file, such as a source, and got no image out of it, what is taken. */
function withFileHint(error: unknown, name: string): unknown {
  const isFile = statSync(name, { throwIfNoEntry: false })?.isFile() === true;
  if (error instanceof Error && isFile && !name.endsWith('.tar')) {
    error.message += '; --wasm takes a module (FILE.wasm), a folder of sources (./FOLDER) or an image';
  }
  return error;
}

/** The parameters of the Wasm part, with the defaults that they have in the end. */
export function filterParams({ wasmParams, paramDefaults }: Metadata): Param[] {
  return Object.entries(wasmParams).map(([key, words]) => {
    const param = wasmParam(key, words);
    const given = paramDefaults[`operator.oci.wasm.${param.key.toLowerCase()}`];
    return given === undefined ? param : { ...param, defaultValue: given, mandatory: false };
  });
}

function readModule(path: string): Uint8Array {
  const cannot = (reason: string, cause?: unknown): GadgetError =>
    new GadgetError(`cannot read the Wasm module ${path}: ${reason}`, { cause });
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw cannot('there is no such file');
  if (!found.isFile()) throw cannot('it is no file');
  if (found.size > MAX_MODULE_SIZE_BYTES) {
    throw cannot(`it has ${found.size} bytes, and at most ${MAX_MODULE_SIZE_BYTES} are allowed`);
  }
  try {
    return readFileSync(path);
  } catch (cause) {
    throw cannot((cause as Error).message, cause);
  }
}

async function buildFilter(
  path: string,
  { validateMetadata, verbose, compilerSays }: FilterOptions,
): Promise<Filter> {
  const { buildWasmPart } = await import('./build/gadget.js');
  const said: string[] = [];
  const listener = { ...SILENT, output: (text: string): void => void said.push(text) };
  try {
    const options = { cacheDir: cacheDirs()[0], validate: validateMetadata };
    const { bytes, metadata } = await buildWasmPart(path, options, listener);
    if (verbose) said.forEach(compilerSays);
    return { name: metadata.name, bytes, params: filterParams(metadata) };
  } catch (error) {
    said.forEach(compilerSays);
    throw error;
  }
}

const SILENT = {
  progress: { begin: (): void => undefined, advance: (): void => undefined, end: (): void => undefined },
  note: (): void => undefined,
  color: false,
};
