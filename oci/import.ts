/** Takes the images of an archive, with what is about them, into a layout. */
import type { Archive } from './archive.js';
import { copyContent, copyImage } from './copy.js';
import { ANNOTATION, MAX_MANIFEST_BYTES } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { InvalidImageError, InvalidReferenceError, quoted } from './errors.js';
import type { Layout } from './layout.js';
import { artefactsOf } from './reachable.js';
import { parseReference } from './reference.js';
import { isArtefact, legacySubject, readReferrer } from './referrers.js';
import { fetchBytes } from './target.js';
import type { Source } from './target.js';

/** Where containerd and docker put the full name; they have a mere tag where others have the name. */
const CONTAINERD_NAME = 'io.containerd.image.name';

export interface Imported {
  /** The name it now has. */
  reference: string;
  digest: string;
}

/**
 * Copies every named image. An architecture that the archive lacks is left out.
 * @throws InvalidImageError, InvalidReferenceError, DigestMismatchError, NotFoundError, StoreError
 */
export async function importImages(archive: Archive, layout: Layout): Promise<Imported[]> {
  const entries = (await archive.list()).map(({ descriptor }) => descriptor);
  const images = entries.filter((entry) => nameOf(entry) !== undefined && !isArtefact(entry));
  if (images.length === 0) {
    throw new InvalidImageError(
      `there is no named image in ${archive.path}; give it a name: skopeo copy … oci-archive:FILE:NAME`,
    );
  }
  const named = images.map((entry) => ({ entry, name: normalName(entry, archive.path) }));
  return layout.withLease(async () => {
    for (const { entry, name } of named) await copyNamed(archive, layout, entry, name);
    for (const entry of await artefactsOf(archive, entries, images))
      await copyArtefact(archive, layout, entry);
    return named.map(({ entry, name }) => ({ reference: name, digest: entry.digest }));
  });
}

function nameOf({ annotations }: Descriptor): string | undefined {
  const name = annotations?.[ANNOTATION.refName];
  return name?.includes('/') === true ? name : (annotations?.[CONTAINERD_NAME] ?? name);
}

function normalName(entry: Descriptor, path: string): string {
  const name = nameOf(entry) ?? '';
  try {
    return String(parseReference(name));
  } catch (cause) {
    if (!(cause instanceof InvalidReferenceError)) throw cause;
    throw new InvalidImageError(
      `an image in ${path} has the name ${quoted(name)}, which is none for an image`,
      {
        cause,
      },
    );
  }
}

async function copyNamed(archive: Archive, layout: Layout, entry: Descriptor, name: string): Promise<void> {
  const source: Source = {
    resolve: () => Promise.resolve(entry),
    fetch: (descriptor) => archive.fetch(descriptor),
    referrers: (subject, artifactType) => archive.referrers(subject, artifactType),
  };
  await copyImage(source, layout, name, { leaveOut: (manifest) => !archive.has(manifest) });
}

async function copyArtefact(archive: Archive, layout: Layout, entry: Descriptor): Promise<void> {
  const name = entry.annotations?.[ANNOTATION.refName];
  if (legacySubject(name) !== undefined)
    return copyNamed(archive, layout, entry, normalName(entry, archive.path));
  const referrer = await readReferrer(archive, entry);
  if (referrer === undefined) return;
  await copyContent(archive, layout, entry);
  const bytes = await fetchBytes(layout, entry, MAX_MANIFEST_BYTES, 'a manifest');
  await layout.attach(referrer.subject, entry, bytes);
}
