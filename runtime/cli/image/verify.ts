// `ig image verify`: tells whether, and by whom, an image is signed, so that scripts may branch on it.

import type { Descriptor } from '../../../oci/descriptor.js';
import { NotFoundError, UntrustedImageError } from '../../../oci/errors.js';
import type { Layout } from '../../../oci/layout.js';
import { type Reference, parseReference } from '../../../oci/reference.js';
import type { TrustPolicyOptions, Verified } from '../../../oci/signature/policy.js';
import { verifyImage } from '../../../oci/signature/verify.js';
import { type Config, loadConfig } from '../../config/config.js';
import { UsageError, say } from '../fail.js';
import type { VerifyFlags } from './commands.js';
import { printOut, table } from './print.js';
import { openStore } from './store.js';

interface Result extends Verified {
  readonly root: Descriptor;
}

/**
 * Looks in the local store, and in the image's registry if it, or a trusted signature, is not here.
 * Throws UntrustedImageError if nobody trusted has signed it; UsageError, ConfigError or other OciErrors.
 */
export async function verify(image: string, flags: VerifyFlags): Promise<void> {
  if (!['columns', 'json'].includes(flags.output)) {
    throw new UsageError(`--output is columns or json, not ${flags.output}`);
  }
  const reference = parseReference(image);
  const config = await loadConfig(flags);
  for (const warning of config.warnings) say(`Warning: ${warning}`);
  const trust = trustOf(config.trust, flags);
  const store = openStore();
  const stored = await inStore(store, reference);
  const result =
    stored === undefined
      ? await inRegistry(reference, config, trust)
      : await verifyStored(store, reference, stored, config, trust);
  await print(reference, result, flags.output);
}

/** Keys count as before beside an identity given here. */
function trustOf(
  trust: TrustPolicyOptions,
  { certificateIdentity: subject, certificateOidcIssuer: issuer }: VerifyFlags,
): TrustPolicyOptions {
  if (subject === undefined && issuer === undefined) return trust;
  if (subject === undefined || issuer === undefined) {
    throw new UsageError(
      '--certificate-identity and --certificate-oidc-issuer go together: who, and who vouches',
    );
  }
  if (trust.trustedRoot === undefined) {
    throw new UsageError(
      "an identity can be checked only with --trusted-root FILE, sigstore's trusted_root.json",
    );
  }
  return { ...trust, identities: [{ subject, issuer }] };
}

async function inStore(store: Layout, reference: Reference): Promise<Descriptor | undefined> {
  try {
    return await store.resolve(String(reference));
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

/**
 * The image that is here counts, whatever its name means in the registry by now; only signatures may be newer. Of two
 * refusals the one that found a signature tells more.
 */
async function verifyStored(
  store: Layout,
  reference: Reference,
  root: Descriptor,
  config: Config,
  trust: TrustPolicyOptions,
): Promise<Result> {
  try {
    return { root, ...(await verifyImage(store, reference, root, trust)) };
  } catch (refusal) {
    if (!(refusal instanceof UntrustedImageError)) throw refusal;
    try {
      return await inRegistry(reference, config, trust, root);
    } catch (error) {
      throw error instanceof UntrustedImageError && error.cause !== undefined ? error : refusal;
    }
  }
}

/** @param stored the image to look for; what the reference means there, unless given */
async function inRegistry(
  reference: Reference,
  config: Config,
  trust: TrustPolicyOptions,
  stored?: Descriptor,
): Promise<Result> {
  const { RegistryRepository } = await import('../../../oci/registry.js');
  const repository = new RegistryRepository(reference, config.registry);
  try {
    const root = stored ?? (await repository.resolve(String(reference)));
    return { root, ...(await verifyImage(repository, reference, root, trust)) };
  } finally {
    await repository.close();
  }
}

async function print(reference: Reference, { root, form, by }: Result, output: string): Promise<void> {
  const name = String(reference);
  if (output === 'json') {
    await printOut(`${JSON.stringify({ reference: name, digest: root.digest, form, signedBy: by })}\n`);
    return;
  }
  await printOut(
    table([
      ['REFERENCE', 'DIGEST', 'FORM', 'SIGNED BY'],
      [name, root.digest, form, by],
    ]),
  );
}
