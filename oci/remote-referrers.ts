/**
 * Lists and adds what refers to an image in a registry: by the referrers API, or where there is none by the tag
 * `sha256-HEX`, an index that clients keep themselves.
 *
 * Protocol: OCI distribution spec v1.1, "Listing Referrers", "Referrers Tag Schema".
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MAX_MANIFEST_BYTES, MEDIA_TYPE, parseIndex } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import type { Endpoint } from './endpoint.js';
import { InvalidImageError, RegistryError, quoted } from './errors.js';
import { backoffMs, discard, headerOf, readBody, repeatedly } from './http.js';
import type { Response } from './http.js';
import { describeReferrer } from './referrers.js';

const MAX_PAGES = 32;
const MAX_REFERRERS = 1000;
/** How often the tag is written when others write it at the same time. */
const MAX_TAG_ATTEMPTS = 5;
/** What registries without the referrers API are known to answer. */
const NO_API = [400, 404, 405, 501];

/**
 * What refers to `subject` at this server.
 * @throws InvalidImageError, RegistryError, UnauthorizedError, UnreachableError
 */
export async function listReferrers(
  endpoint: Endpoint,
  subject: Descriptor,
  artifactType?: string,
): Promise<Descriptor[]> {
  const listed =
    (await listByApi(endpoint, subject, artifactType)) ?? (await readTag(endpoint, subject)).entries;
  // A server need not filter, and says so; one that says it has done need not have.
  return listed.filter((entry) => artifactType === undefined || entry.artifactType === artifactType);
}

/** `undefined` if the server has no such API. */
async function listByApi(
  endpoint: Endpoint,
  { digest }: Descriptor,
  artifactType: string | undefined,
): Promise<Descriptor[] | undefined> {
  const filter = artifactType === undefined ? '' : `?artifactType=${encodeURIComponent(artifactType)}`;
  const found: Descriptor[] = [];
  let next: URL | undefined = endpoint.url(`referrers/${digest}${filter}`);
  for (let pages = 0; next !== undefined; pages++) {
    if (pages === MAX_PAGES || found.length > MAX_REFERRERS) {
      throw new RegistryError(
        `registry ${endpoint.name} lists more than ${MAX_REFERRERS} referrers of ${digest}, or more than ${MAX_PAGES} pages of them`,
      );
    }
    const page = await readPage(endpoint, next, digest);
    if (page === undefined) return undefined;
    found.push(...page.entries);
    next = page.next;
  }
  return found;
}

async function readPage(
  endpoint: Endpoint,
  url: URL,
  digest: string,
): Promise<{ entries: Descriptor[]; next: URL | undefined } | undefined> {
  return repeatedly(async () => {
    const response = await endpoint.send({ to: url, headers: { accept: MEDIA_TYPE.index } });
    const isIndex = headerOf(response, 'content-type')?.split(';')[0]?.trim() === MEDIA_TYPE.index;
    if (NO_API.includes(response.statusCode) || (response.statusCode === 200 && !isIndex)) {
      await discard(response);
      return undefined;
    }
    const what = `list of what refers to ${digest}`;
    if (response.statusCode !== 200) throw await endpoint.failure(response, url, what);
    const next = nextPage(response, url);
    return { entries: parseIndex(await readBody(response, MAX_MANIFEST_BYTES, url), what).manifests, next };
  });
}

/** The address in `Link: <…>; rel="next"` (RFC 8288), which has to be at the same server. */
function nextPage(response: Response, url: URL): URL | undefined {
  const link = /<([^>]{1,4096})>\s*;[^,]*\brel="?next\b/.exec(headerOf(response, 'link') ?? '')?.[1];
  if (link === undefined) return undefined;
  const next = URL.canParse(link, url.href) ? new URL(link, url) : undefined;
  if (next?.origin === url.origin) return next;
  throw new RegistryError(
    `${url.host} continues ${url.pathname} at an address that is not allowed: ${quoted(link)}`,
  );
}

function tagOf({ digest }: Descriptor): string {
  return `manifests/${digest.replace(':', '-')}`;
}

/** The index at the tag; an empty list if there is none. */
async function readTag(
  endpoint: Endpoint,
  subject: Descriptor,
): Promise<{ entries: Descriptor[]; etag: string | undefined }> {
  const to = tagOf(subject);
  return repeatedly(async () => {
    const response = await endpoint.send({ to, headers: { accept: MEDIA_TYPE.index } });
    if (response.statusCode === 404) {
      await discard(response);
      return { entries: [], etag: undefined };
    }
    const what = `list of what refers to ${subject.digest}`;
    if (response.statusCode !== 200) throw await endpoint.failure(response, to, what);
    const bytes = await readBody(response, MAX_MANIFEST_BYTES, endpoint.url(to));
    const { manifests } = parseIndex(bytes, `the ${what}`);
    if (manifests.length > MAX_REFERRERS) {
      throw new InvalidImageError(`the ${what} has more than ${MAX_REFERRERS} entries`);
    }
    return { entries: manifests, etag: headerOf(response, 'etag') };
  });
}

/** The entry of a list for a manifest that is about `subject`. @throws InvalidImageError if it is not */
export function referrerEntry(subject: Descriptor, manifest: Descriptor, bytes: Uint8Array): Descriptor {
  const referrer = describeReferrer(manifest, bytes);
  if (referrer?.subject.digest === subject.digest) return referrer.descriptor;
  throw new InvalidImageError(`the manifest ${manifest.digest} is not about ${subject.digest}`);
}

/**
 * Adds `entry` to the index at the tag. Whoever writes it at the same time is waited for where the registry knows
 * `If-Match`; elsewhere the index is read once more to see whether the entry has stayed.
 * @throws RegistryError, UnauthorizedError, UnreachableError
 */
export async function addToTag(endpoint: Endpoint, subject: Descriptor, entry: Descriptor): Promise<void> {
  for (let attempt = 1; attempt <= MAX_TAG_ATTEMPTS; attempt++) {
    const { entries, etag } = await readTag(endpoint, subject);
    if (entries.some(({ digest }) => digest === entry.digest)) return;
    // Only the second pass and later ones see whether the first one lasted.
    if (attempt > 1) await sleep(backoffMs(attempt - 1));
    await writeTag(endpoint, subject, [...entries, entry], etag);
  }
  const { entries } = await readTag(endpoint, subject);
  if (entries.some(({ digest }) => digest === entry.digest)) return;
  throw new RegistryError(
    `the list of what refers to ${subject.digest} in ${endpoint.name}/${endpoint.repository} could not be updated: others keep changing it; try again`,
  );
}

async function writeTag(
  endpoint: Endpoint,
  subject: Descriptor,
  manifests: readonly Descriptor[],
  etag: string | undefined,
): Promise<void> {
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests };
  const response = await endpoint.send({
    method: 'PUT',
    to: tagOf(subject),
    headers: { 'content-type': MEDIA_TYPE.index, ...(etag === undefined ? {} : { 'if-match': etag }) },
    body: Buffer.from(JSON.stringify(index)),
    actions: 'pull,push',
  });
  // 412: it has changed since it was read.
  if (![201, 202, 204, 412].includes(response.statusCode)) {
    throw await endpoint.failure(response, tagOf(subject), `list of what refers to ${subject.digest}`);
  }
  await discard(response);
}
