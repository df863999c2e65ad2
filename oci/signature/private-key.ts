/**
 * Private keys to sign with: making them, writing them in cosign's encrypted format, reading those of cosign and
 * OpenSSL.
 *
 * cosign's format: https://github.com/sigstore/cosign, `pkg/cosign/keys.go`, over `encrypted` of
 * https://github.com/theupdateframework/go-tuf: PEM around JSON
 * `{kdf: {name: scrypt, params: {N, r, p}, salt}, cipher: {name: nacl/secretbox, nonce}, ciphertext}` around PKCS #8.
 */
import { createPrivateKey, generateKeyPairSync, randomBytes, scrypt } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { InvalidImageError, InvalidKeyError } from '../errors.js';
import { describeKey } from './keys.js';
import { decodeBase64, objectOf, parseJsonObject } from './signature.js';

const ENCRYPTED_LABEL = 'ENCRYPTED SIGSTORE PRIVATE KEY';
const COSIGN_LABELS: readonly string[] = [ENCRYPTED_LABEL, 'ENCRYPTED COSIGN PRIVATE KEY'];
const OTHER_LABELS: readonly string[] = [
  'PRIVATE KEY',
  'ENCRYPTED PRIVATE KEY',
  'EC PRIVATE KEY',
  'RSA PRIVATE KEY',
];
/** Largest file of a key, in bytes. */
export const MAX_KEY_BYTES = 64 * 1024;
/** What cosign uses: 64 MiB of memory, a fraction of a second. */
const SCRYPT = { N: 65_536, r: 8, p: 1 } as const;
const MAX_SCRYPT_BYTES = 256 * 1024 * 1024;
const MAX_SCRYPT_P = 8;
const KEY_BYTES = 32;
const SALT_BYTES = 32;
const NONCE_BYTES = 24;

export interface KeyPair {
  /** PEM. */
  privateKey: string;
  /** PEM. */
  publicKey: string;
  /** SHA-256 of the public key's SPKI, in hex. */
  fingerprint: string;
}

/** A new ECDSA P-256 key pair. @param password protects the private key; `undefined` leaves it in the open */
export async function generateKeyPair(password: string | undefined): Promise<KeyPair> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const privatePem =
    password === undefined
      ? (privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
      : await encrypt(privateKey.export({ type: 'pkcs8', format: 'der' }), password);
  return {
    privateKey: privatePem,
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
    fingerprint: describeKey(publicKey).fingerprint,
  };
}

async function encrypt(der: Uint8Array, password: string): Promise<string> {
  const { xsalsa20poly1305 } = await import('@noble/ciphers/salsa.js');
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const ciphertext = xsalsa20poly1305(await deriveKey(password, salt, SCRYPT), nonce).encrypt(der);
  const json = JSON.stringify({
    kdf: { name: 'scrypt', params: SCRYPT, salt: salt.toString('base64') },
    cipher: { name: 'nacl/secretbox', nonce: nonce.toString('base64') },
    ciphertext: Buffer.from(ciphertext).toString('base64'),
  });
  const lines = Buffer.from(json)
    .toString('base64')
    .match(/.{1,64}/g)!;
  return `-----BEGIN ${ENCRYPTED_LABEL}-----\n${lines.join('\n')}\n-----END ${ENCRYPTED_LABEL}-----\n`;
}

/**
 * Reads a private key: of cosign or of ours (encrypted), or PKCS #8, SEC 1 or PKCS #1 in PEM.
 * @param file names it in errors
 * @param askPassword is called only if the key is encrypted
 * @throws InvalidKeyError
 */
export async function readPrivateKey(
  pem: string,
  file: string,
  askPassword: () => Promise<string>,
): Promise<KeyObject> {
  if (pem.length > MAX_KEY_BYTES) throw new InvalidKeyError(`${file} is too large for a private key`);
  const block = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----([^-]*)-----END \1-----/.exec(pem);
  const label = block?.[1] ?? '';
  if (block === null || ![...COSIGN_LABELS, ...OTHER_LABELS].includes(label)) {
    throw new InvalidKeyError(`${file} is not a private key in PEM; \`ig image generate-key\` makes one`);
  }
  const key = COSIGN_LABELS.includes(label)
    ? await decryptCosign(block[2]!, file, askPassword)
    : await parsePem(block[0], file, askPassword);
  describeKey(key);
  return key;
}

