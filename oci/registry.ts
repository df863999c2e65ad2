/**
 * Reads images of one repository from a registry.
 *
 * Protocol: OCI distribution spec v1.1 (https://github.com/opencontainers/distribution-spec, "Pull").
 */
import { findCredentials } from './auth.js';
import type { AuthOptions } from './auth.js';
import { Authorizer, repositoryScope } from './authorizer.js';
import {
  MAX_BLOB_BYTES,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPE,
  describe,
  isIndexType,
  isManifestType,
  parseIndex,
} from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import {
  DigestMismatchError,
  InvalidImageError,
  InvalidReferenceError,
  NotFoundError,
  RegistryError,
  UnauthorizedError,
} from './errors.js';
import { HttpClient, connectionError, errorText, headerOf, isReset, readBody } from './http.js';
import type { Response } from './http.js';
import { parseReference } from './reference.js';
import type { Reference } from './reference.js';
import { verified } from './target.js';
import type { Source } from './target.js';

const DEFAULT_TIMEOUT_MS = 30_000;
/** How often a download that breaks off is continued. */
const MAX_RESUMES = 3;
const ACCEPT = [
  MEDIA_TYPE.index,
  MEDIA_TYPE.manifest,
  MEDIA_TYPE.dockerIndex,
  MEDIA_TYPE.dockerManifest,
].join(', ');

export interface RegistryOptions extends AuthOptions {
  /** `host` or `host:port` of registries that speak plain HTTP. */
  insecureRegistries?: readonly string[];
  /** Longest silence of a server; 30 s unless given. */
  timeoutMs?: number;
}

/** One repository of a registry; `close` it to free its connections. */
export class RegistryRepository implements Source {
  readonly registry: string;
  readonly repository: string;
  readonly #base: URL;
  readonly #http: HttpClient;
  readonly #authorizer: Authorizer;
  /** The manifest `resolve` got, which the caller is about to fetch. */
  #resolved: { digest: string; bytes: Uint8Array } | undefined;

