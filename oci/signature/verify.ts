/** Decides whether somebody who is trusted has signed an image. */
import type { Descriptor } from '../descriptor.js';
import { DigestMismatchError, InvalidImageError, NotFoundError, UntrustedImageError } from '../errors.js';
import type { Reference } from '../reference.js';
import type { Source } from '../target.js';
import { searches } from './candidates.js';
import { isSignedBy, parsePublicKeys } from './keys.js';
import type { PublicKey } from './keys.js';
import type { TrustPolicyOptions, Verified } from './policy.js';
import { MAX_SIGNATURES, Refused } from './signature.js';
import type { Candidate } from './signature.js';

const MAX_REASONS = 3;

/**
 * Looks for a signature of `root` by a trusted key or identity, in all forms; one good signature is enough,
 * whatever lies beside it.
 * @param reference the image's name; without one, form `tag` is found only where names are listed
 * @throws UntrustedImageError which says what was found instead and how to accept it; InvalidKeyError and
 *   TrustedRootError if the policy itself cannot be used; what the source throws if it cannot be asked
 */
export async function verifyImage(
  source: Source,
  reference: Reference | undefined,
  root: Descriptor,
  policy: TrustPolicyOptions,
): Promise<Verified> {
  const keys = policy.publicKeys.flatMap(parsePublicKeys);
  const image = reference === undefined ? root.digest : nameOf(reference, root);
  const refusals: Error[] = [];
  let tries = 0;
  for (const search of searches(source, reference, root)) {
    const candidates = (await orRefusal(search, refusals)) ?? [];
    for (const candidate of candidates) {
      if (++tries > MAX_SIGNATURES) throw untrusted(image, refusals, keys);
      const by = await orRefusal(() => signerOf(candidate, root, keys, policy), refusals);
      if (by !== undefined) return { form: candidate.form, by };
    }
  }
  throw untrusted(image, refusals, keys);
}

function nameOf(reference: Reference, root: Descriptor): string {
  return reference.digest === undefined ? `${String(reference)} (${root.digest})` : String(reference);
}

/** What a signature that does not count throws becomes a reason; other failures are thrown on. */
async function orRefusal<T>(action: () => Promise<T>, refusals: Error[]): Promise<T | undefined> {
  try {
    return await action();
  } catch (cause) {
    const isMalformed =
      cause instanceof InvalidImageError ||
      cause instanceof DigestMismatchError ||
      cause instanceof NotFoundError;
    if (isMalformed) refusals.push(new Refused(`a signature cannot be used: ${cause.message}`, { cause }));
    else if (cause instanceof Refused) refusals.push(cause);
    else throw cause;
    return undefined;
  }
}

/** @returns who made the signature @throws Refused, or InvalidImageError and others if it is malformed */
async function signerOf(
  candidate: Candidate,
  root: Descriptor,
  keys: readonly PublicKey[],
  policy: TrustPolicyOptions,
): Promise<string> {
  const { imageDigest, signedBytes, signature, certificate, claimedKey } = await candidate.read();
  if (imageDigest !== root.digest) throw new Refused(`a signature is for another image, ${imageDigest}`);
  const signer = keys.find(({ key }) => isSignedBy(key, signedBytes, signature));
  if (signer !== undefined) return `key ${signer.fingerprint}`;
  if (certificate !== undefined) {
    const { verifyCertificate } = await import('./keyless.js');
    return verifyCertificate(certificate, policy);
  }
  if (claimedKey === undefined) throw new Refused('a signature is by none of the trusted keys');
  const isTrusted = keys.some(({ fingerprint }) => fingerprint === claimedKey);
  throw new Refused(
    isTrusted
      ? `a signature that claims to be by the trusted key ${claimedKey} is not`
      : `a signature claims to be by key ${claimedKey}, which is not trusted`,
  );
}

function untrusted(
  image: string,
  refusals: readonly Error[],
  keys: readonly PublicKey[],
): UntrustedImageError {
  const reasons = [...new Set(refusals.map(({ message }) => message))];
  const more =
    reasons.length > MAX_REASONS ? ` (and ${reasons.length - MAX_REASONS} more such problems)` : '';
  const found =
    reasons.length === 0
      ? 'is not signed'
      : `is not trusted: ${reasons.slice(0, MAX_REASONS).join(', ')}${more}`;
  const fingerprints = keys.map(({ fingerprint }) => fingerprint).join(', ');
  const tried = keys.length === 0 ? 'no key is trusted' : `trusted: key ${fingerprints}`;
  return new UntrustedImageError(
    `${image} ${found}; ${tried}; to trust another key, name it with --public-keys FILE or operator.oci.public-keys in the config file`,
    refusals.length === 0 ? {} : { cause: refusals[0] },
  );
}
