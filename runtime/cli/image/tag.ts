// `ig image tag`: gives an image of the local store another name.

import { printOut } from './print.js';
import { newName, openStore, storedImage } from './store.js';

/** Prints the new name. Throws OciError, or UsageError for a name with a digest. */
export async function tag(image: string, name: string): Promise<void> {
  const reference = newName(name);
  const store = openStore();
  await storedImage(store, image);
  // Once more, as it may have been removed; during the lease it is not freed before it has its name.
  const { digest } = await store.withLease(async () => {
    const { descriptor } = await storedImage(store, image);
    await store.tag(descriptor, String(reference));
    return descriptor;
  });
  await printOut(`Tagged ${String(reference)}@${digest}\n`);
}
