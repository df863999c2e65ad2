/** What an image consists of, as far as it is here, and which signatures and other artefacts belong to which image. */
import { ANNOTATION, MAX_MANIFEST_BYTES, isIndexType, isManifestType } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { StoreError } from './errors.js';
import { isDigest } from './reference.js';
import { legacySubject, readReferrer } from './referrers.js';
import { fetchBytes } from './target.js';
import type { Source } from './target.js';

/** Of an early draft of OCI 1.1; its parts are in `blobs`. */
const ARTIFACT_MANIFEST = 'application/vnd.oci.artifact.manifest.v1+json';

/**
 * Everything that `roots` name, themselves included, by digest. What is missing or broken counts as named, but
 * tells of nothing further. Lenient, so that images of other programs, with more parts than a gadget may have,
 * are seen whole.
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
    return [config, layers, manifests, blobs].flat().filter(isDescriptor);
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
  const about = new Map<Descriptor, string>();
  for (const entry of entries) {
    const subject = await subjectOf(source, entry);
    if (subject !== undefined) about.set(entry, subject);
  }
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
  const others: Descriptor[] = [];
  for (const entry of entries) {
    if ((await subjectOf(source, entry)) !== undefined) others.push(entry);
  }
  const { held } = await takeStock(source, [...roots, ...others]);
  return others.filter((entry) => held.includes(entry));
}

/** The digest that an entry is about; an image with a name of its own is about itself. */
async function subjectOf(source: Source, entry: Descriptor): Promise<string | undefined> {
  const name = entry.annotations?.[ANNOTATION.refName];
  if (name !== undefined) return legacySubject(name);
  if (!isIndexType(entry.mediaType) && !isManifestType(entry.mediaType)) return undefined;
  return (await readReferrer(source, entry))?.subject.digest;
}
