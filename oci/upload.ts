/**
 * Sends a blob to a registry: whole if it is small, else in pieces, so that a connection that breaks costs one
 * piece at most.
 *
 * Protocol: OCI distribution spec v1.1, "Pushing Blobs" and "Resuming an Upload".
 */
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Descriptor } from './descriptor.js';
import type { Endpoint } from './endpoint.js';
import { NotFoundError, RegistryError, UnauthorizedError } from './errors.js';
import { backoffMs, discard, headerOf, isReset, isSilence } from './http.js';
import type { Response } from './http.js';

/** Blobs up to this size are sent whole; they are held in memory, to be sent again. */
const MAX_WHOLE_BYTES = 16 * 1024 * 1024;
/**
 * Sizes of pieces, each tried where the server refuses the one before: above the 5 MiB that stores like S3 want of
 * a part, below the 4 MiB that ghcr.io takes at most, below nginx's default limit of 1 MiB.
 */
const PIECE_BYTES = [8 * 1024 * 1024, 3 * 1024 * 1024, 512 * 1024] as const;
/** Statuses for a body that is too large; ghcr.io sends the second. */
const TOO_LARGE = [413, 416];
/** Largest `OCI-Chunk-Min-Length` that is followed, as pieces are held in memory. */
const MAX_PIECE_BYTES = 64 * 1024 * 1024;
const MAX_ATTEMPTS = 4;
const BINARY = { 'content-type': 'application/octet-stream' };

/** Where an upload goes on, and in pieces of at least which size. */
export interface UploadSession {
  url: URL;
  minPieceBytes: number;
}

/** Begins an upload. @throws RegistryError, UnauthorizedError, UnreachableError */
export async function beginUpload(endpoint: Endpoint): Promise<UploadSession> {
  const to = 'blobs/uploads/';
  const request = { method: 'POST', to, body: new Uint8Array(), actions: 'pull,push' } as const;
  return sessionOf(endpoint, await endpoint.expect(request, `upload to ${endpoint.repository}`, [202]), to);
}

/**
 * Has the registry take a blob over from another of its repositories, without sending it.
 * @returns `'mounted'`, or where to upload it instead if the registry began an upload
 */
export async function mountBlob(
  endpoint: Endpoint,
  { digest }: Descriptor,
  from: string,
): Promise<'mounted' | UploadSession | undefined> {
  const to = `blobs/uploads/?mount=${digest}&from=${encodeURIComponent(from)}`;
  const request = { method: 'POST', to, body: new Uint8Array(), actions: 'pull,push', from } as const;
  const response = await endpoint.send(request).catch((error: unknown) => {
    // Whoever may not read that repository can still upload.
    if (error instanceof UnauthorizedError) return undefined;
    throw error;
  });
  if (response === undefined) return undefined;
  if (response.statusCode === 202) return sessionOf(endpoint, response, to);
  await discard(response);
  return response.statusCode === 201 ? 'mounted' : undefined;
}

async function sessionOf(endpoint: Endpoint, response: Response, to: string): Promise<UploadSession> {
  await discard(response);
  const minimum = headerOf(response, 'oci-chunk-min-length') ?? '';
  const minPieceBytes = /^[0-9]{1,15}$/.test(minimum) ? Number(minimum) : 0;
  if (minPieceBytes > MAX_PIECE_BYTES) {
    throw new RegistryError(
      `registry ${endpoint.name} wants uploads in pieces of ${minPieceBytes} bytes, more than the limit of ${MAX_PIECE_BYTES}`,
    );
  }
  return { url: endpoint.location(response, to), minPieceBytes };
}

/**
 * Uploads a blob; the registry shows it only once its digest was checked, here and there.
 * @param content throws at its end if it is not what `descriptor` promises
 * @param session an upload that was begun already
 * @throws DigestMismatchError, RegistryError, UnauthorizedError, UnreachableError
 */
export async function uploadBlob(
  endpoint: Endpoint,
  descriptor: Descriptor,
  content: AsyncIterable<Uint8Array>,
  session?: UploadSession,
): Promise<void> {
  let pieceBytes: number = PIECE_BYTES[0];
  let rest = content;
  let current = session;
  if (descriptor.size <= MAX_WHOLE_BYTES) {
    const whole = await collect(content, descriptor.size);
    if (await uploadWhole(endpoint, descriptor, whole, session)) return;
    current = undefined;
    rest = Readable.from([whole]);
    pieceBytes = PIECE_BYTES[1];
  }
  const upload = new PiecewiseUpload(
    endpoint,
    descriptor,
    current ?? (await beginUpload(endpoint)),
    pieceBytes,
  );
  try {
    for await (const piece of inPieces(rest, upload.pieceBytes)) await upload.append(piece);
    await upload.commit();
  } catch (error) {
    await upload.cancel();
    throw error;
  }
}

