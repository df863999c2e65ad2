/**
 * One repository of a registry: reads images from it or from its mirrors, and writes them to it.
 *
 * Protocol: OCI distribution spec v1.1 (https://github.com/opencontainers/distribution-spec).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { findCredentials } from './auth.js';
import type { AuthOptions } from './auth.js';
import {
  MAX_BLOB_BYTES,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPE,
  describe,
  isIndexType,
  isManifestType,
} from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { registryRoot } from './authorizer.js';
import { Endpoint } from './endpoint.js';
import {
  DigestMismatchError,
  InvalidImageError,
  InvalidReferenceError,
  NotFoundError,
  OciError,
  RegistryError,
  UnauthorizedError,
  UnreachableError,
  quoted,
} from './errors.js';
import {
  HttpClient,
  backoffMs,
  bodyOf,
  discard,
  headerOf,
  isReset,
  isSilence,
  readBody,
  repeatedly,
} from './http.js';
import type { Response } from './http.js';
import { parseReference } from './reference.js';
import type { Reference } from './reference.js';
import { addToTag, listReferrers, referrerEntry } from './remote-referrers.js';
import { fetchBytes, verified } from './target.js';
import type { Target } from './target.js';
import { hasBlob, mountBlob, uploadBlob } from './upload.js';
import type { UploadSession } from './upload.js';

const DEFAULT_TIMEOUT_MS = 30_000;
/** How often a download that breaks off is continued. */
const MAX_RESUMES = 8;
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
  /** PEM file of CA certificates to trust beside the usual ones. */
  caFile?: string;
  /**
   * By registry (`ghcr.io`): base URLs of servers to read from before the registry itself, in this order. A base
   * URL stands for the registry's `/v2` (`https://mirror.example/v2`, `https://cache.example/v2/ghcr`), which is
   * added where there is no path.
   */
  mirrors?: Readonly<Record<string, readonly string[]>>;
}

/** One repository of a registry; `close` it to free its connections. */
export class RegistryRepository implements Target {
  readonly registry: string;
  readonly repository: string;
  readonly #http: HttpClient;
  /** The registry itself, the only one that is written to. */
  readonly #origin: Endpoint;
  /** Where to read, in the order to ask: the one that answered last is first. */
  #readers: Endpoint[];
  /** Readers that are not asked any more, and why. */
  readonly #down = new Map<Endpoint, OciError>();
  /** The manifest that was read or written last, which the caller is about to fetch or to tag. */
  #recent: { digest: string; bytes: Uint8Array } | undefined;
  /** Uploads that the registry began when it could not mount a blob, by digest. */
  readonly #sessions = new Map<string, UploadSession>();

