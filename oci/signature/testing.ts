/** What the tests of signatures share: signed samples, junk in place of signatures, and an own sigstore. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { buildSample, temporaryDirectory } from '../../test/registry/images.js';
import { describe } from '../descriptor.js';
import type { Descriptor } from '../descriptor.js';
import { Layout } from '../layout.js';
import { parseReference } from '../reference.js';
import type { Reference } from '../reference.js';
import type { Target } from '../target.js';
import { attachManifest } from './referrer.js';

export const PAYLOAD_TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json';
export const SIGNATURE_ANNOTATION = 'dev.cosignproject.cosign/signature';
export const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

export interface TestKey {
  privateKey: KeyObject;
  /** PEM. */
  publicKey: string;
  fingerprint: string;
}

export function makeKey(namedCurve = 'prime256v1'): TestKey {
  return testKey(generateKeyPairSync('ec', { namedCurve }));
}

export function testKey({ privateKey, publicKey }: Record<'privateKey' | 'publicKey', KeyObject>): TestKey {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return {
    privateKey,
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
    fingerprint: createHash('sha256').update(spki).digest('hex'),
  };
}

export interface Sample {
  layout: Layout;
  reference: Reference;
  root: Descriptor;
}

/** An image without signatures in a layout of its own; another `title`, another digest. */
export async function sample(title = 'trace_sample'): Promise<Sample> {
  const layout = new Layout(temporaryDirectory());
  const reference = parseReference('registry.example/team/trace_sample:v1');
  const annotations = { 'org.opencontainers.image.title': title };
  return { layout, reference, root: await buildSample(layout, String(reference), { annotations }) };
}

/** The text that form `tag` signs. */
export function payloadFor(imageDigest: string, type = 'cosign container image signature'): string {
  const critical = { identity: {}, image: { 'docker-manifest-digest': imageDigest }, type };
  return JSON.stringify({ critical, optional: null });
}

/** Stores `payload` and returns its layer, signed by `key` unless `annotations` say otherwise. */
export async function layerOf(
  target: Target,
  payload: string | Buffer,
  { privateKey }: TestKey,
  annotations?: Record<string, string>,
): Promise<Descriptor> {
  const bytes = Buffer.from(payload);
  const signature = sign('sha256', bytes, privateKey).toString('base64');
  const layer = await store(target, PAYLOAD_TYPE, bytes);
  return { ...layer, annotations: { [SIGNATURE_ANNOTATION]: signature, ...annotations } };
}

/** Attaches `bundle` as a signature of `root`, whatever it is. */
export async function attachAnyBundle(target: Target, root: Descriptor, bundle: unknown): Promise<void> {
  const bytes = Buffer.from(typeof bundle === 'string' ? bundle : JSON.stringify(bundle));
  await attachManifest(target, root, {
    artifactType: BUNDLE_TYPE,
    config: await store(target, 'application/vnd.oci.empty.v1+json', Buffer.from('{}')),
    layers: [await store(target, BUNDLE_TYPE, bytes)],
  });
}

/** A bundle around `payload`, with as many signatures by `key` as wanted. */
export function bundleOf(payload: string, { privateKey }: TestKey, signatures = 1): Record<string, unknown> {
  const type = 'application/vnd.in-toto+json';
  const signed = Buffer.from(`DSSEv1 ${type.length} ${type} ${Buffer.byteLength(payload)} ${payload}`);
  return {
    mediaType: BUNDLE_TYPE,
    verificationMaterial: { publicKey: { hint: '' } },
    dsseEnvelope: {
      payload: Buffer.from(payload).toString('base64'),
      payloadType: type,
      signatures: Array.from({ length: signatures }, () => ({
        sig: sign('sha256', signed, privateKey).toString('base64'),
      })),
    },
  };
}

export function statementFor(
  imageDigest: string,
  predicateType = 'https://sigstore.dev/cosign/sign/v1',
): string {
  const subject = [{ digest: { sha256: imageDigest.slice('sha256:'.length) } }];
  return JSON.stringify({ _type: 'https://in-toto.io/Statement/v1', subject, predicateType });
}

async function store(target: Target, mediaType: string, bytes: Buffer): Promise<Descriptor> {
  const descriptor = describe(mediaType, bytes);
  await target.push(descriptor, [bytes]);
  return descriptor;
}
