/** How an image is put together: reference, digest, index, and the manifest for one architecture. */
import {
  type Annotations,
  type Index,
  MAX_MANIFEST_BYTES,
  type Manifest,
  isIndexType,
  isManifestType,
  ociArchitecture,
  parseIndex,
  parseManifest,
} from '../../oci/descriptor.js';
import type { Descriptor } from '../../oci/descriptor.js';
import { InvalidImageError } from '../../oci/errors.js';
import type { ResolvedImage } from '../../oci/resolve.js';
import { type Source, fetchBytes } from '../../oci/target.js';

export interface OciInfo {
  /** The image's full name; absent for one in a file without such. */
  readonly reference?: string;
  /** Of the index, or of the manifest if there is no index: what a signature covers. */
  readonly digest: string;
  readonly from: ResolvedImage['from'];
  /** A path, or the registry. */
  readonly location: string;
  /** The one that `manifest` and all other parts are for; absent if the image does not say. */
  readonly architecture?: string;
  /** Of the index, overridden by the manifest's. */
  readonly annotations: Annotations;
  readonly index?: Index;
  readonly manifest: Manifest;
}

/**
 * Reads index and manifest. Of several architectures this machine's is taken, or else the first.
 * Throws OciError.
 */
export async function inspectOci(image: ResolvedImage): Promise<OciInfo> {
  const { target, descriptor, reference, from, location } = image;
  const index = isIndexType(descriptor.mediaType) ? await readIndex(target, descriptor) : undefined;
  const chosen = index === undefined ? descriptor : choose(index, descriptor.digest);
  if (!isManifestType(chosen.mediaType)) {
    throw new InvalidImageError(`${chosen.digest} is not an image: its media type is ${chosen.mediaType}`);
  }
  const bytes = await fetchBytes(target, chosen, MAX_MANIFEST_BYTES, 'the image manifest');
  const manifest = parseManifest(bytes, `the manifest ${chosen.digest}`);
  return {
    ...(reference === undefined ? {} : { reference: String(reference) }),
    digest: descriptor.digest,
    from,
    location,
    ...(chosen.platform === undefined ? {} : { architecture: chosen.platform.architecture }),
    annotations: { ...index?.annotations, ...manifest.annotations },
    ...(index === undefined ? {} : { index }),
    manifest,
  };
}

async function readIndex(target: Source, descriptor: Descriptor): Promise<Index> {
  const bytes = await fetchBytes(target, descriptor, MAX_MANIFEST_BYTES, 'the image index');
  return parseIndex(bytes, `the index ${descriptor.digest}`);
}

function choose({ manifests }: Index, digest: string): Descriptor {
  const own = manifests.find(({ platform }) => platform?.architecture === ociArchitecture());
  const chosen = own ?? manifests[0];
  if (chosen === undefined) throw new InvalidImageError(`the index ${digest} lists no manifests`);
  return chosen;
}
