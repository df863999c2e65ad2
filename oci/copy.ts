/** Copies an image between any two targets: pull, push, export and import are this one function. */
import {
  MAX_BLOB_BYTES,
  MAX_MANIFEST_BYTES,
  isIndexType,
  isManifestType,
  parseIndex,
  parseManifest,
} from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { InvalidImageError } from './errors.js';
import { fetchBytes, withLease } from './target.js';
import type { Source, Target } from './target.js';

/** An index may hold indexes; images seen in practice nest once. */
const MAX_DEPTH = 3;
const MAX_MANIFESTS = 256;
const PARALLEL_BLOBS = 4;

export interface CopyOptions {
  /** Copy only what this architecture needs; the index keeps naming the others. */
  platform?: { architecture: string };
}

/**
 * Copies the image `name` and names it the same in `destination`. Every byte is verified before it becomes
 * visible there, manifests come after what they name and the name comes last, so an interrupted copy leaves no
 * broken image. Content that is there already is not fetched.
 * @returns the descriptor of the image
 * @throws NotFoundError, DigestMismatchError, InvalidImageError, or what the source throws
 */
export async function copyImage(
  source: Source,
  destination: Target,
  name: string,
  options: CopyOptions = {},
): Promise<Descriptor> {
  const root = await source.resolve(name);
  const copy: Copy = { source, destination, architecture: options.platform?.architecture, manifests: 0 };
  await withLease(destination, async () => {
    await copyManifest(copy, root, 0);
    await destination.tag(root, name);
  });
  return root;
}

interface Copy {
  source: Source;
  destination: Target;
  architecture: string | undefined;
  /** How many indexes and manifests were visited so far. */
  manifests: number;
}

async function copyManifest(copy: Copy, descriptor: Descriptor, depth: number): Promise<void> {
  if (depth > MAX_DEPTH || ++copy.manifests > MAX_MANIFESTS) {
    throw new InvalidImageError(`${descriptor.digest} is part of an index with too many manifests`);
  }
  const { source, destination } = copy;
  const present = await destination.has(descriptor);
  const bytes = await fetchBytes(
    present ? destination : source,
    descriptor,
    MAX_MANIFEST_BYTES,
    'an image manifest',
  );
  const children = childrenOf(descriptor, bytes, copy.architecture);
  for (const child of children.manifests) await copyManifest(copy, child, depth + 1);
  await forEachParallel(children.blobs, PARALLEL_BLOBS, (blob) => copyBlob(copy, blob));
  if (!present) await destination.push(descriptor, [bytes]);
}

function childrenOf(
  descriptor: Descriptor,
  bytes: Uint8Array,
  architecture: string | undefined,
): { manifests: Descriptor[]; blobs: Descriptor[] } {
  if (isManifestType(descriptor.mediaType)) {
    const { config, layers } = parseManifest(bytes, `the manifest ${descriptor.digest}`);
    return { manifests: [], blobs: [config, ...layers] };
  }
  if (!isIndexType(descriptor.mediaType)) {
    throw new InvalidImageError(
      `${descriptor.digest} is not an image: its media type is ${descriptor.mediaType}`,
    );
  }
  const { manifests } = parseIndex(bytes, `the index ${descriptor.digest}`);
  const wanted = manifests.filter(
    ({ platform }) => architecture === undefined || platform?.architecture === architecture,
  );
  return { manifests: wanted, blobs: [] };
}

async function copyBlob({ source, destination }: Copy, blob: Descriptor): Promise<void> {
  if (await destination.has(blob)) return;
  if (blob.size > MAX_BLOB_BYTES) {
    throw new InvalidImageError(
      `the blob ${blob.digest} has ${blob.size} bytes, more than the limit of ${MAX_BLOB_BYTES}`,
    );
  }
  await destination.push(blob, await source.fetch(blob));
}

async function forEachParallel<T>(
  items: readonly T[],
  limit: number,
  action: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      await action(item).catch((error: unknown) => {
        queue.length = 0;
        throw error;
      });
    }
  };
  // Settled, not raced: a failure must not leave other writes running behind the caller's back.
  const results = await Promise.allSettled(Array.from({ length: limit }, worker));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
