/** Signatures of images: who signed one, signing one, and carrying signatures along. */
export { copySignatures } from './copy.js';
export { INSPEKTOR_GADGET_PUBLIC_KEY } from './default-key.js';
export type { SignatureForm, TrustPolicyOptions, TrustedIdentity, Verified } from './policy.js';
export { SIGNATURE_FORMS } from './policy.js';
export { signImage } from './sign.js';
export { verifyImage } from './verify.js';
