// `ig image push`: sends an image of the local store and its signatures to its registry.

import { copyImage } from '../../../oci/copy.js';
import type { Layout } from '../../../oci/layout.js';
import { type Reference, parseReference } from '../../../oci/reference.js';
import { copySignatures } from '../../../oci/signature/index.js';
import type { TransferFlags } from './commands.js';
import { openStore, storedImage } from './store.js';
import { transfer } from './transfer.js';

/** How many repositories are asked for each blob before it is sent. */
const MAX_MOUNT_SOURCES = 3;

/** Throws UsageError, ConfigError or OciError. */
export async function push(image: string, flags: TransferFlags): Promise<void> {
  const store = openStore();
  const { reference, descriptor } = await storedImage(store, image);
  const mountFrom = await relatives(store, reference, descriptor.digest);
  await transfer('Pushed', reference, flags, async ({ repository, progress }) => {
    const root = await copyImage(store, repository, String(reference), { progress, mountFrom });
    return { digest: root.digest, signatures: await copySignatures(store, repository, reference, root) };
  });
}

/** Other repositories of the same registry that the store has images of, those with the same image first. */
async function relatives(
  store: Layout,
  { registry, repository }: Reference,
  digest: string,
): Promise<string[]> {
  const others = (await store.list()).flatMap((entry) => {
    const reference = tryParse(entry.reference ?? '');
    const isRelative = reference?.registry === registry && reference.repository !== repository;
    return isRelative ? [{ repository: reference.repository, isSame: entry.digest === digest }] : [];
  });
  const sorted = others.sort((a, b) => Number(b.isSame) - Number(a.isSame));
  return [...new Set(sorted.map((other) => other.repository))].slice(0, MAX_MOUNT_SOURCES);
}

function tryParse(text: string): Reference | undefined {
  try {
    return parseReference(text);
  } catch {
    return undefined;
  }
}