/** @returns `false` if it is worth trying in pieces: the server takes no more at a time, or connections break */
async function uploadWhole(
  endpoint: Endpoint,
  descriptor: Descriptor,
  bytes: Uint8Array,
  session: UploadSession | undefined,
): Promise<boolean> {
  let current = session;
  for (let attempt = 1; attempt <= 2; attempt++) {
    const { url } = current ?? (await beginUpload(endpoint));
    current = undefined;
    const response = await commitRequest(endpoint, descriptor, url, bytes);
    const status = response?.statusCode ?? 0;
    if (response !== undefined && status < 500 && ![201, 204, 404, ...TOO_LARGE].includes(status)) {
      throw await endpoint.failure(response, url, `upload of ${descriptor.digest}`);
    }
    if (response !== undefined) await discard(response);
    if (status === 201 || status === 204) return true;
    if (TOO_LARGE.includes(status)) return false;
    // The answer may have been lost after all was done.
    if (await hasBlob(endpoint, descriptor)) return true;
    await sleep(backoffMs(attempt));
  }
  return false;
}

/** The answer to the request that ends an upload, or `undefined` if the connection broke. */
async function commitRequest(
  endpoint: Endpoint,
  { digest }: Descriptor,
  session: URL,
  body: Uint8Array,
): Promise<Response | undefined> {
  const to = new URL(session);
  to.searchParams.set('digest', digest);
  try {
    return await endpoint.send({
      method: 'PUT',
      to,
      headers: BINARY,
      body,
      repeatable: false,
      actions: 'pull,push',
    });
  } catch (error) {
    if (isReset(error) || isSilence(error)) return undefined;
    throw error;
  }
}

/** Whether the registry has the blob in this repository. */
export async function hasBlob(endpoint: Endpoint, { digest, size }: Descriptor): Promise<boolean> {
  const to = `blobs/${digest}`;
  const response = await endpoint.send({ method: 'HEAD', to, actions: 'pull,push' });
  const length = headerOf(response, 'content-length');
  if (response.statusCode === 404) return false;
  if (response.statusCode === 200) return length === undefined || Number(length) === size;
  throw await endpoint.failure(response, to, `blob ${digest}`);
}

/** An upload by PATCH requests; after a failure the registry says how much it has. */
class PiecewiseUpload {
  readonly #endpoint: Endpoint;
  readonly #descriptor: Descriptor;
  readonly #minPieceBytes: number;
  #url: URL;
  #pieceBytes: number;
  /** How much of the blob the registry has. */
  #doneBytes = 0;

  constructor(endpoint: Endpoint, descriptor: Descriptor, session: UploadSession, pieceBytes: number) {
    this.#endpoint = endpoint;
    this.#descriptor = descriptor;
    this.#url = session.url;
    this.#minPieceBytes = session.minPieceBytes;
    this.#pieceBytes = Math.max(pieceBytes, session.minPieceBytes);
  }

  get pieceBytes(): number {
    return this.#pieceBytes;
  }

  /** Sends the bytes that follow those sent before. */
  async append(bytes: Uint8Array): Promise<void> {
    const begin = this.#doneBytes;
    let failures = 0;
    while (this.#doneBytes < begin + bytes.length) {
      const before = this.#doneBytes;
      const offset = before - begin;
      const failure = await this.#send(bytes.subarray(offset, offset + this.#pieceBytes));
      if (failure === undefined) continue;
      if (++failures === MAX_ATTEMPTS) throw failure;
      await sleep(backoffMs(failures));
      await this.#askWhere(begin, before + bytes.length - offset);
    }
  }