  constructor(
    { registry, repository }: Pick<Reference, 'registry' | 'repository'>,
    options: RegistryOptions = {},
  ) {
    this.registry = registry;
    this.repository = repository;
    const { timeoutMs = DEFAULT_TIMEOUT_MS, caFile, mirrors = {}, insecureRegistries = [] } = options;
    this.#http = new HttpClient({ timeoutMs, caFile });
    const endpoint = (name: string, root: URL): Endpoint =>
      new Endpoint({
        root,
        name,
        repository,
        http: this.#http,
        findCredentials: () => findCredentials(name, options, repository),
      });
    this.#origin = endpoint(registry, registryRoot(registry, insecureRegistries.includes(registry)));
    const roots = Object.hasOwn(mirrors, registry) ? (mirrors[registry] ?? []) : [];
    this.#readers = [
      ...roots.map((text) => mirrorRoot(text, registry)).map((root) => endpoint(root.host, root)),
      this.#origin,
    ];
  }

  async close(): Promise<void> {
    await this.#http.close();
  }

  /**
   * @param name a reference into this repository
   * @throws NotFoundError, UnauthorizedError, UnreachableError, TlsError, RegistryError, DigestMismatchError
   */
  async resolve(name: string): Promise<Descriptor> {
    const reference = this.#referenceOf(name);
    const to = `manifests/${reference.digest ?? reference.tag}`;
    return this.#read((endpoint) =>
      repeatedly(async () => {
        const request = { to, headers: { accept: ACCEPT } };
        const response = await endpoint.expect(request, `image or tag ${name}`, [200]);
        const bytes = await readBody(response, MAX_MANIFEST_BYTES, endpoint.url(to));
        const descriptor = describe(mediaTypeOf(response, name), bytes);
        const promised = reference.digest ?? headerOf(response, 'docker-content-digest') ?? descriptor.digest;
        if (promised !== descriptor.digest) {
          throw new DigestMismatchError(
            `${endpoint.name} sent a wrong manifest for ${name}: its digest is ${descriptor.digest} instead of ${promised}`,
          );
        }
        this.#recent = { digest: descriptor.digest, bytes };
        return descriptor;
      }),
    );
  }

  fetch(descriptor: Descriptor): Promise<AsyncIterable<Uint8Array>> {
    const { digest, size } = descriptor;
    if (size > MAX_BLOB_BYTES) {
      const message = `${digest} has ${size} bytes, more than the limit of ${MAX_BLOB_BYTES}`;
      return Promise.reject(new InvalidImageError(message));
    }
    if (this.#recent?.digest === digest) {
      return Promise.resolve(verified(descriptor, [this.#recent.bytes], digest));
    }
    const where = `the answer of ${this.#origin.url(contentPath(descriptor)).href}`;
    return Promise.resolve(verified(descriptor, this.#download(descriptor), where));
  }

  /** Mirrors need not have the signatures of what they have: one without any is not the last to be asked. */
  async referrers(subject: Descriptor, artifactType?: string): Promise<Descriptor[]> {
    try {
      return await this.#read(async (endpoint) => {
        const found = await listReferrers(endpoint, subject, artifactType);
        if (found.length > 0) return found;
        throw new NotFoundError(`nothing refers to ${subject.digest} in ${endpoint.name}`);
      });
    } catch (error) {
      if (error instanceof NotFoundError) return [];
      throw error;
    }
  }

  /** Asks for leave to write, too, as that comes next. */
  async has(descriptor: Descriptor): Promise<boolean> {
    if (!isManifest(descriptor)) return hasBlob(this.#origin, descriptor);
    const to = contentPath(descriptor);
    const headers = { accept: descriptor.mediaType };
    const response = await this.#origin.send({ method: 'HEAD', to, headers, actions: 'pull,push' });
    if (response.statusCode === 404) return false;
    if (response.statusCode === 200) return true;
    throw await this.#origin.failure(response, to, `manifest ${descriptor.digest}`);
  }

  async push(
    descriptor: Descriptor,
    content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<void> {
    const checked = verified(descriptor, content, `the content of ${descriptor.digest}`);
    if (!isManifest(descriptor)) {
      const session = this.#sessions.get(descriptor.digest);
      this.#sessions.delete(descriptor.digest);
      return uploadBlob(this.#origin, descriptor, checked, session);
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of checked) chunks.push(chunk);
    await this.#putManifest(descriptor, Buffer.concat(chunks), descriptor.digest);
  }

  /**
   * Has the registry take a blob over from another of its repositories, so that it need not be sent.
   * @param from a repository of this registry that should have it
   * @returns whether it did
   */
  async mount(descriptor: Descriptor, from: string): Promise<boolean> {
    const mounted = await mountBlob(this.#origin, descriptor, from);
    if (mounted === 'mounted') return true;
    if (mounted !== undefined) this.#sessions.set(descriptor.digest, mounted);
    return false;
  }

  /** @param name a reference into this repository */
  async tag(descriptor: Descriptor, name: string): Promise<void> {
    const { tag, digest } = this.#referenceOf(name);
    if (digest !== undefined && digest !== descriptor.digest) {
      throw new InvalidReferenceError(`${name} cannot name the image ${descriptor.digest}`);
    }
    if (tag === undefined) return;
    const bytes = await fetchBytes(this, descriptor, MAX_MANIFEST_BYTES, 'an image manifest');
    await this.#putManifest(descriptor, bytes, tag);
  }

  async attach(subject: Descriptor, manifest: Descriptor, bytes: Uint8Array): Promise<void> {
    const entry = referrerEntry(subject, manifest, bytes);
    const listed = await this.#putManifest(manifest, bytes, manifest.digest);
    // Only a registry that says so lists it by itself ("Pushing Manifests with Subject").
    if (listed !== subject.digest) await addToTag(this.#origin, subject, entry);
  }

  /** @returns the `subject` that the registry took note of */
  async #putManifest(
    { mediaType, digest }: Descriptor,
    body: Uint8Array,
    name: string,
  ): Promise<string | undefined> {
    const to = `manifests/${name}`;
    const headers = { 'content-type': mediaType };
    const request = { method: 'PUT', to, headers, body, actions: 'pull,push' } as const;
    const what = `push of the manifest ${name} to ${this.registry}/${this.repository}`;
    const response = await this.#origin.expect(request, what, [200, 201, 202, 204]);
    await discard(response);
    const stored = headerOf(response, 'docker-content-digest') ?? digest;
    if (stored !== digest) {
      throw new DigestMismatchError(
        `registry ${this.registry} stored ${digest} as something else, ${stored}`,
      );
    }
    this.#recent = { digest, bytes: body };
    return headerOf(response, 'oci-subject');
  }

  #referenceOf(name: string): Reference {
    const reference = parseReference(name);
    if (reference.registry === this.registry && reference.repository === this.repository) return reference;
    throw new InvalidReferenceError(`${name} is not in ${this.registry}/${this.repository}`);
  }

  /** The body; a connection that breaks, or that a proxy gives up, is taken up again where it broke. */
  async *#download(descriptor: Descriptor): AsyncGenerator<Uint8Array, void, undefined> {
    let doneBytes = 0;
    for (let resumes = 0; ; resumes++) {
      const { response, url } = await this.#open(descriptor, doneBytes);
      const before = doneBytes;
      let skipBytes = response.statusCode === 206 ? 0 : doneBytes;
      let failure: unknown;
      try {
        for await (const chunk of bodyOf(response, url)) {
          const fresh = chunk.subarray(Math.min(skipBytes, chunk.length));
          skipBytes -= chunk.length - fresh.length;
          doneBytes += fresh.length;
          if (fresh.length > 0) yield fresh;
        }
      } catch (error) {
        failure = error;
      }
      if (doneBytes >= descriptor.size) return;
      const progressed = doneBytes > before;
      const mayGoOn = failure === undefined || isSilence(failure) ? progressed : isReset(failure);
      if (!mayGoOn || resumes === MAX_RESUMES) {
        if (failure === undefined) return;
        throw failure as Error;
      }
      await sleep(backoffMs(1));
    }
  }

  #open(descriptor: Descriptor, doneBytes: number): Promise<{ response: Response; url: URL }> {
    const { digest, mediaType } = descriptor;
    const to = contentPath(descriptor);
    const range: Record<string, string> = doneBytes > 0 ? { range: `bytes=${doneBytes}-` } : {};
    const request = { to, headers: { accept: `${mediaType}, */*`, ...range } };
    return this.#read(async (endpoint) => {
      const what = `content ${digest} in ${endpoint.name}/${this.repository}`;
      const response = await endpoint.expect(request, what, doneBytes > 0 ? [200, 206] : [200]);
      checkRange(response, doneBytes, endpoint.name);
      return { response, url: endpoint.url(to) };
    });
  }

  /**
   * Asks one reader after the other. Who has no such content is asked for the next one again, who fails is not.
   * @throws what the only reader throws; for several an error that names each
   */
  async #read<T>(ask: (endpoint: Endpoint) => Promise<T>): Promise<T> {
    const failures: [Endpoint, OciError][] = [];
    for (const endpoint of this.#readers) {
      const known = this.#down.get(endpoint);
      if (known !== undefined) {
        failures.push([endpoint, known]);
        continue;
      }
      try {
        const answer = await ask(endpoint);
        this.#readers = [endpoint, ...this.#readers.filter((other) => other !== endpoint)];
        return answer;
      } catch (error) {
        if (!mayBeElsewhere(error) || this.#readers.length === 1) throw error;
        if (!(error instanceof NotFoundError)) this.#down.set(endpoint, error);
        failures.push([endpoint, error]);
      }
    }
    throw allFailed(failures);
  }
}

function mirrorRoot(text: string, registry: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['https:', 'http:'].includes(url.protocol)) {
    throw new RegistryError(
      `the mirror ${quoted(text)} of ${registry} is not a URL such as https://mirror.example/v2`,
    );
  }
  const path = url.pathname.replace(/\/+$/, '');
  return new URL(`${path === '' ? '/v2' : path}/`, url.origin);
}

