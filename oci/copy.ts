/** Copies an image between any two targets: pull, push, export and import are this one function. */
import {
  MAX_BLOB_BYTES,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPE,
  isIndexType,
  isManifestType,
  parseIndex,
  parseManifest,
} from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { InvalidImageError, quoted } from './errors.js';
import { fetchBytes, withLease } from './target.js';
import type { Progress, Source, Target } from './target.js';

/** An index may hold indexes; images seen in practice nest once. */
const MAX_DEPTH = 3;
const MAX_MANIFESTS = 256;
/** Of all indexes and manifests of an image together, as they are held in memory. */
const MAX_MANIFESTS_BYTES = 32 * 1024 * 1024;
/** Of all blobs of an image together. */
const MAX_IMAGE_BYTES = 4 * 1024 * 1024 * 1024;
const PARALLEL = 4;

export interface CopyOptions {
  /** Copy only what this architecture needs; the index keeps naming the others. */
  platform?: { architecture: string };
  /** Manifests of an index that are not copied, such as those an archive lacks. */
  leaveOut?: (manifest: Descriptor) => boolean;
  /** Told of each blob. */
  progress?: Progress;
  /** Repositories of the destination's server that may have the blobs: from there they need not be sent. */
  mountFrom?: readonly string[];
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
  await withLease(destination, async () => {
    await copyContent(source, destination, root, options);
    await destination.tag(root, name);
  });
  return root;
}

/**
 * The same without a name: for a manifest that is to be attached to another, within the caller's lease.
 * @throws NotFoundError, DigestMismatchError, InvalidImageError, or what the source throws
 */
export async function copyContent(
  source: Source,
  destination: Target,
  root: Descriptor,
  options: CopyOptions = {},
): Promise<void> {
  const manifests = await readManifests(source, destination, root, options);
  if (!manifests.some(({ descriptor }) => isManifestType(descriptor.mediaType))) {
    throw new InvalidImageError(`${root.digest} is an index that names no image that is there`);
  }
  const blobs = blobsOf(manifests);
  await forEachParallel(blobs, (blob, isStopped) => copyBlob(source, destination, blob, options, isStopped));
  for (let depth = MAX_DEPTH; depth >= 0; depth--) {
    const level = manifests.filter((manifest) => manifest.depth === depth && !manifest.present);
    await forEachParallel(level, ({ descriptor, bytes }) => destination.push(descriptor, [bytes]));
  }
}

/** An index or manifest of the image. */
interface Node {
  descriptor: Descriptor;
  bytes: Uint8Array;
  /** Whether the destination has it. */
  present: boolean;
  /** How far from the root, at most: what it names is farther. */
  depth: number;
  children: Descriptor[];
  blobs: Descriptor[];
  architecture: string | undefined;
}

/** All indexes and manifests of the image, level by level. */
async function readManifests(
  source: Source,
  destination: Target,
  root: Descriptor,
  { platform, leaveOut = () => false }: CopyOptions,
): Promise<Node[]> {
  const isWanted = (manifest: Descriptor): boolean =>
    (platform === undefined || manifest.platform?.architecture === platform.architecture) &&
    !leaveOut(manifest);
  const nodes = new Map<string, Node>();
  let level = [root];
  for (let depth = 0; level.length > 0; depth++) {
    checkLimits(level, [...nodes.values()], depth);
    await forEachParallel(level, async (descriptor) => {
      const known = nodes.get(descriptor.digest);
      const node = known ?? (await readManifest(source, destination, descriptor));
      nodes.set(descriptor.digest, { ...node, depth });
    });
    const next = level.flatMap(({ digest }) => nodes.get(digest)?.children.filter(isWanted) ?? []);
    level = uniqueByDigest(next);
  }
  return [...nodes.values()];
}

function checkLimits(level: readonly Descriptor[], known: readonly Node[], depth: number): void {
  const all = [...known.map(({ descriptor }) => descriptor), ...level];
  const [first] = level;
  if (depth > MAX_DEPTH) {
    throw new InvalidImageError(`${first?.digest} is part of indexes that are nested too deep`);
  }
  if (all.length > MAX_MANIFESTS) {
    throw new InvalidImageError(`${first?.digest} is part of an index with too many manifests`);
  }
  if (totalBytes(all) > MAX_MANIFESTS_BYTES && all.length > 1) {
    throw new InvalidImageError(
      `${first?.digest} is part of an index whose manifests have more than ${MAX_MANIFESTS_BYTES} bytes`,
    );
  }
}

