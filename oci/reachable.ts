/** What an image consists of, as far as it is here, and which signatures and other artefacts belong to which image. */
import { ANNOTATION, MAX_MANIFEST_BYTES, isIndexType, isManifestType } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { InvalidImageError, StoreError } from './errors.js';
import { isDigest } from './reference.js';
import { legacySubject, mayBeReferrer, readReferrer } from './referrers.js';
import { fetchBytes } from './target.js';
import type { Source } from './target.js';

/** Of an early draft of OCI 1.1; its parts are in `blobs`. */
const ARTIFACT_MANIFEST = 'application/vnd.oci.artifact.manifest.v1+json';

/** Bounds the memory that an archive made of names can take; no store comes near. */
const MAX_PARTS = 200_000;

/**
 * Everything that `roots` name, themselves included, by digest. What is missing or broken counts as named, but
 * tells of nothing further. Lenient, so that images of other programs, with more parts than a gadget may have,
 * are seen whole.
 * @throws InvalidImageError when there is too much of it
 * @param known is added to and returned; what it has is not read again
 */
export async function reachable(
  source: Source,
  roots: Iterable<Descriptor>,
  known = new Map<string, Descriptor>(),
): Promise<Map<string, Descriptor>> {
  const open = [...roots];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (known.has(next.digest)) continue;
    known.set(next.digest, next);
    if (known.size + open.length > MAX_PARTS) {
      throw new InvalidImageError(`${next.digest} and what is with it name more than ${MAX_PARTS} parts`);
    }
    open.push(...(await partsOf(source, next)));
  }
  return known;
}

async function partsOf(source: Source, descriptor: Descriptor): Promise<Descriptor[]> {
  const { mediaType } = descriptor;
  if (!isIndexType(mediaType) && !isManifestType(mediaType) && mediaType !== ARTIFACT_MANIFEST) return [];
  try {
    const bytes = await fetchBytes(source, descriptor, MAX_MANIFEST_BYTES, 'a manifest');
    const document = JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown> | null;
    const { config, layers, manifests, blobs } = document ?? {};
    const parts = [config, layers, manifests, blobs].flat().filter(isDescriptor);
    return parts.map(({ mediaType, digest, size }) => ({ mediaType, digest, size }));
  } catch (error) {
    // One that cannot be read for want of permission, say, may be well: then nothing is known.
    if (error instanceof StoreError) throw error;
    return [];
  }
}

function isDescriptor(value: unknown): value is Descriptor {
  const { mediaType, digest, size } = (value ?? {}) as Partial<Descriptor>;
  return (
    typeof mediaType === 'string' &&
    typeof digest === 'string' &&
    isDigest(digest) &&
    typeof size === 'number'
  );
}

export interface Holdings {
  /** Entries of images, and of artefacts about something that images consist of, in the order of `index.json`. */
  held: Descriptor[];
  /** Entries of artefacts about nothing that is here. */
  orphans: Descriptor[];
  /** What the held entries reach, by digest. */
  content: Map<string, Descriptor>;
}

/** Sorts the entries of an `index.json`. An artefact may be about another artefact. */
export async function takeStock(source: Source, entries: readonly Descriptor[]): Promise<Holdings> {
  const about = await subjectsOf(source, entries);
  const content = await reachable(
    source,
    entries.filter((entry) => !about.has(entry)),
  );
  for (let found = true; found;) {
    found = false;
    for (const [entry, subject] of about) {
      if (!content.has(subject)) continue;
      about.delete(entry);
      await reachable(source, [entry], content);
      found = true;
    }
  }
  return {
    held: entries.filter((entry) => !about.has(entry)),
    orphans: entries.filter((entry) => about.has(entry)),
    content,
  };
}

/** Those of `entries` that are about something `roots` consist of, directly or through each other. */
export async function artefactsOf(
  source: Source,
  entries: readonly Descriptor[],
  roots: readonly Descriptor[],
): Promise<Descriptor[]> {
  const about = await subjectsOf(source, entries);
  const { held } = await takeStock(source, [...roots, ...about.keys()]);
  return held.filter((entry) => about.has(entry));
}

/** Those of `entries` that are about something, with its digest. */
async function subjectsOf(source: Source, entries: readonly Descriptor[]): Promise<Map<Descriptor, string>> {
  const subjects = new Map<Descriptor, string>();
  const read = new Map<string, string | undefined>();
  for (const entry of entries) {
    let subject = legacySubject(entry.annotations?.[ANNOTATION.refName]);
    if (mayBeReferrer(entry)) {
      // Once for each manifest, however many entries an archive has for it.
      if (!read.has(entry.digest))
        read.set(entry.digest, (await readReferrer(source, entry))?.subject.digest);
      subject = read.get(entry.digest);
    }
    if (subject !== undefined) subjects.set(entry, subject);
  }
  return subjects;
}
