// Finds an image as flags and configuration say, makes sure that it may be used, and reads its parts.

import { fileURLToPath } from 'node:url';
import { ociArchitecture } from '../oci/descriptor.js';
import { type GadgetImage, readGadgetImage } from '../oci/gadget-image.js';
import { Layout, defaultStorePath } from '../oci/layout.js';
import { type ResolveOptions, type ResolvedImage, resolveImage } from '../oci/resolve.js';
import type { Config } from './config/config.js';

export interface OpenImageOptions {
  readonly config: Config;
  /** Another user's store, which is only read. */
  readonly storePath?: string;
  /** Runs a pull, and shows how far it is. */
  readonly showPull?: NonNullable<ResolveOptions['showPull']>;
}

export interface OpenedImage {
  readonly image: GadgetImage;
  readonly resolved: ResolvedImage;
}

/** The layout of the gadgets shipped with this package. */
export function builtinLayout(): Layout {
  return new Layout(fileURLToPath(new URL('../images', import.meta.url)));
}

/** Throws OciError: one sentence. */
export async function openImage(name: string, options: OpenImageOptions): Promise<OpenedImage> {
  const { config, storePath } = options;
  const local = storePath !== undefined || config.disallowPulling;
  const resolved = await resolveImage(name, {
    store: new Layout(storePath ?? defaultStorePath()),
    builtin: builtinLayout(),
    registryOptions: config.registry,
    pull: local ? 'never' : config.pull,
    trust: config.verifyImage ? config.trust : undefined,
    allowed: config.allowedGadgets,
    ...(options.showPull && { showPull: options.showPull }),
  });
  const image = await readGadgetImage(resolved.target, resolved.descriptor, {
    architecture: ociArchitecture(),
  });
  return { image, resolved };
}
