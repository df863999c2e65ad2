// Builds the gadget of a folder and opens it at once; its image is kept nowhere.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkAllowed } from '../oci/allowed.js';
import { ociArchitecture } from '../oci/descriptor.js';
import { buildGadgetImage } from '../oci/gadget-image.js';
import { Layout } from '../oci/layout.js';
import { ARCHITECTURES, type Architecture } from './build/ebpf.js';
import { BuildError } from './build/errors.js';
import { type BuiltGadget, buildGadget, gadgetName } from './build/gadget.js';
import type { BuildListener } from './build/job.js';
import { cacheDirs } from './guest.js';
import { makeScratch } from './scratch.js';
import { type OpenOptions, type OpenedGadget, openGadget } from './session.js';

/** What the build needs beyond what it takes to open an image. */
export interface OpenFolderOptions extends OpenOptions {
  /** CLANG, LLVM_STRIP, SOURCE_DATE_EPOCH. */
  readonly env: NodeJS.ProcessEnv;
  readonly builderVersion: string;
}

/**
 * Compiles for this machine alone. Throws what a build does, and what opening an image does; a folder that makes a
 * filter is refused with a BuildError.
 */
export async function openFolder(
  path: string,
  options: OpenFolderOptions,
  listener: BuildListener,
): Promise<OpenedGadget> {
  const { config, env, builderVersion, validateMetadata: validate } = options;
  checkAllowed(path, undefined, undefined, config.allowedGadgets);
  const built = await buildGadget(
    path,
    {
      ...{ validate, env, builderVersion, updateMetadata: false, cacheDir: cacheDirs()[0] },
      architectures: ownArchitecture(),
    },
    listener,
  );
  if (built.platforms.every(({ ebpf }) => ebpf === undefined)) {
    throw new BuildError(
      `${path} makes a filter, which has no eBPF program, but sees the events of others, as in \`ig run trace_exec --wasm ${path}\``,
    );
  }
  return openBuilt(path, built, options);
}

function ownArchitecture(): Architecture[] {
  const own = ociArchitecture();
  return (Object.keys(ARCHITECTURES) as Architecture[]).filter((architecture) => architecture === own);
}

/** By way of an image, as it is read from one everywhere else. */
async function openBuilt(path: string, built: BuiltGadget, options: OpenOptions): Promise<OpenedGadget> {
  const directory = makeScratch();
  try {
    const store = new Layout(join(directory, 'layout'));
    await buildGadgetImage(store, { ...built, ref: imageName(path) });
    const config = { ...options.config, allowedGadgets: [] };
    const opened = await openGadget(store.root, { ...options, config });
    return { ...opened, resolved: { ...opened.resolved, reference: undefined, location: path } };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The folder's name, as far as images can have it. */
function imageName(path: string): string {
  const name = gadgetName(path)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_+|_+$/g, '');
  return name === '' ? 'gadget' : name;
}
