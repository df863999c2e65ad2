// The password of a private key: from the environment, or asked for on the terminal without showing it.

import { UsageError } from '../fail.js';
import { ask, canAsk } from '../prompt.js';

/** Ours, and cosign's. */
const VARIABLES = ['IG_KEY_PASSWORD', 'COSIGN_PASSWORD'];

/** The password to open `file` with. Throws UsageError when there is neither a variable nor a terminal. */
export async function keyPassword(file: string): Promise<string> {
  return fromVariable() ?? (await askFor(file, ''));
}

/** The password to protect a new `file` with. Throws UsageError also when it is empty or is not typed twice. */
export async function newKeyPassword(file: string): Promise<string> {
  const given = fromVariable();
  const password = given ?? (await askFor(file, ', or give --no-password'));
  if (password === '') {
    throw new UsageError(
      'an empty password protects no key: give another, or --no-password to leave it unprotected',
    );
  }
  if (given === undefined && (await ask('Once more: ', false)) !== password) {
    throw new UsageError('the two passwords differ, so no key was made');
  }
  return password;
}

function fromVariable(): string | undefined {
  return VARIABLES.map((name) => process.env[name]).find((value) => value !== undefined);
}

async function askFor(file: string, otherWay: string): Promise<string> {
  if (canAsk()) return ask(`Password for ${file}: `, false);
  throw new UsageError(
    `the private key ${file} needs a password: set ${VARIABLES[0]}, or start ig on a terminal${otherWay}`,
  );
}