  async commit(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const response = await commitRequest(this.#endpoint, this.#descriptor, this.#url, new Uint8Array());
      const status = response?.statusCode ?? 0;
      if (response !== undefined && (status === 201 || status === 204)) return discard(response);
      if (status === 0 || status === 404 || status >= 500) {
        if (await hasBlob(this.#endpoint, this.#descriptor)) {
          if (response !== undefined) await discard(response);
          return;
        }
      }
      const final = attempt === MAX_ATTEMPTS || (status !== 0 && status < 500);
      if (final) throw await this.#failure(response);
      if (response !== undefined) await discard(response);
      await sleep(backoffMs(attempt));
    }
  }

  /** Lets the registry forget what was sent; if it cannot, it will in time. */
  async cancel(): Promise<void> {
    const request = { method: 'DELETE', to: this.#url, actions: 'pull,push', repeatable: false } as const;
    await this.#endpoint.send(request).then(discard, () => undefined);
  }

  /** Sends one piece. @returns the error if it is worth asking how much arrived */
  async #send(piece: Uint8Array): Promise<Error | undefined> {
    const end = this.#doneBytes + piece.length;
    let response: Response;
    try {
      response = await this.#endpoint.send({
        method: 'PATCH',
        to: this.#url,
        headers: { ...BINARY, 'content-range': `${this.#doneBytes}-${end - 1}` },
        body: piece,
        repeatable: false,
        actions: 'pull,push',
      });
    } catch (error) {
      if (isReset(error) || isSilence(error)) return error as Error;
      throw error;
    }
    const { statusCode } = response;
    if (statusCode === 202 || statusCode === 204) {
      await this.#moveTo(response);
      this.#doneBytes = end;
      return undefined;
    }
    if (TOO_LARGE.includes(statusCode) && this.#shrink()) {
      await discard(response);
      return undefined;
    }
    const failure = await this.#failure(response);
    if (statusCode === 416 || statusCode >= 500) return failure;
    throw failure;
  }

  /** Goes on in smaller pieces. @returns `false` if there are none to try */
  #shrink(): boolean {
    const smaller = PIECE_BYTES.find((bytes) => bytes < this.#pieceBytes && bytes >= this.#minPieceBytes);
    if (smaller === undefined) return false;
    this.#pieceBytes = smaller;
    return true;
  }

  /** Takes over from an answer where the upload goes on. */
  async #moveTo(response: Response): Promise<void> {
    await discard(response);
    if (headerOf(response, 'location') === undefined) return;
    this.#url = this.#endpoint.location(response, this.#url);
  }

  /** Asks how much arrived of the blob, of which the bytes from `begin` up to `end` can be sent again. */
  async #askWhere(begin: number, end: number): Promise<void> {
    const request = { to: this.#url, actions: 'pull,push' } as const;
    const response = await this.#endpoint.send(request);
    if (![200, 202, 204].includes(response.statusCode)) throw await this.#failure(response);
    await this.#moveTo(response);
    const arrived = arrivedBytes(response);
    if (arrived === undefined || arrived < begin || arrived > end) {
      throw new RegistryError(
        `registry ${this.#endpoint.name} has lost the upload of ${this.#descriptor.digest} on the way; try again`,
      );
    }
    this.#doneBytes = arrived;
  }

  async #failure(response: Response | undefined): Promise<Error> {
    const { digest } = this.#descriptor;
    const { name } = this.#endpoint;
    if (response === undefined) {
      return new RegistryError(`registry ${name} breaks the connection at the end of uploading ${digest}`);
    }
    const error = await this.#endpoint.failure(response, this.#url, `upload of ${digest}`);
    if (!(error instanceof NotFoundError)) return error;
    return new RegistryError(`registry ${name} has lost the upload of ${digest}; try again`, {
      cause: error,
    });
  }
}

/**
 * How many bytes an upload has by the `Range` of an answer, `0-LAST`. docker's registry says `0-0` for none, too:
 * it is taken for none, since sending one byte once too often does no harm but an error.
 */
function arrivedBytes(response: Response): number | undefined {
  const last = /^(?:bytes=)?0-([0-9]{1,15})$/.exec(headerOf(response, 'range') ?? '')?.[1];
  if (last === undefined) return undefined;
  return last === '0' ? 0 : Number(last) + 1;
}

async function collect(content: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<Uint8Array> {
  const bytes = Buffer.alloc(sizeBytes);
  let filled = 0;
  for await (const chunk of content) {
    bytes.set(chunk, filled);
    filled += chunk.length;
  }
  return bytes;
}

/** `content` in pieces of exactly `pieceBytes`, the last one excepted; nothing if it is empty. */
async function* inPieces(
  content: AsyncIterable<Uint8Array>,
  pieceBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let piece = Buffer.alloc(pieceBytes);
  let filled = 0;
  for await (const chunk of content) {
    for (let offset = 0; offset < chunk.length;) {
      const copied = Math.min(chunk.length - offset, pieceBytes - filled);
      piece.set(chunk.subarray(offset, offset + copied), filled);
      offset += copied;
      filled += copied;
      if (filled < pieceBytes) continue;
      yield piece;
      piece = Buffer.alloc(pieceBytes);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}
