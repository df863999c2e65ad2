/**
 * Which manifests of a layout are about other manifests: signatures, attestations, lists of parts.
 *
 * OCI image spec v1.1 (`manifest.md`, `subject`): such a manifest is an entry of `index.json` without a name, as
 * oras writes it. cosign's older form is an image named `REPOSITORY:sha256-HEX.sig` after what it is about.
 */
import { ANNOTATION, MAX_MANIFEST_BYTES, MEDIA_TYPE, isIndexType, isManifestType } from './descriptor.js';
import { parseIndex, parseManifest } from './descriptor.js';
import type { Descriptor, Index, Manifest } from './descriptor.js';
import { OciError } from './errors.js';
import { fetchBytes } from './target.js';
import type { Source } from './target.js';

const LEGACY_TAG = /:sha256-([0-9a-f]{64})(?:\.(?:sig|att|sbom))?$/;

/**
 * The digest that the image named `name` is about, if the name is of cosign's older form (`…:sha256-HEX.sig`) or
 * that of a list of referrers (`…:sha256-HEX`).
 */
export function legacySubject(name: string | undefined): string | undefined {
  const hex = name === undefined ? undefined : LEGACY_TAG.exec(name)?.[1];
  return hex === undefined ? undefined : `sha256:${hex}`;
}

/** Whether an entry of `index.json` is about an image, as a signature is, rather than an image to run. */
export function isArtefact(entry: Descriptor): boolean {
  const name = entry.annotations?.[ANNOTATION.refName];
  if (name !== undefined) return legacySubject(name) !== undefined;
  return entry.artifactType !== undefined && entry.artifactType !== MEDIA_TYPE.gadget;
}

/**
 * Those of `entries` that are about `subject`, described as the referrers API of a registry would.
 * An entry that cannot be read is about nothing.
 */
export async function referrersAmong(
  source: Source,
  entries: readonly Descriptor[],
  subject: Descriptor,
  artifactType?: string,
): Promise<Descriptor[]> {
  const found: Descriptor[] = [];
  for (const entry of candidates(entries)) {
    const referrer = await readReferrer(source, entry);
    if (referrer?.subject.digest !== subject.digest) continue;
    if (artifactType === undefined || referrer.descriptor.artifactType === artifactType) {
      found.push(referrer.descriptor);
    }
  }
  return found;
}

/** Each manifest once, which bounds the work for a hostile archive by its size. */
function candidates(entries: readonly Descriptor[]): Iterable<Descriptor> {
  return new Map(entries.filter(mayBeReferrer).map((entry) => [entry.digest, entry])).values();
}

/** Whether the manifest of an entry may have a subject; one with a name stands for itself. */
export function mayBeReferrer({ annotations, mediaType, size }: Descriptor): boolean {
  return (
    annotations?.[ANNOTATION.refName] === undefined &&
    (isManifestType(mediaType) || isIndexType(mediaType)) &&
    size <= MAX_MANIFEST_BYTES
  );
}

/** What a manifest that has a subject is, and what it is about; `undefined` for any other. */
export async function readReferrer(
  source: Source,
  entry: Descriptor,
): Promise<{ descriptor: Descriptor; subject: Descriptor } | undefined> {
  try {
    const bytes = await fetchBytes(source, entry, MAX_MANIFEST_BYTES, 'a manifest');
    return describeReferrer(entry, bytes);
  } catch (error) {
    if (error instanceof OciError) return undefined;
    throw error;
  }
}

/** The same for a manifest's bytes. @throws InvalidImageError */
export function describeReferrer(
  { mediaType, digest, size }: Descriptor,
  bytes: Uint8Array,
): { descriptor: Descriptor; subject: Descriptor } | undefined {
  const what = `the manifest ${digest}`;
  const document = isIndexType(mediaType) ? parseIndex(bytes, what) : parseManifest(bytes, what);
  const { subject, annotations } = document;
  if (subject === undefined) return undefined;
  const artifactType = typeOf(document);
  const described = { mediaType, digest, size };
  return {
    subject,
    descriptor: {
      ...described,
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(annotations === undefined ? {} : { annotations }),
    },
  };
}

/** As the distribution spec v1.1 wants it in a list of referrers: the config's type stands in for none. */
function typeOf(document: Manifest | Index): string | undefined {
  if ('config' in document) return document.artifactType ?? document.config.mediaType;
  const { artifactType } = document as { artifactType?: string };
  return artifactType;
}
