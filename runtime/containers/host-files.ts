// Reads what programs of the host wrote for themselves: bounded, never waiting for a pipe, never through a link.

import { closeSync, constants, existsSync, fstatSync, opendirSync, openSync, readSync } from 'node:fs';
import { parseJson } from './engines/json.js';
import { hostMntns, mntnsOf } from './proc.js';

/** The host's files when this program runs in a container that shows the host's processes; else its own. */
const HOST_ROOT = mntnsOf('self') === hostMntns() ? '' : '/proc/1/root';

function hostPath(path: string): string {
  return path.startsWith('/proc/') ? path : `${HOST_ROOT}${path}`;
}

/** Whether a file or folder is there; quicker than trying to read it. */
export function isThere(path: string): boolean {
  return existsSync(hostPath(path));
}

/** The text of a regular file; undefined when there is none, it is a link, or longer than `maxBytes`. */
export function readText(path: string, maxBytes: number): string | undefined {
  const bytes = readStart(path, maxBytes + 1);
  return bytes === undefined || bytes.length > maxBytes ? undefined : bytes.toString('utf8');
}

/** The JSON of a regular file; undefined as in {@link readText}, and when it is none. */
export function readJson(path: string, maxBytes: number): unknown {
  const text = readText(path, maxBytes);
  return text === undefined ? undefined : parseJson(text);
}

/** The first bytes of a regular file, at most `count`. */
export function readStart(path: string, count: number): Buffer | undefined {
  let file: number;
  try {
    file = openSync(hostPath(path), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch {
    return undefined;
  }
  try {
    const status = fstatSync(file);
    // Files of /proc have no size.
    if (!status.isFile()) return undefined;
    const bytes = Buffer.allocUnsafe(status.size === 0 ? count : Math.min(count, status.size + 1));
    return bytes.subarray(0, readInto(file, bytes));
  } catch {
    return undefined;
  } finally {
    closeSync(file);
  }
}

function readInto(file: number, bytes: Buffer): number {
  let length = 0;
  while (length < bytes.length) {
    const got = readSync(file, bytes, length, bytes.length - length, null);
    if (got === 0) break;
    length += got;
  }
  return length;
}

/** The first names in a folder, at most `max`; none when it cannot be read. */
export function namesIn(folder: string, max: number): string[] {
  const names: string[] = [];
  try {
    const directory = opendirSync(hostPath(folder));
    try {
      for (
        let entry = directory.readSync();
        entry !== null && names.length < max;
        entry = directory.readSync()
      ) {
        names.push(entry.name);
      }
    } finally {
      directory.closeSync();
    }
  } catch {
    // Not there, or out of reach.
  }
  return names;
}
