import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe as suite, expect, it } from 'vitest';
import { InvalidKeyError } from '../errors.js';
import { describeKey } from './keys.js';
import { generateKeyPair, readPrivateKey } from './private-key.js';

const COSIGN_KEY = readFileSync(new URL('fixtures/cosign.key', import.meta.url), 'utf8');
const COSIGN_FINGERPRINT = '35ec9c4a50b13bd3ed33dfc063aacd355b3da59c98d5135ff31aa6723ed5fb9b';

async function fingerprintOf(pem: string, password?: string): Promise<string> {
  const ask = (): Promise<string> =>
    password === undefined ? Promise.reject(new Error('asked for a password')) : Promise.resolve(password);
  return describeKey(await readPrivateKey(pem, 'x.key', ask)).fingerprint;
}

/** The key of cosign with other members in its JSON. */
function altered(change: (sealed: Sealed) => void): string {
  const [head, ...lines] = COSIGN_KEY.trimEnd().split('\n');
  const tail = lines.pop();
  const sealed = JSON.parse(Buffer.from(lines.join(''), 'base64').toString()) as Sealed;
  change(sealed);
  return [head, Buffer.from(JSON.stringify(sealed)).toString('base64'), tail].join('\n');
}

interface Sealed {
  kdf: { name: string; params: Record<string, unknown>; salt: string };
  cipher: { name: string; nonce: string };
  ciphertext: string;
}

suite('a private key', () => {
  it('of cosign is read with its password', async () => {
    expect(await fingerprintOf(COSIGN_KEY, 'test-password')).toBe(COSIGN_FINGERPRINT);
  });

  it('of cosign before version 2 is read too', async () => {
    const old = COSIGN_KEY.replaceAll('ENCRYPTED SIGSTORE', 'ENCRYPTED COSIGN');
    expect(await fingerprintOf(old, 'test-password')).toBe(COSIGN_FINGERPRINT);
  });

  it('is not read with another password', async () => {
    await expect(fingerprintOf(COSIGN_KEY, 'x')).rejects.toThrow(
      'the password does not open the private key x.key',
    );
  });

  it.each(['a password', ''])('made here is read with its password "%s"', async (password) => {
    const { privateKey, publicKey, fingerprint } = await generateKeyPair(password);
    expect(privateKey).toMatch(/^-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n/);
    expect(await fingerprintOf(privateKey, password)).toBe(fingerprint);
    const der = execFileSync('openssl', ['pkey', '-pubin', '-outform', 'DER'], { input: publicKey });
    const sum = execFileSync('sha256sum', { input: der, encoding: 'utf8' });
    expect(sum.split(' ')[0]).toBe(fingerprint);
    await expect(fingerprintOf(privateKey, `${password}x`)).rejects.toThrow(InvalidKeyError);
  });

  it('made here without a password is one that openssl reads', async () => {
    const { privateKey, publicKey, fingerprint } = await generateKeyPair(undefined);
    expect(execFileSync('openssl', ['pkey', '-pubout'], { input: privateKey, encoding: 'utf8' })).toBe(
      publicKey,
    );
    expect(await fingerprintOf(privateKey)).toBe(fingerprint);
  });

  it('in the forms of openssl is read', async () => {
    const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const plain = [
      [ec, 'sec1'],
      [ec, 'pkcs8'],
      [rsa, 'pkcs1'],
    ] as const;
    for (const [{ privateKey, publicKey }, type] of plain) {
      const pem = privateKey.export({ type, format: 'pem' } as { type: 'pkcs8'; format: 'pem' }) as string;
      expect(await fingerprintOf(pem)).toBe(describeKey(publicKey).fingerprint);
    }
    const cipher = { cipher: 'aes-256-cbc', passphrase: 'pw' };
    const encrypted = ec.privateKey.export({ type: 'pkcs8', format: 'pem', ...cipher }) as string;
    expect(await fingerprintOf(encrypted, 'pw')).toBe(describeKey(ec.publicKey).fingerprint);
    await expect(fingerprintOf(encrypted, 'no')).rejects.toThrow('the password is wrong');
  });
});

suite('what is no private key', () => {
  const cases: [string, string, string][] = [
    ['text', 'hello', 'not a private key in PEM'],
    [
      'a public key',
      readFileSync(new URL('fixtures/cosign.pub', import.meta.url), 'utf8'),
      'not a private key',
    ],
    ['a large file', 'x'.repeat(65 * 1024), 'too large'],
    ['a damaged one', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n', 'it is damaged'],
    ['junk in base64', COSIGN_KEY.replace('eyJ', '!!!'), 'is not base64'],
    ['no JSON', COSIGN_KEY.replace('eyJ', 'AAA'), 'is not JSON'],
    ['another kdf', altered(({ kdf }) => (kdf.name = 'pbkdf2')), 'not protected by scrypt'],
    ['a short nonce', altered(({ cipher }) => (cipher.nonce = 'AAAA')), 'nonce of the wrong length'],
    ['much memory', altered(({ kdf }) => (kdf.params['N'] = 2 ** 30)), 'more memory or time'],
    ['much time', altered(({ kdf }) => (kdf.params['p'] = 1000)), 'more memory or time'],
    ['N no power of two', altered(({ kdf }) => (kdf.params['N'] = 65537)), 'scrypt parameters that are none'],
    ['N no number', altered(({ kdf }) => (kdf.params['N'] = '65536')), 'scrypt parameters that are none'],
    ['a short text', altered((sealed) => (sealed.ciphertext = 'AAAA')), 'does not open'],
  ];
  it.each(cases)('is said to be so: %s', async (_what, pem, words) => {
    const read = fingerprintOf(pem, 'test-password');
    await expect(read).rejects.toThrow(InvalidKeyError);
    await expect(read).rejects.toThrow(words);
  });
});
