// Keeps transpiled components in files, so that a gadget starts without the transpiler the next time.

import { createHash, randomBytes } from 'node:crypto';
import { constants, mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { TRANSPILER_VERSION, type Transpiled } from './transpile.js';

const DIGEST_SIZE = 32;
/** Longer than a write takes; a writer that is later finds its file gone, and its entry is made the next time. */
const LEFTOVER_MS = 60_000;

/**
 * The entry for a component's digest (hex), or undefined when there is none that can be trusted: one whose content
 * or component does not have the digest it starts with, or that another user could have written.
 */
export async function readCached(directory: string, digest: string): Promise<Transpiled | undefined> {
  try {
    const entry = await readPrivate(join(directory, fileName(digest)));
    if (entry === undefined) return undefined;
    const content = entry.subarray(DIGEST_SIZE);
    if (!checksum(digest, content).equals(entry.subarray(0, DIGEST_SIZE))) return undefined;
    return deserialize(content) as Transpiled;
  } catch {
    return undefined;
  }
}

/** Stores an entry: whole or not at all. Throws when the directory cannot be written. */
export async function writeCached(directory: string, digest: string, transpiled: Transpiled): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const content = serialize(transpiled);
  await removeLeftovers(directory);
  const temporary = join(directory, `.${randomBytes(8).toString('hex')}`);
  try {
    await writeFile(temporary, Buffer.concat([checksum(digest, content), content]), {
      mode: 0o644,
      flag: 'wx',
    });
    await rename(temporary, join(directory, fileName(digest)));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Removes what writers that were killed have left. */
async function removeLeftovers(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!/^\.[0-9a-f]{16}$/.test(name)) continue;
    const path = join(directory, name);
    const { mtimeMs } = await stat(path);
    if (Date.now() - mtimeMs > LEFTOVER_MS) await rm(path, { force: true });
  }
}

function fileName(digest: string): string {
  return `${digest}-${TRANSPILER_VERSION}`;
}

/** The content of a file that nobody but us and root can write: what is in it will be run. */
async function readPrivate(path: string): Promise<Buffer | undefined> {
  // Without waiting: a pipe of this name would have no end.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = await file.stat();
    const { uid, mode } = stat;
    if (!stat.isFile()) return undefined;
    if ((uid !== 0 && uid !== process.getuid?.()) || (mode & 0o022) !== 0) return undefined;
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** Of the component, too: an entry under the name of another is of no use. */
function checksum(digest: string, content: Uint8Array): Buffer {
  return createHash('sha256').update(digest).update(content).digest();
}
