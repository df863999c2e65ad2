// `ig image generate-key`: makes a key pair to sign images with.

import { rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { InvalidKeyError, errorCode } from '../../../oci/errors.js';
import { generateKeyPair } from '../../../oci/signature/private-key.js';
import type { GenerateKeyFlags } from './commands.js';
import { newKeyPassword } from './key-password.js';
import { printOut } from './print.js';

/** Writes NAME.key and NAME.pub, neither of which may exist. Throws InvalidKeyError or UsageError. */
export async function generateKey({ output, password }: GenerateKeyFlags): Promise<void> {
  const privateFile = `${output}.key`;
  const publicFile = `${output}.pub`;
  // Before anybody thinks of a password.
  for (const file of [privateFile, publicFile]) if (existsSync(file)) throw alreadyThere(file);
  const pair = await generateKeyPair(password ? await newKeyPassword(privateFile) : undefined);
  await write(privateFile, pair.privateKey, 0o600);
  try {
    await write(publicFile, pair.publicKey, 0o644);
  } catch (error) {
    await rm(privateFile);
    throw error;
  }
  await printOut(
    `Private key in ${privateFile}, public key in ${publicFile} (fingerprint ${pair.fingerprint})\n`,
  );
}

async function write(file: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx', mode });
  } catch (error) {
    if (errorCode(error) === 'EEXIST') throw alreadyThere(file);
    throw new InvalidKeyError(`cannot write the key ${file} (${(error as Error).message})`, { cause: error });
  }
}

function alreadyThere(file: string): InvalidKeyError {
  return new InvalidKeyError(
    `${file} is there already, and a key is never overwritten: name another with --output`,
  );
}
