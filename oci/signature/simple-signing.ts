/**
 * What the forms `tag` and `referrer` hold: layers of "simple signing" payloads, the signature as an annotation.
 *
 * Payload: https://github.com/containers/image, `docs/containers-signature.5.md`, as cosign uses it
 * (https://github.com/sigstore/cosign, `specs/SIGNATURE_SPEC.md`): `critical.type` and the annotations.
 */
import { X509Certificate } from 'node:crypto';
import { describe } from '../descriptor.js';
import type { Annotations, Descriptor, Manifest } from '../descriptor.js';
import { InvalidImageError } from '../errors.js';
import { isDigest } from '../reference.js';
import type { Reference } from '../reference.js';
import { fetchBytes } from '../target.js';
import type { Source, Target } from '../target.js';
import type { SignatureForm } from './policy.js';
import { MAX_PAYLOAD_BYTES, decodeBase64, objectOf, parseJsonObject } from './signature.js';
import type { Candidate, CertificateProof, JsonObject, Signature } from './signature.js';

const PAYLOAD_TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json';
const CRITICAL_TYPE = 'cosign container image signature';
const ANNOTATION = {
  signature: 'dev.cosignproject.cosign/signature',
  certificate: 'dev.sigstore.cosign/certificate',
  /** The entry of the transparency log. */
  log: 'dev.sigstore.cosign/bundle',
  timestamp: 'dev.sigstore.cosign/rfc3161timestamp',
} as const;

/** The signatures a manifest of these forms holds. */
export function candidatesIn(source: Source, manifest: Manifest, form: SignatureForm): Candidate[] {
  return manifest.layers.map((layer) => ({ form, read: () => readLayer(source, layer) }));
}

async function readLayer(source: Source, layer: Descriptor): Promise<Signature> {
  const what = `the signature ${layer.digest}`;
  if (layer.mediaType !== PAYLOAD_TYPE) {
    throw new InvalidImageError(`${what} is not of the type ${PAYLOAD_TYPE}`);
  }
  const { annotations = {} } = layer;
  const signature = decodeBase64(annotations[ANNOTATION.signature], `the annotation of ${what}`);
  const payload = await fetchBytes(source, layer, MAX_PAYLOAD_BYTES, 'its content');
  return {
    imageDigest: imageDigestIn(payload, what),
    signedBytes: payload,
    signature,
    certificate: certificateIn(annotations, payload, layer.digest, signature),
  };
}

function imageDigestIn(payload: Uint8Array, what: string): string {
  const critical = objectOf(parseJsonObject(payload, what)['critical'], `"critical" of ${what}`);
  if (critical['type'] !== CRITICAL_TYPE) {
    throw new InvalidImageError(`${what} does not have the type "${CRITICAL_TYPE}"`);
  }
  const digest = objectOf(critical['image'], `"critical.image" of ${what}`)['docker-manifest-digest'];
  if (typeof digest !== 'string' || !isDigest(digest)) {
    throw new InvalidImageError(`${what} does not name the digest of an image`);
  }
  return digest;
}

function certificateIn(
  annotations: Annotations,
  payload: Uint8Array,
  payloadDigest: string,
  signature: Uint8Array,
): CertificateProof | undefined {
  const pem = annotations[ANNOTATION.certificate];
  if (pem === undefined) return undefined;
  const what = `the certificate of the signature ${payloadDigest}`;
  const der = derOf(pem, what);
  const bundle = (): JsonObject => ({
    mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.1',
    verificationMaterial: {
      // The authorities' own certificates count only as the trusted root has them.
      x509CertificateChain: { certificates: [{ rawBytes: der.toString('base64') }] },
      tlogEntries: logEntries(annotations[ANNOTATION.log]),
      timestampVerificationData: timestamps(annotations[ANNOTATION.timestamp]),
    },
    messageSignature: {
      messageDigest: {
        algorithm: 'SHA2_256',
        digest: Buffer.from(payloadDigest.slice('sha256:'.length), 'hex').toString('base64'),
      },
      signature: Buffer.from(signature).toString('base64'),
    },
  });
  return { der, bundle, artifact: payload };
}

function derOf(pem: string, what: string): Buffer {
  try {
    return new X509Certificate(pem).raw;
  } catch (cause) {
    throw new InvalidImageError(`${what} is not one that can be read`, { cause });
  }
}

/** cosign's `{SignedEntryTimestamp, Payload: {body, integratedTime, logIndex, logID}}` as a bundle has it. */
function logEntries(text: string | undefined): JsonObject[] {
  if (text === undefined) return [];
  const what = 'the log entry of a signature';
  const entry = parseJsonObject(Buffer.from(text), what);
  const payload = objectOf(entry['Payload'], what);
  const body = parseJsonObject(decodeBase64(payload['body'], what), what);
  const { logID, logIndex, integratedTime } = payload;
  if (typeof logID !== 'string') throw new InvalidImageError(`${what} names no log`);
  return [
    {
      logIndex: numberText(logIndex, what),
      logId: { keyId: Buffer.from(logID, 'hex').toString('base64') },
      kindVersion: { kind: body['kind'], version: body['apiVersion'] },
      integratedTime: numberText(integratedTime, what),
      inclusionPromise: { signedEntryTimestamp: entry['SignedEntryTimestamp'] },
      canonicalizedBody: payload['body'],
    },
  ];
}

function numberText(value: unknown, what: string): string {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  throw new InvalidImageError(`${what} lacks its index or time`);
}

function timestamps(text: string | undefined): JsonObject | undefined {
  if (text === undefined) return undefined;
  const { SignedRFC3161Timestamp: signedTimestamp } = parseJsonObject(Buffer.from(text), 'a time stamp');
  return { rfc3161Timestamps: [{ signedTimestamp }] };
}

/** The bytes to sign, as cosign makes them. */
export function makePayload(reference: Reference, imageDigest: string): Buffer {
  const critical = {
    identity: { 'docker-reference': `${reference.registry}/${reference.repository}` },
    image: { 'docker-manifest-digest': imageDigest },
    type: CRITICAL_TYPE,
  };
  return Buffer.from(JSON.stringify({ critical, optional: null }));
}

/** Stores the payload; returns the layer that holds it with its signature. */
export async function pushPayload(target: Target, payload: Buffer, signature: Buffer): Promise<Descriptor> {
  const layer = describe(PAYLOAD_TYPE, payload);
  await target.push(layer, [payload]);
  return { ...layer, annotations: { [ANNOTATION.signature]: signature.toString('base64') } };
}

/** Stores a config as cosign gives to such manifests: that of an image which consists of the payloads. */
export async function pushConfig(
  target: Target,
  layers: readonly Descriptor[],
  mediaType: string,
): Promise<Descriptor> {
  const created = '0001-01-01T00:00:00Z';
  const bytes = Buffer.from(
    JSON.stringify({
      architecture: '',
      created,
      history: layers.map(() => ({ created })),
      os: '',
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
      config: {},
    }),
  );
  const config = describe(mediaType, bytes);
  await target.push(config, [bytes]);
  return config;
}

/** Whether two layers hold the same signature. */
export function isSameSignature(one: Descriptor, other: Descriptor): boolean {
  const key = ANNOTATION.signature;
  return one.digest === other.digest && one.annotations?.[key] === other.annotations?.[key];
}
