/**
 * Checks signatures made without a lasting key: with a certificate that sigstore's Fulcio gave to an identity for
 * some minutes, and an entry in its log Rekor that shows that the signature is from these minutes.
 */
import { X509Certificate } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { Bundle } from '@sigstore/bundle';
import type { TrustMaterial } from '@sigstore/verify';
import { InvalidImageError, TrustedRootError, quoted } from '../errors.js';
import type { TrustPolicyOptions, TrustedIdentity } from './policy.js';
import { Refused } from './signature.js';
import type { CertificateProof } from './signature.js';

const MAX_TRUSTED_ROOT_BYTES = 4 * 1024 * 1024;
const MAX_CERTIFICATE_BYTES = 64 * 1024;
/** Of log entries, of time stamps, and of signatures of a checkpoint; real ones have one or two. */
const MAX_PROOFS = 10;
const MAX_SUBJECT_LENGTH = 1024;

interface Identity {
  subject: string;
  issuer: string;
}

/**
 * @returns the trusted identity, as `SUBJECT (ISSUER)`
 * @throws Refused, InvalidImageError; TrustedRootError if the policy's root cannot be used
 */
export async function verifyCertificate(
  proof: CertificateProof,
  policy: TrustPolicyOptions,
): Promise<string> {
  const claimed = claimedSubject(proof.der);
  const { trustedRoot, identities = [] } = policy;
  if (trustedRoot === undefined) {
    throw new Refused(`a signature claims to be by ${claimed}, but no trusted root is configured`);
  }
  if (identities.length === 0) {
    throw new Refused(`a signature claims to be by ${claimed}, but no identities are trusted`);
  }
  const { subject, issuer } = await verifiedIdentity(proof, claimed, await loadTrustedRoot(trustedRoot));
  if (identities.some((trusted) => isMatch(trusted, { subject, issuer }))) return `${subject} (${issuer})`;
  throw new Refused(`a signature is by ${quoted(subject)} of ${quoted(issuer)}, who is not trusted`);
}

/** What the certificate says before anything of it is believed, for errors. */
function claimedSubject(der: Uint8Array): string {
  if (der.length > MAX_CERTIFICATE_BYTES)
    throw new InvalidImageError('its certificate is larger than 64 KiB');
  try {
    const names = new X509Certificate(der).subjectAltName ?? 'nobody';
    return quoted(names.replace(/^(?:email|URI):/, ''));
  } catch (cause) {
    throw new InvalidImageError('its certificate cannot be read', { cause });
  }
}

async function verifiedIdentity(
  proof: CertificateProof,
  claimed: string,
  material: TrustMaterial,
): Promise<Identity> {
  const { bundleFromJSON } = await import('@sigstore/bundle');
  const { Verifier, toSignedEntity } = await import('@sigstore/verify');
  try {
    const artifact = proof.artifact === undefined ? undefined : Buffer.from(proof.artifact);
    const bundle = bundleFromJSON(proof.bundle());
    checkBounds(bundle);
    const entity = toSignedEntity(bundle, artifact);
    const { identity } = new Verifier(material).verify(entity);
    const subject = identity?.subjectAlternativeName;
    const issuer = identity?.extensions?.issuer;
    if (subject === undefined || issuer === undefined) throw new Error('its certificate names nobody');
    return { subject, issuer };
  } catch (cause) {
    // The libraries throw errors of many classes, TypeError among them, for what is not well-formed.
    const detail = (cause as Error).message;
    throw new Refused(`a signature by ${claimed} does not stand up to the trusted root (${detail})`, {
      cause,
    });
  }
}

/**
 * Each entry and time stamp costs checks of signatures. The name of who signed a checkpoint is taken for a regular
 * expression by @sigstore/verify 3.1, so it must be one that takes no time.
 */
function checkBounds({ verificationMaterial }: Bundle): void {
  const { tlogEntries, timestampVerificationData } = verificationMaterial;
  const timestamps = timestampVerificationData?.rfc3161Timestamps ?? [];
  if (tlogEntries.length > MAX_PROOFS || timestamps.length > MAX_PROOFS) {
    throw new Error(`it has more than ${MAX_PROOFS} log entries or time stamps`);
  }
  for (const { inclusionProof } of tlogEntries) {
    const envelope = inclusionProof?.checkpoint?.envelope ?? '';
    const names = [...envelope.matchAll(/\u2014 (\S+) /g)].map((match) => match[1]!);
    if (names.length > MAX_PROOFS || !names.every((name) => /^[\w.:/-]+$/.test(name))) {
      throw new Error('its checkpoint is not signed by names of logs');
    }
  }
}

/** The regular expression is for all of the subject, so that nobody is let in for what their address contains. */
function isMatch(trusted: TrustedIdentity, found: Identity): boolean {
  if (trusted.issuer !== found.issuer || found.subject.length > MAX_SUBJECT_LENGTH) return false;
  const pattern = /^\/(.*)\/$/s.exec(trusted.subject)?.[1];
  return pattern === undefined ? trusted.subject === found.subject : wholly(pattern).test(found.subject);
}

function wholly(pattern: string): RegExp {
  try {
    return new RegExp(`^(?:${pattern})$`);
  } catch (cause) {
    throw new TrustedRootError(`the trusted identity /${pattern}/ is not a regular expression`, { cause });
  }
}

async function loadTrustedRoot(path: string): Promise<TrustMaterial> {
  const { TrustedRoot } = await import('@sigstore/protobuf-specs');
  const { toTrustMaterial } = await import('@sigstore/verify');
  try {
    const root = TrustedRoot.fromJSON(JSON.parse(await readText(path)));
    if (root.certificateAuthorities.length === 0) throw new Error('it names no certificate authorities');
    return toTrustMaterial(root);
  } catch (cause) {
    throw new TrustedRootError(`cannot use the trusted root ${path} (${(cause as Error).message})`, {
      cause,
    });
  }
}

async function readText(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size > MAX_TRUSTED_ROOT_BYTES) throw new Error('it is larger than 4 MiB');
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
