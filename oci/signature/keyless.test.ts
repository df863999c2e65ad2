// Signatures with certificates, of an own Fulcio, Rekor and certificate log.

import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { initializeCA, initializeTLog } from '@sigstore/mock';
import { HashAlgorithm, PublicKeyDetails, TrustedRoot } from '@sigstore/protobuf-specs';
import { beforeAll, describe as suite, expect, it } from 'vitest';
import { temporaryDirectory } from '../../test/registry/images.js';
import { TrustedRootError, UntrustedImageError } from '../errors.js';
import { verifyImage } from './index.js';
import type { TrustPolicyOptions, TrustedIdentity, Verified } from './policy.js';
import { addToTag } from './tag.js';
import {
  SIGNATURE_ANNOTATION,
  attachAnyBundle,
  bundleOf,
  layerOf,
  makeKey,
  payloadFor,
  sample,
  statementFor,
  testKey,
} from './testing.js';
import type { Sample, TestKey } from './testing.js';

const SUBJECT = 'https://github.com/team/gadgets/.github/workflows/release.yml@refs/heads/main';
const ISSUER = 'https://token.actions.githubusercontent.com';
const ISSUER_OID = '1.3.6.1.4.1.57264.1.1';
const IDENTITY: TrustedIdentity = { subject: SUBJECT, issuer: ISSUER };
/** Somebody else's, which must not matter. */
const key = makeKey();

type World = Awaited<ReturnType<typeof makeWorld>>;
let world: World;

beforeAll(async () => {
  world = await makeWorld();
});

/** Authorities, and their `trusted_root.json`. */
async function makeWorld() {
  const p256 = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const ctLog = certificateLog(p256());
  const authority = await initializeCA(generateKeyPairSync('ec', { namedCurve: 'secp384r1' }), ctLog);
  const log = await initializeTLog('https://rekor.sigstore.dev', p256());
  const validFor = { start: new Date(0), end: undefined };
  const logOf = (baseUrl: string, rawBytes: Buffer) => ({
    baseUrl,
    hashAlgorithm: HashAlgorithm.SHA2_256,
    logId: { keyId: createHash('sha256').update(rawBytes).digest() },
    checkpointKeyId: undefined,
    operator: '',
    publicKey: { rawBytes, keyDetails: PublicKeyDetails.PKIX_ECDSA_P256_SHA_256, validFor },
  });
  const trustedRoot = TrustedRoot.toJSON({
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: [logOf('https://rekor.sigstore.dev', log.publicKey)],
    ctlogs: [logOf('https://ctfe.sigstore.dev', ctLog.publicKey)],
    certificateAuthorities: [
      {
        subject: { organization: 'sigstore.mock', commonName: 'sigstore' },
        uri: 'https://fulcio.sigstore.dev',
        certChain: { certificates: [{ rawBytes: authority.rootCertificate }] },
        validFor,
        operator: '',
      },
    ],
    timestampAuthorities: [],
  });
  return { authority, log, trustedRoot };
}

/**
 * The log of certificates: that of @sigstore/mock leaves its signatures empty with the pkijs there is. What is
 * signed, and what the log answers: RFC 6962, section 3.2.
 */
function certificateLog({ privateKey, publicKey }: Record<'privateKey' | 'publicKey', KeyObject>) {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const logID = createHash('sha256').update(spki).digest();
  const log = (certificate: ArrayBuffer, issuerID: ArrayBuffer): Promise<ArrayBuffer> => {
    const time = Buffer.alloc(8);
    time.writeBigUInt64BE(BigInt(Date.now()));
    const tbs = toBeSigned(Buffer.from(certificate));
    const entry = [time, uint(1, 2), Buffer.from(issuerID), uint(tbs.length, 3), tbs, uint(0, 2)];
    const signature = sign('sha256', Buffer.concat([uint(0, 2), ...entry]), privateKey);
    const head = [uint(0, 1), logID, time, uint(0, 2), uint(4, 1), uint(3, 1)];
    const answer = Buffer.concat([...head, uint(signature.length, 2), signature]);
    return Promise.resolve(new Uint8Array(Buffer.concat([uint(answer.length, 2), answer])).buffer);
  };
  return { publicKey: spki, logID, log };
}

/** The first part of a certificate; its length, and that of the whole, take two bytes. */
function toBeSigned(certificate: Buffer): Buffer {
  return certificate.subarray(4, 8 + certificate.readUInt16BE(6));
}

function uint(value: number, lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  bytes.writeUIntBE(value, 0, lengthBytes);
  return bytes;
}

interface Signer extends TestKey {
  /** In DER. */
  certificate: Buffer;
  pem: string;
}

