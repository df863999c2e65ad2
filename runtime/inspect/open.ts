/** Finds the image to inspect, as `ig run` does, but asks for no signature and stores nothing. */
import { existsSync } from 'node:fs';
import type { Descriptor } from '../../oci/descriptor.js';
import { NotFoundError, OciError } from '../../oci/errors.js';
import type { Layout } from '../../oci/layout.js';
import { parseReference } from '../../oci/reference.js';
import type { Reference } from '../../oci/reference.js';
import type { RegistryOptions } from '../../oci/registry.js';
import { type ResolvedImage, resolveImage } from '../../oci/resolve.js';

export interface OpenImageOptions {
  readonly store: Layout;
  readonly builtin: Layout;
  readonly registry: RegistryOptions;
}

/**
 * Calls `action` with the image that `text` means: in a file, the store, the built-in gadgets, or in its registry,
 * from where it is read into memory only. Rejects with OciError, or as `action` does.
 */
export async function withImage<T>(
  text: string,
  { store, builtin, registry }: OpenImageOptions,
  action: (image: ResolvedImage) => Promise<T>,
): Promise<T> {
  let here: ResolvedImage;
  try {
    here = await resolveImage(text, { store, builtin, pull: 'never' });
  } catch (error) {
    if (!(error instanceof NotFoundError) || namesFile(text)) throw error;
    return withRemoteImage(parseReference(text), registry, action);
  }
  return action(here);
}

async function withRemoteImage<T>(
  reference: Reference,
  options: RegistryOptions,
  action: (image: ResolvedImage) => Promise<T>,
): Promise<T> {
  const { RegistryRepository } = await import('../../oci/registry.js');
  const target = new RegistryRepository(reference, options);
  try {
    let descriptor: Descriptor;
    try {
      descriptor = await target.resolve(String(reference));
    } catch (error) {
      if (error instanceof OciError && reference.short)
        error.message += '; `ig list-gadgets` names what is here';
      throw error;
    }
    return await action({ target, descriptor, reference, from: 'registry', location: reference.registry });
  } finally {
    await target.close();
  }
}

/** Whether `text`, which names no image, is a path, and so names none in a registry either. */
function namesFile(text: string): boolean {
  return (
    /^\.{0,2}\/|^\.{1,2}$/.test(text) || (/^[^:]*\.tar(:|$)/.test(text) && existsSync(text.split(':', 1)[0]!))
  );
}