  constructor(
    { registry, repository }: Pick<Reference, 'registry' | 'repository'>,
    options: RegistryOptions = {},
  ) {
    this.registry = registry;
    this.repository = repository;
    const plainHttp = options.insecureRegistries?.includes(registry) === true;
    const host = registry === 'docker.io' ? 'registry-1.docker.io' : registry;
    this.#base = new URL(`${plainHttp ? 'http' : 'https'}://${host}/v2/${repository}/`);
    this.#http = new HttpClient(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    this.#authorizer = new Authorizer({ name: registry, plainHttp }, this.#http, () =>
      findCredentials(registry, options),
    );
  }

  async close(): Promise<void> {
    await this.#http.close();
  }

  /**
   * @param name a reference into this repository
   * @throws NotFoundError, UnauthorizedError, UnreachableError, TlsError, RegistryError, DigestMismatchError
   */
  async resolve(name: string): Promise<Descriptor> {
    const reference = parseReference(name);
    if (reference.registry !== this.registry || reference.repository !== this.repository) {
      throw new InvalidReferenceError(`${name} is not in ${this.registry}/${this.repository}`);
    }
    const url = new URL(`manifests/${reference.digest ?? reference.tag}`, this.#base);
    const response = await this.#get(url, { accept: ACCEPT }, `image or tag ${name}`);
    const bytes = await readBody(response, MAX_MANIFEST_BYTES, url);
    const descriptor = describe(mediaTypeOf(response, name), bytes);
    const promised = reference.digest ?? headerOf(response, 'docker-content-digest') ?? descriptor.digest;
    if (promised !== descriptor.digest) {
      throw new DigestMismatchError(
        `${this.registry} sent a wrong manifest for ${name}: its digest is ${descriptor.digest} instead of ${promised}`,
      );
    }
    this.#resolved = { digest: descriptor.digest, bytes };
    return descriptor;
  }

  fetch(descriptor: Descriptor): Promise<AsyncIterable<Uint8Array>> {
    const { digest, size, mediaType } = descriptor;
    if (size > MAX_BLOB_BYTES) {
      const message = `${digest} has ${size} bytes, more than the limit of ${MAX_BLOB_BYTES}`;
      return Promise.reject(new InvalidImageError(message));
    }
    if (this.#resolved?.digest === digest) {
      return Promise.resolve(verified(descriptor, [this.#resolved.bytes], digest));
    }
    const kind = isIndexType(mediaType) || isManifestType(mediaType) ? 'manifests' : 'blobs';
    const url = new URL(`${kind}/${digest}`, this.#base);
    return Promise.resolve(
      verified(descriptor, this.#download(url, descriptor), `the answer of ${url.href}`),
    );
  }

  /** From the referrers API, or where there is none, from the tag `sha256-HEX` that takes its place. */
  async referrers(subject: Descriptor, artifactType?: string): Promise<Descriptor[]> {
    const found =
      (await this.#index(`referrers/${subject.digest}`)) ??
      (await this.#index(`manifests/${subject.digest.replace(':', '-')}`)) ??
      [];
    return found.filter((entry) => artifactType === undefined || entry.artifactType === artifactType);
  }

  async #index(path: string): Promise<Descriptor[] | undefined> {
    const url = new URL(path, this.#base);
    try {
      const response = await this.#get(url, { accept: MEDIA_TYPE.index }, `index ${url.href}`);
      return parseIndex(await readBody(response, MAX_MANIFEST_BYTES, url), url.href).manifests;
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  /** The body at `url`; a connection that breaks is taken up again where it broke. */
  async *#download(
    url: URL,
    { digest, mediaType, size }: Descriptor,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let doneBytes = 0;
    for (let resumes = 0; ; resumes++) {
      const range: Record<string, string> = doneBytes > 0 ? { range: `bytes=${doneBytes}-` } : {};
      const what = `content ${digest} in ${this.registry}/${this.repository}`;
      const response = await this.#get(url, { accept: `${mediaType}, */*`, ...range }, what);
      let skipBytes = response.statusCode === 206 ? 0 : doneBytes;
      try {
        for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
          const fresh = chunk.subarray(Math.min(skipBytes, chunk.length));
          skipBytes -= chunk.length - fresh.length;
          doneBytes += fresh.length;
          if (fresh.length > 0) yield fresh;
        }
        return;
      } catch (error) {
        if (!isReset(error) || resumes === MAX_RESUMES) throw connectionError(error, url.host);
        if (doneBytes >= size) return;
      }
    }
  }

  /** GETs `url` with what authorization is known, and once more with what the registry then asks for. */
  async #get(url: URL, headers: Record<string, string>, what: string): Promise<Response> {
    const scopes = [repositoryScope(this.repository, 'pull')];
    const send = (authorization: string | undefined): Promise<Response> =>
      this.#http.get(url, authorization === undefined ? headers : { ...headers, authorization });
    const known = await this.#authorizer.header(scopes);
    let response = await send(known);
    if (response.statusCode === 401) {
      response = await send(await this.#authorizer.answer(response, scopes, known));
      if (response.statusCode === 401 || response.statusCode === 403) {
        throw await this.#authorizer.refusal(scopes, await errorText(response, url));
      }
    }
    if (response.statusCode === 200 || response.statusCode === 206) return response;
    throw this.#statusError(response.statusCode, await errorText(response, url), what);
  }

  #statusError(status: number, detail: string, what: string): Error {
    if (status === 404) return new NotFoundError(`no such ${what}${detail}`);
    if (status === 403) {
      return new UnauthorizedError(`registry ${this.registry} denies access to ${this.repository}${detail}`);
    }
    const advice = status === 429 || status >= 500 ? '; try again later' : '';
    return new RegistryError(`registry ${this.registry} answered ${status} for ${what}${detail}${advice}`);
  }
}

function mediaTypeOf(response: Response, name: string): string {
  const mediaType = (headerOf(response, 'content-type') ?? '').split(';')[0]?.trim() ?? '';
  if (isIndexType(mediaType) || isManifestType(mediaType)) return mediaType;
  throw new InvalidImageError(`${name} is not an image: the registry sent the media type "${mediaType}"`);
}
