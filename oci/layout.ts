/**
 * An OCI image layout directory: the local store, the built-in gadgets, and any `./directory` a user names.
 *
 * Format: OCI image spec v1.1, `image-layout.md`. As in the peer's store, the annotation
 * `org.opencontainers.image.ref.name` in `index.json` holds the image's full reference, and unfinished files
 * are in `ingest/`.
 */
import { constants } from 'node:fs';
import { mkdir, open, readdir, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ANNOTATION, MAX_MANIFEST_BYTES, MEDIA_TYPE, parseIndex } from './descriptor.js';
import type { Descriptor, Index } from './descriptor.js';
import {
  InvalidImageError,
  InvalidReferenceError,
  NotFoundError,
  OciError,
  StoreError,
  errorCode,
} from './errors.js';
import { removeLeftovers, syncDirectory, withLease, withLock, writeAtomically } from './files.js';
import { isDigest } from './reference.js';
import { describeReferrer, referrersAmong } from './referrers.js';
import { verified } from './target.js';
import type { Target } from './target.js';

const LAYOUT_VERSION = '1.0.0';
/** How often an `index.json` that a program without our lock keeps changing is tried again. */
const UPDATE_ATTEMPTS = 20;
const UPDATE_PAUSE_MS = 50;

/** Changes `index.json` while nobody else of us does. */
export interface IndexEditor {
  read(): Promise<Descriptor[]>;
  /** Is run again when another program changes the file meanwhile. */
  change(how: (manifests: Descriptor[]) => Descriptor[]): Promise<void>;
}

/** One image of a layout, as `index.json` has it. */
export interface ImageEntry {
  /**
   * The name it is stored under, normally a full reference; `undefined` if it has none, or one with the digest of
   * another image.
   */
  reference: string | undefined;
  digest: string;
  descriptor: Descriptor;
  /** `built` if it was built into this layout; means something only in the user's own store. */
  origin: 'built' | undefined;
}

export interface TagOptions {
  /** Notes that the image was built here, so that it runs without a signature. */
  origin?: 'built' | undefined;
}

/** Where images are kept unless the user says otherwise. */
export function defaultStorePath(uid: number = process.getuid?.() ?? 0, home: string = homedir()): string {
  return uid === 0 ? '/var/lib/ig/oci-store' : join(home, '.ig', 'oci-store');
}

/** Finds an image in `entries` by its exact name or, for `…@sha256:…`, by its digest whatever its name. */
export function findImage(entries: readonly ImageEntry[], name: string): Descriptor | undefined {
  const digest = name.slice(name.indexOf('@') + 1);
  const entry =
    entries.find((candidate) => candidate.reference === name) ??
    entries.find((candidate) => candidate.digest === digest);
  return entry?.descriptor;
}

/** What `index.json` says, as a list of images. */
export function entriesOf(index: Index): ImageEntry[] {
  return index.manifests.map((descriptor) => ({
    reference: nameOf(descriptor),
    digest: descriptor.digest,
    descriptor,
    origin: originOf(descriptor),
  }));
}

/** Whoever asks for an image by its digest must not get another, whatever wrote the entry. */
function nameOf(entry: Descriptor): string | undefined {
  const name = entry.annotations?.[ANNOTATION.refName];
  return name === undefined || mayName(name, entry) ? name : undefined;
}

/** Whether an image may be called `name`: if that holds a digest, only the one that has it. */
export function mayName(name: string, { digest }: Descriptor): boolean {
  const at = name.indexOf('@');
  return !isDigest(name.slice(at + 1)) || name.slice(at + 1) === digest;
}

/** What an entry of the user's own store says of where its image comes from. */
export function originOf({ annotations }: Descriptor): ImageEntry['origin'] {
  return annotations?.[ANNOTATION.origin] === 'built' ? 'built' : undefined;
}

/** Checks the `oci-layout` file's content. @throws InvalidImageError */
export function checkLayoutVersion(bytes: Uint8Array, what: string): void {
  let version: unknown;
  try {
    version = (JSON.parse(Buffer.from(bytes).toString('utf8')) as { imageLayoutVersion?: unknown } | null)
      ?.imageLayoutVersion;
  } catch (cause) {
    throw new InvalidImageError(`${what} is not JSON`, { cause });
  }
  if (version !== LAYOUT_VERSION) {
    throw new InvalidImageError(`${what} does not have imageLayoutVersion ${LAYOUT_VERSION}`);
  }
}

/** The content of the `oci-layout` file. */
export function layoutMarker(): Uint8Array {
  return Buffer.from(JSON.stringify({ imageLayoutVersion: LAYOUT_VERSION }));
}

/** The path of a blob inside a layout. */
export function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