async function parsePem(pem: string, file: string, askPassword: () => Promise<string>): Promise<KeyObject> {
  const isEncrypted = /ENCRYPTED/.test(pem);
  const passphrase = isEncrypted ? await askPassword() : undefined;
  try {
    return createPrivateKey({ key: pem, ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (cause) {
    const why = isEncrypted ? 'the password is wrong, or it is damaged' : 'it is damaged';
    throw new InvalidKeyError(`cannot read the private key ${file}: ${why}`, { cause });
  }
}

async function decryptCosign(
  base64: string,
  file: string,
  askPassword: () => Promise<string>,
): Promise<KeyObject> {
  const sealed = parseSealed(base64, file);
  const { xsalsa20poly1305 } = await import('@noble/ciphers/salsa.js');
  const key = await deriveKey(await askPassword(), sealed.salt, sealed.params);
  let der: Uint8Array;
  try {
    der = xsalsa20poly1305(key, sealed.nonce).decrypt(sealed.ciphertext);
  } catch (cause) {
    throw new InvalidKeyError(`the password does not open the private key ${file}`, { cause });
  }
  try {
    return createPrivateKey({ key: Buffer.from(der), type: 'pkcs8', format: 'der' });
  } catch (cause) {
    throw new InvalidKeyError(`what ${file} protects is not a private key`, { cause });
  }
}

interface ScryptParams {
  N: number;
  r: number;
  p: number;
}

interface Sealed {
  params: ScryptParams;
  salt: Uint8Array;
  nonce: Uint8Array;
  ciphertext: Uint8Array;
}

function parseSealed(base64: string, file: string): Sealed {
  try {
    const what = `the private key ${file}`;
    const json = parseJsonObject(decodeBase64(base64.replace(/\s+/g, ''), what), what);
    const kdf = objectOf(json['kdf'], what);
    const cipher = objectOf(json['cipher'], what);
    if (kdf['name'] !== 'scrypt' || cipher['name'] !== 'nacl/secretbox') {
      throw new InvalidKeyError(`${what} is not protected by scrypt and nacl/secretbox`);
    }
    const nonce = decodeBase64(cipher['nonce'], what);
    if (nonce.length !== NONCE_BYTES) throw new InvalidKeyError(`${what} has a nonce of the wrong length`);
    return {
      params: parseParams(objectOf(kdf['params'], what), what),
      salt: decodeBase64(kdf['salt'], what),
      nonce,
      ciphertext: decodeBase64(json['ciphertext'], what),
    };
  } catch (cause) {
    if (!(cause instanceof InvalidImageError)) throw cause;
    throw new InvalidKeyError(`the private key ${file} is damaged: ${cause.message}`, { cause });
  }
}

function parseParams({ N, r, p }: Record<string, unknown>, what: string): ScryptParams {
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
  if (!isCount(N) || !isCount(r) || !isCount(p) || !Number.isInteger(Math.log2(N)) || N < 2) {
    throw new InvalidKeyError(`${what} has scrypt parameters that are none`);
  }
  if (128 * N * r > MAX_SCRYPT_BYTES || p > MAX_SCRYPT_P) {
    throw new InvalidKeyError(
      `${what} asks for more memory or time than a password is worth (scrypt parameters)`,
    );
  }
  return { N, r, p };
}

function deriveKey(password: string, salt: Uint8Array, { N, r, p }: ScryptParams): Promise<Uint8Array> {
  // OpenSSL counts some blocks beside the table.
  const maxmem = 128 * N * r + 128 * r * p + 1024 * 1024;
  return new Promise((resolve, reject) => {
    scrypt(password, salt, KEY_BYTES, { N, r, p, maxmem }, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