function isManifest({ mediaType }: Descriptor): boolean {
  return isIndexType(mediaType) || isManifestType(mediaType);
}

function contentPath(descriptor: Descriptor): string {
  return `${isManifest(descriptor) ? 'manifests' : 'blobs'}/${descriptor.digest}`;
}

/** A part that begins elsewhere than asked for would only be found out by its digest. @throws RegistryError */
function checkRange(response: Response, begin: number, name: string): void {
  if (response.statusCode !== 206) return;
  const first = /^bytes ([0-9]{1,15})-/.exec(headerOf(response, 'content-range') ?? '')?.[1];
  if (first === undefined || Number(first) === begin) return;
  throw new RegistryError(
    `registry ${name} sent bytes from ${first} on when asked for those from ${begin} on`,
  );
}

/** Whether another server may do better. What is corrupt is not asked for elsewhere but reported. */
function mayBeElsewhere(error: unknown): error is OciError {
  return [NotFoundError, UnreachableError, UnauthorizedError, RegistryError].some(
    (kind) => error instanceof kind,
  );
}

/** One error for several; that there is no such thing at any of them that answered, if any did. */
function allFailed(failures: readonly [Endpoint, OciError][]): OciError {
  const errors = failures.map(([, error]) => error);
  const main = errors.find((error) => error instanceof NotFoundError) ?? errors.at(-1);
  const tried = failures.map(([{ name }, error]) => `${name} (${shortReason(error)})`).join(', ');
  const message = `${main?.message ?? 'no server to read from'}; tried ${tried}`;
  const Kind = (main?.constructor ?? RegistryError) as new (text: string, options: ErrorOptions) => OciError;
  return new Kind(message, { cause: main });
}

function shortReason(error: OciError): string {
  if (error instanceof NotFoundError) return 'has nothing of the kind';
  if (error instanceof UnauthorizedError) return 'refuses access';
  return error instanceof UnreachableError ? 'cannot be reached' : 'failed';
}

function mediaTypeOf(response: Response, name: string): string {
  const mediaType = (headerOf(response, 'content-type') ?? '').split(';')[0]?.trim() ?? '';
  if (isIndexType(mediaType) || isManifestType(mediaType)) return mediaType;
  throw new InvalidImageError(
    `${name} is not an image: the registry sent the media type ${quoted(mediaType)}`,
  );
}
