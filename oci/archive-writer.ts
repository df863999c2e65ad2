/**
 * Writes images of a layout into a tar file that holds a layout of just them, with what is about them.
 *
 * The same images give the same bytes: files are sorted by name, and belong to nobody and no time.
 */
import { once } from 'node:events';
import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pack } from 'tar-stream';
import type { Pack } from 'tar-stream';
import { ANNOTATION, MEDIA_TYPE, isIndexType, isManifestType } from './descriptor.js';
import type { Descriptor, Index } from './descriptor.js';
import { InvalidImageError, NotFoundError, StoreError, errorCode } from './errors.js';
import { removeLeftovers, writeAtomically } from './files.js';
import { blobPath, findImage, layoutMarker } from './layout.js';
import type { ImageEntry, Layout } from './layout.js';
import { artefactsOf, reachable } from './reachable.js';

const EPOCH = new Date(0);

/**
 * Writes the file at `path`, which appears, or takes the place of another, when all of it is there.
 * @param names full references, as the layout has them
 * @throws NotFoundError, StoreError
 */
export async function exportToFile(layout: Layout, names: readonly string[], path: string): Promise<void> {
  const target = await regularPath(path);
  const files = await filesOf(layout, names);
  try {
    await removeLeftovers(dirname(target));
    await writeAtomically(target, archiveBytes(layout, files), dirname(target));
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    throw new StoreError(`cannot write the archive ${path} (${(error as Error).message})`, { cause: error });
  }
}

/** The bytes of that file, for a pipe. @throws NotFoundError, StoreError, DigestMismatchError */
export async function* exportBytes(
  layout: Layout,
  names: readonly string[],
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* archiveBytes(layout, await filesOf(layout, names));
}

/** Where `path` leads; what is not a file, such as `/dev/null`, must not be replaced by one. */
async function regularPath(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return path;
  if (!found.isFile()) {
    throw new StoreError(
      `cannot write the archive ${path}: it is not a regular file; use - to write to stdout`,
    );
  }
  return realpath(path);
}

/** Content by its path in the archive. */
type Files = Map<string, Descriptor | Uint8Array>;

async function filesOf(layout: Layout, names: readonly string[]): Promise<Files> {
  const listed = await layout.list();
  const entries = listed.map(({ descriptor }) => descriptor);
  const images = [...new Set(names)].map((name) => imageNamed(listed, name, layout));
  const artefacts = await artefactsOf(layout, entries, images);
  const chosen = [...images, ...artefacts.filter((entry) => !images.includes(entry))];
  const files: Files = new Map();
  for (const [digest, descriptor] of await reachable(layout, chosen)) {
    if (await isIncluded(layout, descriptor, chosen)) files.set(blobPath(digest), descriptor);
  }
  files.set('index.json', Buffer.from(JSON.stringify(indexOf(chosen))));
  files.set('oci-layout', layoutMarker());
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function imageNamed(entries: readonly ImageEntry[], name: string, layout: Layout): Descriptor {
  const found = findImage(entries, name);
  if (found === undefined) throw new NotFoundError(`there is no image ${name} in ${layout.root}`);
  return { ...found, annotations: { ...found.annotations, [ANNOTATION.refName]: name } };
}

/** The manifest of an architecture that was never fetched may be missing; nothing else may. */
async function isIncluded(
  layout: Layout,
  descriptor: Descriptor,
  roots: readonly Descriptor[],
): Promise<boolean> {
  if (await layout.has(descriptor)) return true;
  const { digest, mediaType } = descriptor;
  const isRoot = roots.some((root) => root.digest === digest);
  if (!isRoot && (isManifestType(mediaType) || isIndexType(mediaType))) return false;
  throw new InvalidImageError(
    `the image is incomplete: ${digest} is missing from ${layout.root} or damaged; get the image again`,
  );
}

function indexOf(entries: readonly Descriptor[]): Index {
  const manifests = entries.map(withoutOrigin).sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
  return { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests };
}

/** That an image was built here is nothing to tell others, who could not believe it. */
function withoutOrigin(entry: Descriptor): Descriptor {
  if (entry.annotations === undefined) return entry;
  const annotations = Object.entries(entry.annotations)
    .filter(([key]) => key !== ANNOTATION.origin)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return { ...entry, annotations: Object.fromEntries(annotations) };
}

function sortKey(entry: Descriptor): string {
  // Entries without a name come last.
  return `${nameOf(entry) ?? '~'} ${entry.digest}`;
}

function nameOf(entry: Descriptor): string | undefined {
  return entry.annotations?.[ANNOTATION.refName];
}

async function* archiveBytes(layout: Layout, files: Files): AsyncGenerator<Uint8Array, void, undefined> {
  const tar = pack();
  const written = writeFiles(tar, layout, files).catch((error: unknown) => tar.destroy(error as Error));
  for await (const bytes of tar as AsyncIterable<Uint8Array>) yield bytes;
  await written;
}

async function writeFiles(tar: Pack, layout: Layout, files: Files): Promise<void> {
  for (const [name, content] of files) {
    const size = content instanceof Uint8Array ? content.length : content.size;
    const chunks = content instanceof Uint8Array ? [content] : await layout.fetch(content);
    const written = new Promise<void>((resolve, reject) => {
      const header = { name, size, mode: 0o644, mtime: EPOCH, uid: 0, gid: 0, type: 'file' } as const;
      const entry = tar.entry(header, (error) => (error ? reject(error) : resolve()));
      entry.on('error', reject);
      pour(chunks, entry).catch(reject);
    });
    await written;
  }
  tar.finalize();
}

async function pour(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  entry: ReturnType<Pack['entry']>,
): Promise<void> {
  for await (const chunk of chunks) if (!entry.write(chunk)) await once(entry, 'drain');
  entry.end(undefined);
}
