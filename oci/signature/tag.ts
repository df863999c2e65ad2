/** Form `tag`: one manifest under the tag `sha256-HEX.sig` beside the image, a layer per signature. */
import { MAX_MANIFEST_BYTES, MEDIA_TYPE, describe, isManifestType, parseManifest } from '../descriptor.js';
import type { Descriptor, Manifest } from '../descriptor.js';
import { InvalidImageError, NotFoundError } from '../errors.js';
import type { ImageEntry } from '../layout.js';
import { Reference } from '../reference.js';
import { legacySubject } from '../referrers.js';
import { fetchBytes } from '../target.js';
import type { Source, Target } from '../target.js';
import { isSameSignature, pushConfig } from './simple-signing.js';
import { MAX_SIGNATURES } from './signature.js';

const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';

/** The name of the manifest with the signatures of the image `root`. */
export function signatureName({ registry, repository }: Reference, root: Descriptor): string {
  return new Reference({ registry, repository, tag: `${root.digest.replace(':', '-')}.sig` }).toString();
}

/**
 * Descriptors of manifests that may hold signatures of `root`, as many as are looked at. A layout or an archive is
 * asked for all its names, the image's own first: what is signed is the digest, and there an image may have another
 * name than when it was signed.
 */
export async function possibleTags(
  source: Source,
  reference: Reference | undefined,
  root: Descriptor,
): Promise<Descriptor[]> {
  if (!isListed(source)) return resolveName(source, reference, root);
  const own = reference === undefined ? undefined : signatureName(reference, root);
  const found = (await source.list()).filter(({ reference: name }) => isSignatureName(name, root));
  const ownFirst = found.sort((a, b) => Number(b.reference === own) - Number(a.reference === own));
  return ownFirst.map(({ descriptor }) => descriptor).slice(0, MAX_SIGNATURES);
}

function isListed(source: Source): source is Source & { list(): Promise<ImageEntry[]> } {
  return 'list' in source && typeof source.list === 'function';
}

function isSignatureName(name: string | undefined, root: Descriptor): boolean {
  return name?.endsWith('.sig') === true && legacySubject(name) === root.digest;
}

async function resolveName(
  source: Source,
  reference: Reference | undefined,
  root: Descriptor,
): Promise<Descriptor[]> {
  if (reference === undefined) return [];
  try {
    return [await source.resolve(signatureName(reference, root))];
  } catch (error) {
    if (error instanceof NotFoundError) return [];
    throw error;
  }
}

/** @throws InvalidImageError if it is not a well-formed manifest */
export async function readSignatures(source: Source, descriptor: Descriptor): Promise<Manifest> {
  const what = `the signature manifest ${descriptor.digest}`;
  if (!isManifestType(descriptor.mediaType)) throw new InvalidImageError(`${what} is not a manifest`);
  return parseManifest(await fetchBytes(source, descriptor, MAX_MANIFEST_BYTES, 'its manifest'), what);
}

/**
 * Adds signatures, whose payloads are stored already, to those that `root` has. Of two that do so at the same
 * time in a registry the later one wins, as with cosign: the form has no way to tell.
 * @returns how many were new
 */
export async function addToTag(
  target: Target,
  reference: Reference,
  root: Descriptor,
  layers: readonly Descriptor[],
): Promise<number> {
  const before = await existingLayers(target, reference, root);
  const fresh = layers.filter((layer) => !before.some((old) => isSameSignature(old, layer)));
  if (fresh.length === 0) return 0;
  const all = [...before, ...fresh];
  if (all.length > MAX_SIGNATURES) {
    throw new InvalidImageError(
      `${String(reference)} (${root.digest}) has ${before.length} signatures: there may be ${MAX_SIGNATURES} at most`,
    );
  }
  const config = await pushConfig(target, all, CONFIG_TYPE);
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.manifest, config, layers: all }),
  );
  const manifest = describe(MEDIA_TYPE.manifest, bytes);
  await target.push(manifest, [bytes]);
  await target.tag(manifest, signatureName(reference, root));
  return fresh.length;
}

/** Those under the very name that is written to; junk there is replaced. */
async function existingLayers(
  target: Target,
  reference: Reference,
  root: Descriptor,
): Promise<readonly Descriptor[]> {
  try {
    const [found] = await resolveName(target, reference, root);
    return found === undefined ? [] : (await readSignatures(target, found)).layers;
  } catch (error) {
    if (error instanceof InvalidImageError) return [];
    throw error;
  }
}
