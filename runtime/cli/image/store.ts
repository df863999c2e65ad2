// The local store as the `ig image` commands use it.

import { homedir } from 'node:os';
import type { Descriptor } from '../../../oci/descriptor.js';
import { NotFoundError } from '../../../oci/errors.js';
import { Layout, defaultStorePath } from '../../../oci/layout.js';
import { type Reference, parseReference } from '../../../oci/reference.js';
import { UsageError } from '../fail.js';

/** The store of the user who runs this command. */
export function openStore(): Layout {
  return new Layout(defaultStorePath(process.getuid?.() ?? 0, homedir()));
}

/**
 * The image of the store that `text` means.
 * Throws InvalidReferenceError, or NotFoundError naming what there is.
 */
export async function storedImage(
  store: Layout,
  text: string,
): Promise<{ reference: Reference; descriptor: Descriptor }> {
  const reference = parseReference(text);
  try {
    return { reference, descriptor: await store.resolve(String(reference)) };
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    const names = (await store.list()).flatMap((entry) => entry.reference ?? []);
    const there = names.length === 0 ? 'it holds no images' : 'see `ig image list`';
    throw new NotFoundError(
      `there is no image ${String(reference)} in the local store ${store.root}; ${there}`,
      {
        cause: error,
      },
    );
  }
}

/** The new name that `text` means for an image. Throws InvalidReferenceError, or UsageError for one with a digest. */
export function newName(text: string): Reference {
  const reference = parseReference(text);
  if (reference.digest === undefined) return reference;
  throw new UsageError(`a digest cannot be given to an image: leave @${reference.digest} out of ${text}`);
}
