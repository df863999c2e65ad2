/** Carries the signatures of an image along with it. */
import type { Descriptor, Manifest } from '../descriptor.js';
import { DigestMismatchError, InvalidImageError, NotFoundError } from '../errors.js';
import type { Reference } from '../reference.js';
import { withLease } from '../target.js';
import type { Source, Target } from '../target.js';
import { possibleReferrers, readReferrer } from './referrer.js';
import { MAX_PAYLOAD_BYTES, MAX_SIGNATURES } from './signature.js';
import { addToTag, possibleTags, readSignatures } from './tag.js';

/**
 * Copies the signatures of `root` in all forms, without judging them; those that are there already stay. What is
 * malformed or too large to be a signature is left behind.
 * @param reference the image's name in `target`
 * @returns how many were new to `target`
 * @throws what source and target throw if they cannot be asked
 */
export async function copySignatures(
  source: Source,
  target: Target,
  reference: Reference,
  root: Descriptor,
): Promise<number> {
  return withLease(target, async () => {
    const tagged = await copyTagged(source, target, reference, root);
    return tagged + (await copyReferrers(source, target, root));
  });
}

async function copyTagged(
  source: Source,
  target: Target,
  reference: Reference,
  root: Descriptor,
): Promise<number> {
  const tags = (await unlessMalformed(() => possibleTags(source, reference, root))) ?? [];
  const layers: Descriptor[] = [];
  for (const tag of tags) {
    layers.push(...((await unlessMalformed(() => readSignatures(source, tag)))?.layers ?? []));
  }
  const copied: Descriptor[] = [];
  for (const layer of layers.slice(0, MAX_SIGNATURES)) {
    if (await copyBlob(source, target, layer)) copied.push(layer);
  }
  if (copied.length === 0) return 0;
  return (await unlessMalformed(() => addToTag(target, reference, root, copied))) ?? 0;
}

async function copyReferrers(source: Source, target: Target, root: Descriptor): Promise<number> {
  const found = await possibleReferrers(source, root);
  if (found.length === 0) return 0;
  const present = new Set((await target.referrers(root)).map(({ digest }) => digest));
  let count = 0;
  for (const descriptor of found) {
    if (present.has(descriptor.digest)) continue;
    if (await unlessMalformed(() => copyReferrer(source, target, descriptor, root))) count++;
  }
  return count;
}

async function copyReferrer(
  source: Source,
  target: Target,
  descriptor: Descriptor,
  root: Descriptor,
): Promise<boolean> {
  const found = await readReferrer(source, descriptor, root);
  if (found === undefined || !(await copyBlobs(source, target, found.manifest))) return false;
  const { mediaType, digest, size } = descriptor;
  await target.attach(root, { mediaType, digest, size }, found.bytes);
  return true;
}

/** @returns whether all are there now */
async function copyBlobs(source: Source, target: Target, { config, layers }: Manifest): Promise<boolean> {
  if (layers.length > MAX_SIGNATURES) return false;
  for (const blob of [config, ...layers]) {
    if (!(await copyBlob(source, target, blob))) return false;
  }
  return true;
}

async function copyBlob(source: Source, target: Target, blob: Descriptor): Promise<boolean> {
  if (blob.size > MAX_PAYLOAD_BYTES) return false;
  if (await target.has(blob)) return true;
  const copied = await unlessMalformed(async () => {
    await target.push(blob, await source.fetch(blob));
    return true;
  });
  return copied ?? false;
}

/** `undefined` if what is read is missing or not a signature: it could not be verified, so nothing is lost. */
async function unlessMalformed<T>(action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    const isMalformed =
      error instanceof InvalidImageError ||
      error instanceof DigestMismatchError ||
      error instanceof NotFoundError;
    if (isMalformed) return undefined;
    throw error;
  }
}
