/** The one interface that a layout directory, an archive and a registry share, and verified reading from it. */
import { createHash } from 'node:crypto';
import type { Descriptor } from './descriptor.js';
import { DigestMismatchError, InvalidImageError } from './errors.js';

/** Something images can be read from. */
export interface Source {
  /**
   * Finds an image by its full reference (or, where images have other names, by that name).
   * @throws NotFoundError
   */
  resolve(name: string): Promise<Descriptor>;
  /**
   * The content a descriptor points at. Reading to the end throws DigestMismatchError unless digest and size
   * are as promised, so bytes count only once the end was reached.
   * @throws NotFoundError
   */
  fetch(descriptor: Descriptor): Promise<AsyncIterable<Uint8Array>>;
  /**
   * The manifests here that name `subject` as theirs, such as signatures (OCI image spec v1.1, `subject`).
   * @param artifactType only those of this type
   */
  referrers(subject: Descriptor, artifactType?: string): Promise<Descriptor[]>;
}

/** Something images can be written to as well. */
export interface Target extends Source {
  /** Whether content of this digest and size is there already; its bytes are checked when it is read. */
  has(descriptor: Descriptor): Promise<boolean>;
  /**
   * Stores content; nothing becomes visible unless digest and size are as the descriptor promises.
   * @throws DigestMismatchError
   */
  push(descriptor: Descriptor, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void>;
  /** Gives the image a name, taking the name from any other image that has it. */
  tag(descriptor: Descriptor, name: string): Promise<void>;
  /**
   * Stores the manifest `bytes`, whose blobs are here and whose `subject` member names `subject`, so that
   * `referrers` lists it.
   * @throws DigestMismatchError
   */
  attach(subject: Descriptor, manifest: Descriptor, bytes: Uint8Array): Promise<void>;
  /**
   * Takes a blob over from another repository of the same server, so that its content need not be sent.
   * @returns whether that was possible
   */
  mount?(descriptor: Descriptor, from: string): Promise<boolean>;
  /** Runs `action`, during which nothing it finds or stores here is freed for want of a name. */
  withLease?<T>(action: () => Promise<T>): Promise<T>;
}

/**
 * Runs `action`, which stores content in `target` and then names it. Where content can be freed, a copy that does
 * not run this way may find a blob there and see it gone before the image has its name.
 */
export function withLease<T>(target: Target, action: () => Promise<T>): Promise<T> {
  return target.withLease === undefined ? action() : target.withLease(action);
}

/** What a copy or a build tells of its progress; sizes in bytes. */
export interface Progress {
  /** Begins a piece: a blob, a step. `done` is `true` when the destination had it already. */
  begin(id: string, title: string, totalBytes: number, done?: boolean): void;
  /** More of it is done. */
  advance(id: string, bytes: number): void;
  end(id: string): void;
}

/**
 * Passes `content` through and throws at its end, or as soon as it is too long, if it is not what `descriptor`
 * promises.
 * @param where names the file or URL in errors
 * @param hint what the user can do about it
 * @throws DigestMismatchError
 */
export async function* verified(
  descriptor: Descriptor,
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  where: string,
  hint = '',
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of content) {
    sizeBytes += chunk.length;
    if (sizeBytes > descriptor.size) break;
    hash.update(chunk);
    yield chunk;
  }
  if (sizeBytes !== descriptor.size) {
    const found = sizeBytes > descriptor.size ? 'longer than' : `${sizeBytes} bytes instead of`;
    throw new DigestMismatchError(
      `${where} is corrupt: ${descriptor.digest} is ${found} ${descriptor.size} bytes${hint}`,
    );
  }
  const digest = `sha256:${hash.digest('hex')}`;
  if (digest !== descriptor.digest) {
    throw new DigestMismatchError(
      `${where} is corrupt: its digest is ${digest} instead of ${descriptor.digest}${hint}`,
    );
  }
}

/**
 * All of the content, verified.
 * @param what names the content in errors
 * @throws InvalidImageError when it is larger than `maxBytes`
 */
export async function fetchBytes(
  source: Source,
  descriptor: Descriptor,
  maxBytes: number,
  what: string,
): Promise<Uint8Array> {
  if (descriptor.size > maxBytes) {
    throw new InvalidImageError(
      `${what} (${descriptor.digest}) has ${descriptor.size} bytes, more than the limit of ${maxBytes}`,
    );
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of await source.fetch(descriptor)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
