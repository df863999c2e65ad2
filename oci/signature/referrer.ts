/**
 * Form `referrer`: a manifest of its own per signature that names the image as its `subject` (OCI 1.1), with the
 * same layers as form `tag`. cosign writes it with COSIGN_EXPERIMENTAL=1 and `--registry-referrers-mode=oci-1-1`.
 */
import { MAX_MANIFEST_BYTES, MEDIA_TYPE, describe, isManifestType, parseManifest } from '../descriptor.js';
import type { Descriptor, Manifest } from '../descriptor.js';
import { fetchBytes } from '../target.js';
import type { Source, Target } from '../target.js';
import { pushConfig } from './simple-signing.js';
import { MAX_SIGNATURES } from './signature.js';

export const SIGNATURE_TYPE = 'application/vnd.dev.cosign.artifact.sig.v1+json';
export const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/** cosign 2 lists its bundles so where the registry has no referrers API; only their manifests tell. */
const VAGUE_TYPES: readonly (string | undefined)[] = [undefined, '', MEDIA_TYPE.emptyJson];

/** Descriptors of manifests that may be signatures of `root`, as many as are looked at. */
export async function possibleReferrers(source: Source, root: Descriptor): Promise<Descriptor[]> {
  const isPossible = ({ artifactType, mediaType }: Descriptor): boolean =>
    isManifestType(mediaType) &&
    (artifactType === SIGNATURE_TYPE || artifactType === BUNDLE_TYPE || VAGUE_TYPES.includes(artifactType));
  return (await source.referrers(root)).filter(isPossible).slice(0, MAX_SIGNATURES);
}

export interface SignatureReferrer {
  manifest: Manifest;
  bytes: Uint8Array;
  form: 'referrer' | 'bundle';
}

/**
 * The manifest of a signature of `root`; `undefined` if it is something else, or about another image.
 * @throws InvalidImageError
 */
export async function readReferrer(
  source: Source,
  descriptor: Descriptor,
  root: Descriptor,
): Promise<SignatureReferrer | undefined> {
  const what = `the signature manifest ${descriptor.digest}`;
  const bytes = await fetchBytes(source, descriptor, MAX_MANIFEST_BYTES, 'its manifest');
  const manifest = parseManifest(bytes, what);
  if (manifest.subject?.digest !== root.digest) return undefined;
  const type = manifest.artifactType ?? manifest.config.mediaType;
  if (type === SIGNATURE_TYPE) return { manifest, bytes, form: 'referrer' };
  return type === BUNDLE_TYPE ? { manifest, bytes, form: 'bundle' } : undefined;
}

/** Attaches the signature in `layer`, whose payload is stored already. */
export async function attachSignature(target: Target, root: Descriptor, layer: Descriptor): Promise<void> {
  const config = await pushConfig(target, [layer], SIGNATURE_TYPE);
  await attachManifest(target, root, { artifactType: SIGNATURE_TYPE, config, layers: [layer] });
}

/** Writes and attaches a manifest about `root`, whose blobs are stored already. */
export async function attachManifest(
  target: Target,
  root: Descriptor,
  content: Pick<Manifest, 'artifactType' | 'config' | 'layers' | 'annotations'>,
): Promise<void> {
  const { mediaType, digest, size } = root;
  const subject = { mediaType, digest, size };
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.manifest, ...content, subject }),
  );
  await target.attach(root, describe(MEDIA_TYPE.manifest, bytes), bytes);
}
