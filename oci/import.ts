/** Takes the images of an archive, with what is about them, into a layout. */
import type { Archive } from './archive.js';
import { copyContent } from './copy.js';
import { ANNOTATION, MAX_MANIFEST_BYTES } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { InvalidImageError, InvalidReferenceError, quoted } from './errors.js';
import { mayName } from './layout.js';
import type { Layout } from './layout.js';
import { artefactsOf } from './reachable.js';
import { parseReference } from './reference.js';
import { isArtefact, readReferrer } from './referrers.js';
import { fetchBytes } from './target.js';

/** Where containerd and docker put the full name; they have a mere tag where others have the name. */
const CONTAINERD_NAME = 'io.containerd.image.name';

/** Each changes `index.json`. */
const MAX_REFERRERS = 1000;

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
  return layout.withLease(async () => {
    const artefacts = await artefactsOf(archive, entries, images);
    const referrers = artefacts.filter((entry) => nameOf(entry) === undefined);
    if (referrers.length > MAX_REFERRERS) {
      throw new InvalidImageError(`${archive.path} holds more than ${MAX_REFERRERS} signatures and such`);
    }
    const legacy = artefacts.filter((entry) => nameOf(entry) !== undefined);
    const named = new Map([...images, ...legacy].map((entry) => [normalName(entry, archive.path), entry]));
    const leaveOut = (manifest: Descriptor): boolean => !archive.has(manifest);
    const roots = new Map([...named.values(), ...referrers].map((entry) => [entry.digest, entry]));
    for (const root of roots.values()) await copyContent(archive, layout, root, { leaveOut });
    await layout.tagAll(named);
    for (const entry of referrers) await attach(layout, entry);
    const isImage = new Set(images);
    return [...named]
      .filter(([, entry]) => isImage.has(entry))
      .map(([reference, { digest }]) => ({ reference, digest }));
  });
}

function nameOf({ annotations }: Descriptor): string | undefined {
  const name = annotations?.[ANNOTATION.refName];
  return name?.includes('/') === true ? name : (annotations?.[CONTAINERD_NAME] ?? name);
}

function normalName(entry: Descriptor, path: string): string {
  const name = nameOf(entry) ?? '';
  if (!mayName(name, entry)) {
    throw new InvalidImageError(
      `an image in ${path} has the name ${quoted(name)}, but is the image ${entry.digest}`,
    );
  }
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

async function attach(layout: Layout, entry: Descriptor): Promise<void> {
  const referrer = await readReferrer(layout, entry);
  if (referrer === undefined) return;
  await layout.attach(
    referrer.subject,
    entry,
    await fetchBytes(layout, entry, MAX_MANIFEST_BYTES, 'a manifest'),
  );
}
