/** Public keys: reading them, naming them by fingerprint, checking a signature with one. */
import { createHash, createPublicKey, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { InvalidKeyError } from '../errors.js';

const MIN_RSA_BITS = 2048;
const MAX_PEM_LENGTH = 64 * 1024;
const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g;
/** By curve as OpenSSL names it: cosign hashes with SHA-256, for bundles with what is usual for the curve. */
const EC_HASHES: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ['sha256'],
  secp384r1: ['sha256', 'sha384'],
};

export interface PublicKey {
  key: KeyObject;
  /** SHA-256 of the key's SPKI, in hex: `openssl pkey -pubin -in FILE -outform DER | sha256sum`. */
  fingerprint: string;
}

/**
 * The public keys of a PEM text.
 * @throws InvalidKeyError if there are none, or one of a kind that does not sign images
 */
export function parsePublicKeys(pem: string): PublicKey[] {
  if (pem.length > MAX_PEM_LENGTH) throw new InvalidKeyError('a file of public keys is larger than 64 KiB');
  const blocks = [...pem.matchAll(PEM_BLOCK)];
  if (blocks.length === 0) {
    throw new InvalidKeyError('a trusted key is not a public key in PEM (-----BEGIN PUBLIC KEY-----)');
  }
  return blocks.map(([block, label]) => {
    if (label !== 'PUBLIC KEY' && label !== 'RSA PUBLIC KEY') {
      throw new InvalidKeyError(`a trusted key is not a public key but a ${label} in PEM`);
    }
    try {
      return describeKey(createPublicKey(block));
    } catch (cause) {
      if (cause instanceof InvalidKeyError) throw cause;
      throw new InvalidKeyError('a trusted key is not a public key that can be read', { cause });
    }
  });
}

/** @param key public, or private @throws InvalidKeyError if it is of a kind that does not sign images */
export function describeKey(key: KeyObject): PublicKey {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  checkKind(publicKey);
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return { key: publicKey, fingerprint: createHash('sha256').update(spki).digest('hex') };
}

/** Whether `signature` is one of `bytes` made with this key. */
export function isSignedBy(key: KeyObject, bytes: Uint8Array, signature: Uint8Array): boolean {
  return hashesOf(key).some((hash) => {
    try {
      return verify(hash, bytes, key, signature);
    } catch {
      return false; // OpenSSL refuses junk in place of a signature in several ways
    }
  });
}

/** The hash that cosign signs and verifies with unless told otherwise; `null` where the key's kind decides. */
export function hashOf(key: KeyObject): string | null {
  return hashesOf(key)[0] ?? null;
}

function hashesOf(key: KeyObject): readonly (string | null)[] {
  if (key.asymmetricKeyType === 'ed25519') return [null];
  return EC_HASHES[key.asymmetricKeyDetails?.namedCurve ?? ''] ?? ['sha256'];
}

function checkKind(key: KeyObject): void {
  const { namedCurve = '', modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const kind = key.asymmetricKeyType;
  if (kind === 'ed25519' || (kind === 'ec' && namedCurve in EC_HASHES)) return;
  if (kind === 'rsa' && modulusLength >= MIN_RSA_BITS) return;
  const found =
    kind === 'ec' ? `ECDSA on ${namedCurve}` : kind === 'rsa' ? `RSA of ${modulusLength} bits` : kind;
  throw new InvalidKeyError(
    `a key is of a kind that does not sign images (${found}): use ECDSA P-256 or P-384, ed25519, or RSA of at least ${MIN_RSA_BITS} bits`,
  );
}
