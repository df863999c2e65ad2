// `ig image sign`: signs an image with a local key, in the local store or, if it is not there, in its registry.

import type { KeyObject } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { Descriptor } from '../../../oci/descriptor.js';
import { InvalidKeyError, NotFoundError } from '../../../oci/errors.js';
import { type Reference, parseReference } from '../../../oci/reference.js';
import { SIGNATURE_FORMS, type SignatureForm } from '../../../oci/signature/policy.js';
import { MAX_KEY_BYTES, readPrivateKey } from '../../../oci/signature/private-key.js';
import { signImage } from '../../../oci/signature/sign.js';
import type { Target } from '../../../oci/target.js';
import { loadConfig } from '../../config/config.js';
import { UsageError, say } from '../fail.js';
import type { SignFlags } from './commands.js';
import { keyPassword } from './key-password.js';
import { printOut } from './print.js';
import { openStore } from './store.js';

/** Throws UsageError, ConfigError or OciError. */
export async function sign(image: string, flags: SignFlags): Promise<void> {
  const reference = parseReference(image);
  const form = formOf(flags.form);
  const key = await loadKey(flags.key);
  const store = openStore();
  const root = await store.resolve(String(reference)).catch((error: unknown) => {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  });
  if (root !== undefined) {
    await signImage(store, reference, root, key, form);
    await tell(reference, root, `in the local store; \`ig image push\` sends the signature along`);
    return;
  }
  await inRegistry(reference, flags, async (repository) => {
    const found = await repository.resolve(String(reference));
    await signImage(repository, reference, found, key, form);
    await tell(reference, found, `in registry ${reference.registry}`);
  });
}

function formOf(text: string): SignatureForm {
  const form = SIGNATURE_FORMS.find((known) => known === text);
  if (form === undefined) throw new UsageError(`--form is ${SIGNATURE_FORMS.join(', ')}, not ${text}`);
  return form;
}

async function loadKey(path: string): Promise<KeyObject> {
  return readPrivateKey(await readKeyFile(path), path, () => keyPassword(path));
}

async function readKeyFile(path: string): Promise<string> {
  try {
    const file = await open(path);
    try {
      const { size } = await file.stat();
      if (size > MAX_KEY_BYTES) throw new InvalidKeyError(`${path} is too large for a private key`);
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof InvalidKeyError) throw error;
    throw new InvalidKeyError(`cannot read the private key ${path} (${(error as Error).message})`, {
      cause: error,
    });
  }
}

async function inRegistry(
  reference: Reference,
  flags: SignFlags,
  action: (repository: Target) => Promise<void>,
): Promise<void> {
  const config = await loadConfig(flags);
  for (const warning of config.warnings) say(`Warning: ${warning}`);
  const { RegistryRepository } = await import('../../../oci/registry.js');
  const repository = new RegistryRepository(reference, config.registry);
  try {
    await action(repository);
  } finally {
    await repository.close();
  }
}

async function tell(reference: Reference, { digest }: Descriptor, where: string): Promise<void> {
  const name = String(reference);
  await printOut(`Signed ${name.endsWith(digest) ? name : `${name}@${digest}`} ${where}\n`);
}
