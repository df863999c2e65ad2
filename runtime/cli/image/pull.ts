// `ig image pull`: fetches an image and its signatures from its registry into the local store.

import { copyImage } from '../../../oci/copy.js';
import { parseReference } from '../../../oci/reference.js';
import { copySignatures } from '../../../oci/signature/index.js';
import { withLease } from '../../../oci/target.js';
import type { TransferFlags } from './commands.js';
import { openStore } from './store.js';
import { transfer } from './transfer.js';

/** Throws UsageError, ConfigError or OciError. Whether the image is trusted is found out when it runs. */
export async function pull(image: string, flags: TransferFlags): Promise<void> {
  const reference = parseReference(image);
  await transfer('Pulled', reference, flags, async ({ repository, progress }) => {
    const store = openStore();
    return withLease(store, async () => {
      const root = await copyImage(repository, store, String(reference), { progress });
      return { digest: root.digest, signatures: await copySignatures(repository, store, reference, root) };
    });
  });
}