async function readManifest(source: Source, destination: Target, descriptor: Descriptor): Promise<Node> {
  const { digest, mediaType } = descriptor;
  const present = await destination.has(descriptor);
  const from = present ? destination : source;
  const bytes = await fetchBytes(from, descriptor, MAX_MANIFEST_BYTES, 'an image manifest');
  const node = { descriptor, bytes, present, depth: 0, architecture: descriptor.platform?.architecture };
  if (isManifestType(mediaType)) {
    const { config, layers } = parseManifest(bytes, `the manifest ${digest}`);
    return { ...node, children: [], blobs: [config, ...layers] };
  }
  if (isIndexType(mediaType)) {
    return { ...node, children: parseIndex(bytes, `the index ${digest}`).manifests, blobs: [] };
  }
  throw new InvalidImageError(`${digest} is not an image: its media type is ${quoted(mediaType)}`);
}

interface Blob {
  descriptor: Descriptor;
  /** For the user. */
  title: string;
}

/** Each blob once, whichever manifests share it. */
function blobsOf(nodes: readonly Node[]): Blob[] {
  const found = new Map<string, Blob>();
  for (const { blobs, architecture } of nodes) {
    for (const descriptor of blobs) {
      const { digest, size } = descriptor;
      if (size > MAX_BLOB_BYTES) {
        throw new InvalidImageError(
          `the blob ${digest} has ${size} bytes, more than the limit of ${MAX_BLOB_BYTES}`,
        );
      }
      const key = `${digest} ${size}`;
      const title = titleOf(descriptor, found.has(key) ? undefined : architecture);
      found.set(key, { descriptor, title });
    }
  }
  const blobs = [...found.values()];
  if (totalBytes(blobs.map(({ descriptor }) => descriptor)) > MAX_IMAGE_BYTES) {
    throw new InvalidImageError(
      `${nodes[0]?.descriptor.digest} has blobs of more than ${MAX_IMAGE_BYTES} bytes together`,
    );
  }
  return blobs;
}

const TITLES: ReadonlyMap<string, string> = new Map([
  [MEDIA_TYPE.ebpf, 'eBPF'],
  [MEDIA_TYPE.wasm, 'Wasm'],
  [MEDIA_TYPE.gadgetConfig, 'metadata'],
  [MEDIA_TYPE.btfgen, 'BTF'],
]);

/** `eBPF amd64 0123456789ab`: what it is, for which architecture unless for several, and whose digest. */
function titleOf({ mediaType, digest }: Descriptor, architecture: string | undefined): string {
  const shown = /^[a-z0-9]{1,16}$/.test(architecture ?? '') ? architecture : undefined;
  const short = digest.slice('sha256:'.length, 'sha256:'.length + 12);
  return [TITLES.get(mediaType) ?? 'blob', shown, short].filter(Boolean).join(' ');
}

async function copyBlob(
  source: Source,
  destination: Target,
  { descriptor, title }: Blob,
  { progress, mountFrom = [] }: CopyOptions,
  isStopped: () => boolean,
): Promise<void> {
  const { digest, size } = descriptor;
  const present = (await destination.has(descriptor)) || (await mounted(destination, descriptor, mountFrom));
  progress?.begin(digest, title, size, present);
  if (!present) {
    const content = await source.fetch(descriptor);
    const metered = meter(content, (bytes) => progress?.advance(digest, bytes), isStopped);
    await destination.push(descriptor, metered);
  }
  progress?.end(digest);
}

async function mounted(destination: Target, blob: Descriptor, from: readonly string[]): Promise<boolean> {
  for (const repository of from) {
    if ((await destination.mount?.(blob, repository)) === true) return true;
  }
  return false;
}

/** Passes `content` on until the copy is given up. */
async function* meter(
  content: AsyncIterable<Uint8Array>,
  advance: (bytes: number) => void,
  isStopped: () => boolean,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of content) {
    if (isStopped()) throw new Error('the copy was given up');
    advance(chunk.length);
    yield chunk;
  }
}

/** Each once; what is for several architectures, for none of them. */
function uniqueByDigest(descriptors: readonly Descriptor[]): Descriptor[] {
  const found = new Map<string, Descriptor>();
  for (const descriptor of descriptors) {
    const { platform, ...plain } = descriptor;
    const known = found.get(plain.digest);
    const isShared = known !== undefined && known.platform?.architecture !== platform?.architecture;
    found.set(plain.digest, isShared ? plain : descriptor);
  }
  return [...found.values()];
}

function totalBytes(descriptors: readonly Descriptor[]): number {
  return descriptors.reduce((sum, { size }) => sum + size, 0);
}

/**
 * Runs `action` for a few items at a time. After a failure no more are begun, those under way are told to stop
 * and waited for: nothing goes on writing behind the caller's back.
 * @throws the first failure
 */
async function forEachParallel<T>(
  items: readonly T[],
  action: (item: T, isStopped: () => boolean) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const failures: unknown[] = [];
  const isStopped = (): boolean => failures.length > 0;
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined && !isStopped(); item = queue.shift()) {
      await action(item, isStopped).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  if (isStopped()) throw failures[0] as Error;
}