/** A layout directory; it is created by the first `push` or `tag`, and a missing one has no images. */
export class Layout implements Target {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /**
   * The images, in the order of `index.json`.
   * @throws InvalidImageError if the directory exists but is not a layout
   */
  async list(): Promise<ImageEntry[]> {
    const marker = join(this.root, 'oci-layout');
    try {
      const bytes = await this.#readSmall(marker);
      if (bytes !== undefined) {
        checkLayoutVersion(bytes, marker);
        return entriesOf(await this.#readIndex());
      }
    } catch (error) {
      if (!(error instanceof InvalidImageError)) throw error;
      const remedy = `if nothing in it is needed, remove ${this.root}`;
      throw new InvalidImageError(`${error.message}: the image layout is damaged; ${remedy}`, {
        cause: error,
      });
    }
    if (await this.#isUnused()) return [];
    throw new InvalidImageError(`${this.root} is not an OCI image layout: it has no oci-layout file`);
  }

  async resolve(name: string): Promise<Descriptor> {
    const found = findImage(await this.list(), name);
    if (found === undefined) throw new NotFoundError(`there is no image ${name} in ${this.root}`);
    return found;
  }

  async fetch(descriptor: Descriptor): Promise<AsyncIterable<Uint8Array>> {
    const path = join(this.root, blobPath(descriptor.digest));
    try {
      const file = await this.#open(path);
      return verified(
        descriptor,
        file.createReadStream(),
        path,
        `; remove that file and get the image again`,
      );
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw this.#failure('read', error);
      throw new NotFoundError(
        `${descriptor.digest} is missing from the layout ${this.root}: there is no file ${path}; get the image again`,
        { cause: error },
      );
    }
  }

  async has(descriptor: Descriptor): Promise<boolean> {
    const found = await stat(join(this.root, blobPath(descriptor.digest))).catch(() => undefined);
    return found !== undefined && found.isFile() && found.size === descriptor.size;
  }

  async push(
    descriptor: Descriptor,
    content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<void> {
    try {
      await this.#create();
      const bytes = verified(descriptor, content, `the content of ${descriptor.digest}`);
      await writeAtomically(join(this.root, blobPath(descriptor.digest)), bytes, this.ingestPath);
    } catch (error) {
      throw this.#failure('write to', error);
    }
  }

  async referrers(subject: Descriptor, artifactType?: string): Promise<Descriptor[]> {
    const entries = (await this.list()).map(({ descriptor }) => descriptor);
    return referrersAmong(this, entries, subject, artifactType);
  }

  /**
   * Whatever `descriptor` says of names and origin is dropped: `name` and `options` count, and that an image of
   * this digest, which is the same content, was built here before.
   */
  tag(descriptor: Descriptor, name: string, options: TagOptions = {}): Promise<void> {
    return this.tagAll(new Map([[name, descriptor]]), options);
  }

  /** Gives many names at once. @throws InvalidReferenceError for one with the digest of another image */
  async tagAll(images: ReadonlyMap<string, Descriptor>, { origin }: TagOptions = {}): Promise<void> {
    for (const [name, image] of images) {
      if (!mayName(name, image)) throw new InvalidReferenceError(`${name} cannot name ${image.digest}`);
    }
    await this.#updateIndex((manifests) => {
      const built = new Set(manifests.filter(originOf).map(({ digest }) => digest));
      const entries = [...images].map(([name, descriptor]) => {
        const isBuilt = origin === 'built' || built.has(descriptor.digest);
        const own = { [ANNOTATION.refName]: name, ...(isBuilt ? { [ANNOTATION.origin]: 'built' } : {}) };
        return annotate(descriptor, own);
      });
      const others = manifests.filter((entry) => !images.has(entry.annotations?.[ANNOTATION.refName] ?? ''));
      return [...others, ...entries];
    });
  }

  async attach(subject: Descriptor, manifest: Descriptor, bytes: Uint8Array): Promise<void> {
    const referrer = describeReferrer(manifest, bytes);
    if (referrer?.subject.digest !== subject.digest) {
      throw new InvalidImageError(`the manifest ${manifest.digest} is not about ${subject.digest}`);
    }
    await this.push(manifest, [bytes]);
    const { annotations: _of, ...entry } = referrer.descriptor;
    await this.#updateIndex((manifests) => [
      ...manifests.filter(
        ({ digest, annotations }) =>
          digest !== entry.digest || annotations?.[ANNOTATION.refName] !== undefined,
      ),
      entry,
    ]);
  }

  #indexPath(): string {
    return join(this.root, 'index.json');
  }

  /** Where unfinished files, locks and leases are. */
  get ingestPath(): string {
    return join(this.root, 'ingest');
  }

  get blobsPath(): string {
    return join(this.root, 'blobs', 'sha256');
  }

  /** Whether the directory is missing or empty (a volume, say), or another process is just creating the layout. */
  async #isUnused(): Promise<boolean> {
    try {
      const names = await readdir(this.root);
      return names.every((name) => name === 'blobs' || name === 'ingest');
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return true;
      throw this.#failure('read', error);
    }
  }

  async #create(): Promise<void> {
    await mkdir(this.blobsPath, { recursive: true });
    await mkdir(this.ingestPath, { recursive: true });
    const marker = join(this.root, 'oci-layout');
    if ((await stat(marker).catch(() => undefined)) !== undefined) return;
    for (const path of [join(this.root, 'blobs'), dirname(this.root)]) await syncDirectory(path);
    await writeAtomically(marker, [layoutMarker()], this.ingestPath);
  }

  async #readIndex(): Promise<Index> {
    const bytes = await this.#readSmall(this.#indexPath());
    if (bytes !== undefined) return parseIndex(bytes, this.#indexPath());
    return { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests: [] };
  }

  /** A small file's bytes, or `undefined` if there is no such file. */
  async #readSmall(path: string): Promise<Uint8Array | undefined> {
    try {
      const file = await this.#open(path);
      try {
        const found = await file.stat();
        if (!found.isFile()) throw new InvalidImageError(`${path} is not a file`);
        if (found.size > MAX_MANIFEST_BYTES) {
          throw new InvalidImageError(`${path} is larger than ${MAX_MANIFEST_BYTES} bytes`);
        }
        return await file.readFile();
      } finally {
        await file.close();
      }
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw this.#failure('read', error);
    }
  }

  /** For reading; opening does not hang should something have put a FIFO there. */
  #open(path: string): Promise<FileHandle> {
    return open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  }

  /**
   * Runs `action` while no other of our processes changes `index.json`, or frees content, or begins a lease.
   * @throws StoreError
   */
  async exclusively<T>(action: (index: IndexEditor) => Promise<T>): Promise<T> {
    try {
      await this.#create();
      const editor: IndexEditor = {
        read: async () => (await this.#readIndex()).manifests,
        change: (how) => this.#changeIndex(how),
      };
      return await withLock(this.ingestPath, () => action(editor));
    } catch (error) {
      throw this.#failure('write to', error);
    }
  }

  /**
   * Runs `action`, during which no process frees content here, whether or not it has a name yet. Whatever asks
   * `has`, stores content and then names it must do so within one, or may find content gone between.
   */
  async withLease<T>(action: () => Promise<T>): Promise<T> {
    const guard = (create: () => Promise<void>): Promise<void> =>
      this.exclusively(async () => {
        await create();
        // Whoever writes much needs the room.
        await removeLeftovers(this.ingestPath);
      });
    return withLease(this.ingestPath, guard, action);
  }

  async #updateIndex(change: (manifests: Descriptor[]) => Descriptor[]): Promise<void> {
    await this.exclusively(async (index) => {
      // Another process may have found a blob here that a third has renamed but not yet made durable.
      await syncDirectory(this.blobsPath);
      await index.change(change);
    });
  }

  /**
   * Other programs do not know our lock (the peer uses flock, which Node.js does not have), so a change between
   * reading and renaming is noticed and the update repeated.
   */
  async #changeIndex(change: (manifests: Descriptor[]) => Descriptor[]): Promise<void> {
    for (let attempt = 0; attempt < UPDATE_ATTEMPTS; attempt++) {
      if (await this.#tryUpdateIndex(change)) return;
      await sleep(UPDATE_PAUSE_MS);
    }
    throw new StoreError(`${this.#indexPath()} could not be updated: another program keeps changing it`);
  }

  async #tryUpdateIndex(change: (manifests: Descriptor[]) => Descriptor[]): Promise<boolean> {
    const before = await this.#indexStamp();
    const index = await this.#readIndex();
    const content = Buffer.from(JSON.stringify({ ...index, manifests: change(index.manifests) }));
    this.#checkRoom(content);
    try {
      await writeAtomically(this.#indexPath(), [content], this.ingestPath, async () => {
        if ((await this.#indexStamp()) !== before) throw new IndexChanged();
      });
      return true;
    } catch (error) {
      if (error instanceof IndexChanged) return false;
      throw error;
    }
  }

  /** What could not be read again must not be written. */
  #checkRoom(content: Uint8Array): void {
    try {
      parseIndex(content, this.#indexPath());
    } catch (cause) {
      const why = (cause as Error).message;
      throw new StoreError(`the image layout ${this.root} is full (${why}); remove images from it`, {
        cause,
      });
    }
  }

  async #indexStamp(): Promise<string> {
    const found = await stat(this.#indexPath(), { bigint: true }).catch(() => undefined);
    return found === undefined ? 'none' : `${found.ino}:${found.mtimeNs}:${found.size}`;
  }

  #failure(action: string, error: unknown): Error {
    const code = errorCode(error);
    if (error instanceof OciError || code === undefined) return error as Error;
    return new StoreError(`cannot ${action} the image layout ${this.root} (${(error as Error).message})`, {
      cause: error,
    });
  }
}

function annotate(descriptor: Descriptor, own: Record<string, string>): Descriptor {
  const { annotations, ...plain } = descriptor;
  const { [ANNOTATION.refName]: _name, [ANNOTATION.origin]: _origin, ...foreign } = annotations ?? {};
  return { ...plain, annotations: { ...foreign, ...own } };
}

class IndexChanged extends Error {}
