// The password of a private key: from the environment, or asked for on the terminal without showing it.

import { UsageError } from '../fail.js';

/** Ours, and cosign's. */
const VARIABLES = ['IG_KEY_PASSWORD', 'COSIGN_PASSWORD'];
const MAX_PASSWORD_LENGTH = 1024;
const CTRL_C = '\x03';
const CTRL_D = '\x04';

/**
 * The password to open `file` with, or, with `twice`, to protect a new one with.
 * Throws UsageError when there is neither a variable nor a terminal, or when what is typed differs.
 */
export async function keyPassword(file: string, { twice = false } = {}): Promise<string> {
  const given = VARIABLES.map((name) => process.env[name]).find((value) => value !== undefined);
  if (given !== undefined) return given;
  if (!process.stdin.isTTY) {
    const way = `set ${VARIABLES[0]}, or start ig on a terminal`;
    throw new UsageError(
      `the private key ${file} needs a password: ${way}${twice ? ', or give --no-password' : ''}`,
    );
  }
  const password = await ask(`Password for ${file}: `);
  if (twice && (await ask(`Once more: `)) !== password) {
    throw new UsageError('the two passwords differ, so no key was made');
  }
  return password;
}

/** Reads a line that is not shown. Ctrl-C and Ctrl-D end the question. */
async function ask(question: string): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(question);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stdin.resume();
  try {
    return await new Promise<string>((resolve, reject) => {
      let typed = '';
      const onData = (text: string): void => {
        for (const character of text) {
          if (character === CTRL_C || character === CTRL_D) return end(() => reject(cancelled()));
          if (character === '\r' || character === '\n') return end(() => resolve(typed));
          if (character === '\x7f' || character === '\b') typed = [...typed].slice(0, -1).join('');
          else if (typed.length < MAX_PASSWORD_LENGTH) typed += character;
        }
      };
      const onEnd = (): void => end(() => reject(cancelled()));
      const end = (settle: () => void): void => {
        stdin.off('data', onData).off('end', onEnd);
        settle();
      };
      stdin.on('data', onData).on('end', onEnd);
    });
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}

function cancelled(): UsageError {
  return new UsageError('no password was given');
}