async function certified({ authority }: World = world, subjectAltName = SUBJECT): Promise<Signer> {
  const pair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const certificate = await authority.issueCertificate({
    publicKey: pair.publicKey.export({ type: 'spki', format: 'der' }),
    subjectAltName,
    extensions: [{ oid: ISSUER_OID, value: ISSUER, legacy: true }],
  });
  const lines = certificate.toString('base64').match(/.{1,64}/g)!;
  const pem = `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
  return { ...testKey(pair), certificate, pem };
}

interface LogEntry {
  body: string;
  integratedTime: number;
  logID: string;
  logIndex: number;
  verification: {
    signedEntryTimestamp: string;
    inclusionProof: { logIndex: number; treeSize: number; checkpoint: string; rootHash: string };
  };
}

async function logged({ log }: World, kind: string, spec: object): Promise<LogEntry> {
  const entries: unknown = await log.log({ apiVersion: '0.0.1', kind, spec });
  return Object.values(entries as Record<string, LogEntry>)[0]!;
}

function sha256(bytes: string | Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** As far as tests change it. */
interface TestEntry {
  inclusionProof: { checkpoint: { envelope: string } };
}

/** What cosign adds to a signature of form `tag`. */
async function annotationsFor(
  payload: string,
  signer: Signer,
  where: World,
): Promise<Record<string, string>> {
  const signature = sign('sha256', Buffer.from(payload), signer.privateKey).toString('base64');
  const { body, integratedTime, logIndex, logID, verification } = await logged(where, 'hashedrekord', {
    data: { hash: { algorithm: 'sha256', value: sha256(payload) } },
    signature: { content: signature, publicKey: { content: Buffer.from(signer.pem).toString('base64') } },
  });
  return {
    [SIGNATURE_ANNOTATION]: signature,
    'dev.sigstore.cosign/certificate': signer.pem,
    'dev.sigstore.cosign/bundle': JSON.stringify({
      SignedEntryTimestamp: verification.signedEntryTimestamp,
      Payload: { body, integratedTime, logIndex, logID },
    }),
  };
}

async function signTag(image: Sample, signer: Signer, where = world, drop?: string): Promise<void> {
  const payload = payloadFor(image.root.digest);
  const annotations = await annotationsFor(payload, signer, where);
  if (drop !== undefined) delete annotations[drop];
  const { layout, reference, root } = image;
  await addToTag(layout, reference, root, [await layerOf(layout, payload, signer, annotations)]);
}

async function signBundle(
  { layout, root }: Sample,
  signer: Signer,
  where = world,
  change: (entry: TestEntry) => unknown[] = (entry) => [entry],
): Promise<void> {
  const statement = statementFor(root.digest);
  const bundle = bundleOf(statement, signer);
  const { signatures } = bundle['dsseEnvelope'] as { signatures: { sig: string }[] };
  const { body, integratedTime, logIndex, logID, verification } = await logged(where, 'dsse', {
    payloadHash: { algorithm: 'sha256', value: sha256(statement) },
    signatures: [{ signature: signatures[0]!.sig, verifier: Buffer.from(signer.pem).toString('base64') }],
  });
  const { inclusionProof: proof, signedEntryTimestamp } = verification;
  const entry = {
    logIndex: String(logIndex),
    logId: { keyId: Buffer.from(logID, 'hex').toString('base64') },
    kindVersion: { kind: 'dsse', version: '0.0.1' },
    integratedTime: String(integratedTime),
    inclusionPromise: { signedEntryTimestamp },
    inclusionProof: {
      logIndex: String(proof.logIndex),
      rootHash: Buffer.from(proof.rootHash, 'hex').toString('base64'),
      treeSize: String(proof.treeSize),
      hashes: [],
      checkpoint: { envelope: proof.checkpoint },
    },
    canonicalizedBody: body,
  };
  const material = {
    certificate: { rawBytes: signer.certificate.toString('base64') },
    tlogEntries: change(entry),
  };
  await attachAnyBundle(layout, root, { ...bundle, verificationMaterial: material });
}

function trusting(
  identities: readonly TrustedIdentity[] = [IDENTITY],
  { trustedRoot } = world,
): TrustPolicyOptions {
  const path = join(temporaryDirectory(), 'trusted_root.json');
  writeFileSync(path, JSON.stringify(trustedRoot));
  return { publicKeys: [key.publicKey], trustedRoot: path, identities };
}

function verify({ layout, reference, root }: Sample, policy = trusting()): Promise<Verified> {
  return verifyImage(layout, reference, root, policy);
}

async function refusal(image: Sample, policy = trusting()): Promise<string> {
  const error: unknown = await verify(image, policy).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UntrustedImageError);
  return (error as Error).message;
}

const FORMS = { tag: signTag, bundle: signBundle } as const;

suite.each(['tag', 'bundle'] as const)('a signature with a certificate, in the form %s', (form) => {
  const signAs = FORMS[form];

  it('is trusted when its identity is', async () => {
    const image = await sample();
    await signAs(image, await certified());
    expect(await verify(image)).toEqual({ form, by: `${SUBJECT} (${ISSUER})` });
  });

  it('may be told by a pattern for all of the subject', async () => {
    const image = await sample();
    await signAs(image, await certified());
    const pattern = (subject: string): TrustPolicyOptions => trusting([{ subject, issuer: ISSUER }]);
    expect((await verify(image, pattern('/https://github\\.com/team/.*/'))).form).toBe(form);
    expect(await refusal(image, pattern('/github\\.com/team/'))).toContain('who is not trusted');
    // Not a pattern without slashes around it.
    expect(await refusal(image, pattern('https://github.com/.*'))).toContain('who is not trusted');
  });

  it('is refused when identity or issuer differ', async () => {
    const image = await sample();
    await signAs(image, await certified());
    for (const identity of [
      { ...IDENTITY, subject: `${SUBJECT}x` },
      { ...IDENTITY, issuer: 'https://accounts.example' },
    ]) {
      expect(await refusal(image, trusting([identity]))).toContain(
        `a signature is by "${SUBJECT}" of "${ISSUER}", who is not trusted`,
      );
    }
  });

  it('names who claims to have signed where nothing says whom to trust', async () => {
    const image = await sample();
    await signAs(image, await certified());
    const { publicKeys, trustedRoot } = trusting();
    expect(await refusal(image, { publicKeys })).toContain(`"${SUBJECT}", but no trusted root is configured`);
    expect(await refusal(image, { publicKeys, trustedRoot: trustedRoot! })).toContain(
      'no identities are trusted',
    );
  });

  it('is refused when other authorities vouch for it', async () => {
    const image = await sample();
    const foreign = await makeWorld();
    await signAs(image, await certified(foreign), foreign);
    expect(await refusal(image)).toContain('does not stand up to the trusted root');
    expect((await verify(image, trusting([IDENTITY], foreign))).form).toBe(form);
  });

  it('is refused when the certificate is right but the log is another', async () => {
    const image = await sample();
    await signAs(image, await certified(), await makeWorld());
    expect(await refusal(image)).toContain('does not stand up to the trusted root');
  });

  it('is refused when the certificate is of another key', async () => {
    const image = await sample();
    await signAs(image, { ...(await certified()), privateKey: key.privateKey });
    // The trusted key itself did sign it, and that is another matter.
    const policy = { ...trusting(), publicKeys: [] };
    expect(await refusal(image, policy)).toContain('does not stand up to the trusted root');
  });

  it('hides no good one by being junk', async () => {
    const image = await sample();
    const junk = { ...(await certified()), certificate: Buffer.from('junk'), pem: 'junk' };
    await signAs(image, junk);
    expect(await refusal(image)).toContain('certificate');
    await signAs(image, await certified());
    expect((await verify(image)).form).toBe(form);
  });
});

suite('a signature with a certificate', () => {
  it('is refused without an entry in the log', async () => {
    const image = await sample();
    await signTag(image, await certified(), world, 'dev.sigstore.cosign/bundle');
    expect(await refusal(image)).toContain('does not stand up to the trusted root');
  });

  it('costs no time by a checkpoint whose signer is named by a regular expression', async () => {
    const image = await sample();
    await signBundle(image, await certified(), world, (entry) => {
      const { checkpoint } = entry.inclusionProof;
      checkpoint.envelope = checkpoint.envelope.replace(/\u2014 \S+/, '\u2014 (((.*)*)*)*x');
      return [entry];
    });
    expect(await refusal(image)).toContain('its checkpoint is not signed by names of logs');
  });

  it('costs no time by many entries of the log', async () => {
    const image = await sample();
    await signBundle(image, await certified(), world, (entry) => Array<unknown>(50).fill(entry));
    expect(await refusal(image)).toContain('more than 10 log entries');
  });

  it.each([
    ['missing', undefined],
    ['no JSON', '{'],
    ['no trusted root', '{"certificateAuthorities": 5}'],
    ['too large', 'x'.repeat(4 * 1024 * 1024 + 1)],
  ])('says so when the trusted root is %s', async (_what, text) => {
    const image = await sample();
    await signTag(image, await certified());
    const trustedRoot = join(temporaryDirectory(), 'root.json');
    if (text !== undefined) writeFileSync(trustedRoot, text);
    const verified = verify(image, { ...trusting(), trustedRoot });
    await expect(verified).rejects.toThrow(TrustedRootError);
    await expect(verified).rejects.toThrow(`cannot use the trusted root ${trustedRoot}`);
  });
});
