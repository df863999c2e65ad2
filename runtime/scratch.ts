// Directories for temporary files: all in one of this process, which the next process removes if this one is killed.

import { lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimes } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeAtEnd } from '../oci/files.js';
import { SIGN_OF_LIFE_MS, isOwnerAlive, ownedName, parseOwnedName } from '../oci/owner.js';

const KIND = 'ig';

let own: string | undefined;

/** A new directory, for its owner's eyes only. Who asked for it removes it; at the end of the process all of them go. */
export function makeScratch(): string {
  own ??= makeOwn();
  return mkdtempSync(join(own, 'x'));
}

function makeOwn(): string {
  const parent = tmpdir();
  const directory = join(parent, ownedName(KIND));
  try {
    removeLeftovers(parent);
    mkdirSync(directory, { mode: 0o700 });
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new Error(
      `there is no place for temporary files (${reason}); set TMPDIR to a directory that has room`,
      {
        cause,
      },
    );
  }
  removeAtEnd(directory);
  const showLife = (): void => {
    const now = new Date();
    utimes(directory, now, now, () => undefined);
  };
  setInterval(showLife, SIGN_OF_LIFE_MS).unref();
  // Compilers, and what starts them, put their files there, too.
  process.env['TMPDIR'] = directory;
  return directory;
}

/** Of this user: nobody else can remove them. */
function removeLeftovers(parent: string): void {
  for (const name of readdirSync(parent)) {
    const owner = parseOwnedName(name);
    if (owner?.kind !== KIND) continue;
    const path = join(parent, name);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found?.isDirectory() !== true || found.uid !== process.getuid?.()) continue;
    if (!isOwnerAlive(owner, path)) rmSync(path, { recursive: true, force: true });
  }
}
