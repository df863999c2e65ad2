/**
 * Form `bundle`: a referrer with a sigstore bundle, whose DSSE envelope holds an in-toto statement about the image.
 *
 * Bundle: https://github.com/sigstore/protobuf-specs, `sigstore_bundle.proto` (JSON encoding). Envelope and what
 * is signed of it (PAE): https://github.com/secure-systems-lab/dsse, `protocol.md`. Statement:
 * https://github.com/in-toto/attestation, `spec/v1/statement.md`, with cosign's predicate type.
 */
import { MEDIA_TYPE, describe } from '../descriptor.js';
import type { Descriptor, Manifest } from '../descriptor.js';
import { InvalidImageError } from '../errors.js';
import { fetchBytes } from '../target.js';
import type { Source, Target } from '../target.js';
import { BUNDLE_TYPE, attachManifest } from './referrer.js';
import { MAX_PAYLOAD_BYTES, decodeBase64, objectOf, parseJsonObject } from './signature.js';
import type { Candidate, CertificateProof, JsonObject, Signature } from './signature.js';

const PAYLOAD_TYPE = 'application/vnd.in-toto+json';
const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
/** "This image is signed"; other statements, such as lists of parts, may be about images nobody should run. */
const PREDICATE_TYPE = 'https://sigstore.dev/cosign/sign/v1';

/** The signature a manifest of this form holds. */
export function bundleCandidates(source: Source, manifest: Manifest): Candidate[] {
  return manifest.layers.map((layer) => ({ form: 'bundle', read: () => readBundle(source, layer) }));
}

async function readBundle(source: Source, layer: Descriptor): Promise<Signature> {
  const what = `the signature ${layer.digest}`;
  if (layer.mediaType !== BUNDLE_TYPE)
    throw new InvalidImageError(`${what} is not of the type ${BUNDLE_TYPE}`);
  const bundle = parseJsonObject(await fetchBytes(source, layer, MAX_PAYLOAD_BYTES, 'its content'), what);
  const { payload, signature } = openEnvelope(bundle['dsseEnvelope'], what);
  const material = objectOf(bundle['verificationMaterial'], `"verificationMaterial" of ${what}`);
  return {
    imageDigest: imageDigestIn(payload, what),
    signedBytes: preAuthEncoding(payload),
    signature,
    claimedKey: keyIn(material['publicKey']),
    certificate: certificateIn(material, bundle, what),
  };
}

function openEnvelope(value: unknown, what: string): { payload: Buffer; signature: Buffer } {
  const envelope = objectOf(value, `"dsseEnvelope" of ${what}`);
  if (envelope['payloadType'] !== PAYLOAD_TYPE) {
    throw new InvalidImageError(`${what} does not hold a statement of the type ${PAYLOAD_TYPE}`);
  }
  const { signatures } = envelope;
  if (!Array.isArray(signatures) || signatures.length !== 1) {
    throw new InvalidImageError(`the envelope in ${what} does not have exactly one signature`);
  }
  const { sig } = objectOf(signatures[0], `"signatures" of ${what}`);
  return {
    payload: decodeBase64(envelope['payload'], `"payload" of ${what}`),
    signature: decodeBase64(sig, `"sig" of ${what}`),
  };
}

function imageDigestIn(payload: Buffer, what: string): string {
  const statement = parseJsonObject(payload, `the statement in ${what}`);
  if (statement['_type'] !== STATEMENT_TYPE || statement['predicateType'] !== PREDICATE_TYPE) {
    throw new InvalidImageError(`${what} does not state that an image is signed (${PREDICATE_TYPE})`);
  }
  const { subject } = statement;
  if (!Array.isArray(subject) || subject.length !== 1) {
    throw new InvalidImageError(`the statement in ${what} is not about exactly one image`);
  }
  const { digest } = objectOf(subject[0], `"subject" of ${what}`);
  const { sha256 } = objectOf(digest, `"subject.digest" of ${what}`);
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw new InvalidImageError(`${what} does not name the digest of an image`);
  }
  return `sha256:${sha256}`;
}

/** What is signed of an envelope: `DSSEv1`, and type and payload each after its length. */
function preAuthEncoding(payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** The hint of cosign is the fingerprint in base64; it may be any text. */
function keyIn(publicKey: unknown): string | undefined {
  const hint = (publicKey as { hint?: unknown } | undefined)?.hint;
  const bytes = typeof hint === 'string' && hint.length < 64 ? Buffer.from(hint, 'base64') : undefined;
  return bytes?.length === 32 ? bytes.toString('hex') : undefined;
}

function certificateIn(material: JsonObject, bundle: JsonObject, what: string): CertificateProof | undefined {
  const { certificate } = material;
  if (certificate === undefined) return undefined;
  const { rawBytes } = objectOf(certificate, `"certificate" of ${what}`);
  const der = decodeBase64(rawBytes, `the certificate of ${what}`);
  return { der, bundle: () => bundle };
}

/** What to sign for an image: the statement's bytes, and those that the signature covers. */
export function makeStatement(imageDigest: string): { payload: Buffer; signedBytes: Buffer } {
  const sha256 = imageDigest.slice('sha256:'.length);
  const payload = Buffer.from(
    JSON.stringify({
      _type: STATEMENT_TYPE,
      subject: [{ digest: { sha256 } }],
      predicateType: PREDICATE_TYPE,
      predicate: {},
    }),
  );
  return { payload, signedBytes: preAuthEncoding(payload) };
}

/** @param fingerprint of the key that made `signature`, in hex */
export async function attachBundle(
  target: Target,
  root: Descriptor,
  payload: Buffer,
  signature: Buffer,
  fingerprint: string,
): Promise<void> {
  const bundle = {
    mediaType: BUNDLE_TYPE,
    verificationMaterial: { publicKey: { hint: Buffer.from(fingerprint, 'hex').toString('base64') } },
    dsseEnvelope: {
      payload: payload.toString('base64'),
      payloadType: PAYLOAD_TYPE,
      signatures: [{ sig: signature.toString('base64') }],
    },
  };
  const layer = await pushBlob(target, BUNDLE_TYPE, Buffer.from(JSON.stringify(bundle)));
  const config = await pushBlob(target, MEDIA_TYPE.emptyJson, Buffer.from('{}'));
  await attachManifest(target, root, {
    artifactType: BUNDLE_TYPE,
    config,
    layers: [layer],
    annotations: {
      'dev.sigstore.bundle.content': 'dsse-envelope',
      'dev.sigstore.bundle.predicateType': PREDICATE_TYPE,
      'org.opencontainers.image.created': `${new Date().toISOString().slice(0, 19)}Z`,
    },
  });
}

async function pushBlob(target: Target, mediaType: string, bytes: Buffer): Promise<Descriptor> {
  const descriptor = describe(mediaType, bytes);
  await target.push(descriptor, [bytes]);
  return descriptor;
}
