/**
 * Reads images from a tar file that holds an OCI image layout (`skopeo copy … oci-archive:FILE`, `docker save`).
 *
 * Nothing is unpacked: the tar is scanned once for where its files lie, and blobs are read from there.
 */
import { constants, createReadStream } from 'node:fs';
import { open as openFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { extract } from 'tar-stream';
import type { Header } from 'tar-stream';
import { MAX_BLOB_BYTES, MAX_MANIFEST_BYTES, parseIndex } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { InvalidImageError, NotFoundError, OciError, quoted } from './errors.js';
import { blobPath, checkLayoutVersion, entriesOf, findImage } from './layout.js';
import type { ImageEntry } from './layout.js';
import { referrersAmong } from './referrers.js';
import { verified } from './target.js';
import type { Source } from './target.js';

const TAR_BLOCK_BYTES = 512;
const MAX_FILES = 10_000;
/** Bounds the scan, and the memory a forged long-name header can make the tar reader take. */
const MAX_ARCHIVE_BYTES = 2 * MAX_BLOB_BYTES;

interface Extent {
  offset: number;
  sizeBytes: number;
}

/** A tar file with an OCI image layout; read-only. */
export class Archive implements Source {
  readonly path: string;
  readonly #files: ReadonlyMap<string, Extent>;
  readonly #entries: readonly ImageEntry[];

  private constructor(path: string, files: ReadonlyMap<string, Extent>, entries: readonly ImageEntry[]) {
    this.path = path;
    this.#files = files;
    this.#entries = entries;
  }

  /**
   * @throws NotFoundError, InvalidImageError
   */
  static async open(path: string): Promise<Archive> {
    const files = await scan(path);
    const marker = files.get('oci-layout');
    const index = files.get('index.json');
    if (marker === undefined || index === undefined) {
      throw new InvalidImageError(`${path} is not an OCI image archive: it has no oci-layout and index.json`);
    }
    checkLayoutVersion(await readSmall(path, marker, 'oci-layout'), `oci-layout in ${path}`);
    const document = parseIndex(await readSmall(path, index, 'index.json'), `index.json in ${path}`);
    return new Archive(path, files, entriesOf(document));
  }

  list(): Promise<ImageEntry[]> {
    return Promise.resolve([...this.#entries]);
  }

  resolve(name: string): Promise<Descriptor> {
    const found = findImage(this.#entries, name);
    if (found !== undefined) return Promise.resolve(found);
    return Promise.reject(new NotFoundError(`there is no image ${name} in ${this.path}`));
  }

  fetch(descriptor: Descriptor): Promise<AsyncIterable<Uint8Array>> {
    const name = blobPath(descriptor.digest);
    const extent = this.#files.get(name);
    if (extent === undefined) {
      const message = `${descriptor.digest} is missing from the archive ${this.path}: it has no file ${name}`;
      return Promise.reject(new NotFoundError(message));
    }
    return Promise.resolve(verified(descriptor, read(this.path, extent), `${name} in ${this.path}`));
  }

  has({ digest }: Descriptor): boolean {
    return this.#files.has(blobPath(digest));
  }

  referrers(subject: Descriptor, artifactType?: string): Promise<Descriptor[]> {
    const entries = this.#entries.map(({ descriptor }) => descriptor);
    return referrersAmong(this, entries, subject, artifactType);
  }
}

/** Where each regular file of the tar lies, by its path without a leading `./`. */
async function scan(path: string): Promise<Map<string, Extent>> {
  await checkKind(path);
  const files = new Map<string, Extent>();
  let entries = 0;
  const input = createReadStream(path);
  const tar = extract();
  input.on('error', (error) => tar.destroy(error));
  input.pipe(tar);
  try {
    for await (const entry of tar) {
      const name = confinedName(entry.header.name, path);
      checkEntry(entry.header, path);
      if (files.has(name)) throw unsound(path, `the path ${quoted(name)} is in it twice`);
      if (entry.header.type === 'file') files.set(name, extentOf(entry, path));
      if (++entries > MAX_FILES) throw new InvalidImageError(`${path} holds more than ${MAX_FILES} files`);
      entry.resume();
    }
  } catch (cause) {
    if (cause instanceof OciError) throw cause;
    throw new InvalidImageError(`${path} is not a complete tar file (${(cause as Error).message})`, {
      cause,
    });
  } finally {
    input.destroy();
  }
  return files;
}

/** `name` without a leading `./`; one that leads out of the archive is refused although nothing is unpacked. */
function confinedName(name: string, path: string): string {
  const normal = posix.normalize(name);
  if (posix.isAbsolute(normal) || normal === '..' || normal.startsWith('../') || name.includes('\0')) {
    throw unsound(path, `the path ${quoted(name)} in it leads outside`);
  }
  return normal;
}

/** Links and devices have no place in a layout; a reader that made them could be led astray by them. */
function checkEntry({ type, name }: Header, path: string): void {
  if (type === 'file' || type === 'directory') return;
  throw unsound(path, `${quoted(name)} in it is a ${(type as string | null) ?? 'file of an unknown kind'}`);
}

function unsound(path: string, why: string): InvalidImageError {
  return new InvalidImageError(`${path} is not a sound archive: ${why}`);
}

/** An entry's `offset` is that of its header, one tar block before its content. */
function extentOf({ header, offset }: { header: Header; offset: number }, path: string): Extent {
  const { name, size } = header;
  if (size > MAX_BLOB_BYTES) {
    throw new InvalidImageError(`${quoted(name)} in ${path} is larger than ${MAX_BLOB_BYTES} bytes`);
  }
  if (!Number.isSafeInteger(size) || size < 0)
    throw unsound(path, `${quoted(name)} in it has an impossible size`);
  return { offset: offset + TAR_BLOCK_BYTES, sizeBytes: size };
}

/** Says what is wrong in the cases where a tar reader would only see garbage. */
async function checkKind(path: string): Promise<void> {
  let file;
  try {
    file = await openFile(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw new NotFoundError(`cannot open the archive ${path} (${(cause as Error).message})`, { cause });
  }
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new InvalidImageError(`${path} is not a regular file`);
    if (found.size > MAX_ARCHIVE_BYTES) {
      throw new InvalidImageError(`${path} is larger than ${MAX_ARCHIVE_BYTES} bytes`);
    }
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
    if (bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b) {
      throw new InvalidImageError(`${path} is compressed; unpack it first (gzip -d)`);
    }
  } finally {
    await file.close();
  }
}

async function readSmall(path: string, extent: Extent, name: string): Promise<Uint8Array> {
  if (extent.sizeBytes > MAX_MANIFEST_BYTES) {
    throw new InvalidImageError(`${name} in ${path} is larger than ${MAX_MANIFEST_BYTES} bytes`);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of read(path, extent)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* read(
  path: string,
  { offset, sizeBytes }: Extent,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (sizeBytes === 0) return;
  const stream = createReadStream(path, { start: offset, end: offset + sizeBytes - 1 });
  for await (const chunk of stream as AsyncIterable<Uint8Array>) yield chunk;
}
