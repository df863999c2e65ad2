/** Who is trusted to sign images, as the configuration says it. */

export interface TrustPolicyOptions {
  /** PEM texts of public keys; one text may hold several. */
  publicKeys: readonly string[];
  /** Path of sigstore's `trusted_root.json`: the authorities whose certificates and log entries count. */
  trustedRoot?: string;
  /** Who may sign with a certificate of such an authority. */
  identities?: readonly TrustedIdentity[];
}

export interface TrustedIdentity {
  /** E-mail address or URI of the certificate: exact, or a regular expression in `/…/` for all of it. */
  subject: string;
  /** URL of the OpenID Connect provider that vouched for it, exact. */
  issuer: string;
}

export interface Verified {
  form: SignatureForm;
  /** `key FINGERPRINT` (SHA-256 of the SPKI, in hex) or `SUBJECT (ISSUER)`. */
  by: string;
}

/**
 * How a signature is kept beside its image: as the tag `sha256-HEX.sig` (all versions of cosign), as an OCI 1.1
 * referrer with the same content, or as a referrer with a sigstore bundle (what cosign 3 writes by itself).
 */
export type SignatureForm = 'tag' | 'referrer' | 'bundle';

export const SIGNATURE_FORMS: readonly SignatureForm[] = ['tag', 'referrer', 'bundle'];
