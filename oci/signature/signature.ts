/** A signature as it was found, whatever its form: what it says, of which nothing is believed yet. */
import { InvalidImageError } from '../errors.js';
import type { SignatureForm } from './policy.js';

/** Most signatures of an image that are looked at or copied. */
export const MAX_SIGNATURES = 50;
/** Largest signed text or bundle, in bytes; those seen in practice have some hundred to some ten thousand. */
export const MAX_PAYLOAD_BYTES = 1024 * 1024;

/** A place where a signature is said to be. */
export interface Candidate {
  form: SignatureForm;
  /** @throws OciError saying what is wrong with it */
  read(): Promise<Signature>;
}

export interface Signature {
  /** `sha256:HEX` of the image it says to be about. */
  imageDigest: string;
  /** The bytes that were signed. */
  signedBytes: Uint8Array;
  signature: Uint8Array;
  /** Fingerprint of the key it claims to be made with, where it tells. */
  claimedKey?: string | undefined;
  /** What it is made with instead of a key that is known beforehand. */
  certificate?: CertificateProof | undefined;
}

/** A certificate for a few minutes, and what proves that the signature was made in them. */
export interface CertificateProof {
  /** Of the certificate. */
  der: Uint8Array;
  /** The whole as a sigstore bundle in JSON, unchecked. @throws InvalidImageError */
  bundle(): unknown;
  /** What the bundle is about, if it does not hold it. */
  artifact?: Uint8Array;
}

/** Why a well-formed signature does not count. */
export class Refused extends Error {}

export type JsonObject = Record<string, unknown>;

/** @throws InvalidImageError unless `bytes` is one JSON object */
export function parseJsonObject(bytes: Uint8Array, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new InvalidImageError(`${what} is not JSON`, { cause });
  }
  return objectOf(value, what);
}

/** `value` as an object. @throws InvalidImageError */
export function objectOf(value: unknown, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new InvalidImageError(`${what} is not a JSON object`);
}

/** The bytes of base64 text, strictly. @throws InvalidImageError */
export function decodeBase64(text: unknown, what: string): Buffer {
  if (typeof text !== 'string' || !/^[A-Za-z0-9+/]+={0,2}$/.test(text) || text.length % 4 !== 0) {
    throw new InvalidImageError(`${what} is not base64`);
  }
  return Buffer.from(text, 'base64');
}
