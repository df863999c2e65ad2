/** Signs an image with a local key, in a form that cosign verifies. */
import { sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Descriptor } from '../descriptor.js';
import type { Reference } from '../reference.js';
import { withLease } from '../target.js';
import type { Target } from '../target.js';
import { attachBundle, makeStatement } from './bundle.js';
import { describeKey, hashOf } from './keys.js';
import type { SignatureForm } from './policy.js';
import { attachSignature } from './referrer.js';
import { makePayload, pushPayload } from './simple-signing.js';
import { addToTag } from './tag.js';

/**
 * Signs the image `root`, which is in `target`; its other signatures stay.
 * @throws InvalidKeyError if the key is of a kind that does not sign images, or what the target throws
 */
export async function signImage(
  target: Target,
  reference: Reference,
  root: Descriptor,
  privateKey: KeyObject,
  form: SignatureForm,
): Promise<void> {
  await withLease(target, () => addSignature(target, reference, root, privateKey, form));
}

async function addSignature(
  target: Target,
  reference: Reference,
  root: Descriptor,
  privateKey: KeyObject,
  form: SignatureForm,
): Promise<void> {
  const { fingerprint } = describeKey(privateKey);
  if (form === 'bundle') {
    const { payload, signedBytes } = makeStatement(root.digest);
    const signature = sign(hashOf(privateKey), signedBytes, privateKey);
    await attachBundle(target, root, payload, signature, fingerprint);
    return;
  }
  const payload = makePayload(reference, root.digest);
  const layer = await pushPayload(target, payload, sign(hashOf(privateKey), payload, privateKey));
  if (form === 'tag') await addToTag(target, reference, root, [layer]);
  else await attachSignature(target, root, layer);
}
