// Opens the very file that was executed, and no other: by device, inode and ctime, not by its name.

import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import type { FileIdentity, FileToHash, HashFailure } from './file.js';

/** A larger file is not read. */
export const MAX_FILE_BYTES = 256 * 1024 * 1024;

/** include/uapi/asm-generic/fcntl.h; the same on x86-64 and arm64. Node does not name it. */
const O_PATH = 0o10000000;
const { O_NOATIME, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

export interface OpenedFile {
  readonly fd: number;
  readonly state: FileState;
}

/** What a file must still be after it was read. */
export interface FileState {
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  /** Whether it is what a process runs: nobody can write to that. */
  readonly isRunning: boolean;
}

/**
 * Looks for the file where the processes see it. What the name leads to may be anybody's trap, such as a device that
 * does something when it is opened: it is looked at before it is opened.
 */
export function openFile(file: FileToHash): OpenedFile | HashFailure {
  for (const place of placesOf(file)) {
    const fd = tryOpen(place.path, O_PATH | (place.isRunning ? 0 : O_NOFOLLOW));
    if (fd === undefined) continue;
    try {
      const found = open(fd, file, place);
      if (found !== undefined) return found;
    } finally {
      closeSync(fd);
    }
  }
  return 'gone';
}

interface Place {
  readonly path: string | Buffer;
  /** A process that has the place in its mount namespace. */
  readonly pid: number;
  /** Whether it is what that process runs, and not a name. */
  readonly isRunning: boolean;
}

function* placesOf({ path, pids }: FileToHash): Generator<Place> {
  // What a process runs is there even if it was deleted, or never had a name.
  if (pids[0] !== undefined) yield { path: `/proc/${pids[0]}/exe`, pid: pids[0], isRunning: true };
  // The kernel's path of a file has no links in it. One that was too long is cut at its beginning.
  if (path[0] !== '/'.charCodeAt(0)) return;
  for (const pid of pids)
    yield { path: Buffer.concat([Buffer.from(`/proc/${pid}/root`), path]), pid, isRunning: false };
}

/** Opens for reading what the descriptor `at` stands for; undefined when it is another file. */
function open(at: number, file: FileToHash, place: Place): OpenedFile | HashFailure | undefined {
  const found = stateIfSame(at, file, place);
  if (found === undefined) return undefined;
  if (found.sizeBytes > MAX_FILE_BYTES) return 'tooLarge';
  const self = `/proc/self/fd/${at}`;
  // Only its owner, and root, can leave the time of the last access as it is.
  const fd = tryOpen(self, O_RDONLY | O_NONBLOCK | O_NOATIME) ?? tryOpen(self, O_RDONLY | O_NONBLOCK);
  if (fd === undefined) return undefined;
  // On an overlay it may be another file's by now.
  const state = stateIfSame(fd, file, place);
  if (state?.sizeBytes === found.sizeBytes) return { fd, state };
  closeSync(fd);
  return undefined;
}

/** The state of a file of that identity; undefined of any other. */
function stateIfSame(fd: number, file: FileIdentity, { pid, isRunning }: Place): FileState | undefined {
  const stat = fstatSync(fd, { bigint: true });
  const { dev, ino, ctimeNs, mtimeNs, nlink } = stat;
  if (ino !== file.inode || !stat.isFile()) return undefined;
  // To be deleted changes the ctime, too.
  const isDeleted = isRunning && nlink === 0n && mtimeNs <= file.ctimeNs;
  if (ctimeNs !== file.ctimeNs && !isDeleted) return undefined;
  const isThere = isDevice(dev, file) || superblockOf(fd, pid) === `${file.major}:${file.minor}`;
  return isThere ? { sizeBytes: Number(stat.size), mtimeNs, ctimeNs, isRunning } : undefined;
}

/** Whether a file is as it was when it was opened. */
export function isUnchanged(fd: number, { sizeBytes, mtimeNs, ctimeNs, isRunning }: FileState): boolean {
  const stat = fstatSync(fd, { bigint: true });
  const isDeleted = isRunning && stat.nlink === 0n;
  return (
    Number(stat.size) === sizeBytes && stat.mtimeNs === mtimeNs && (stat.ctimeNs === ctimeNs || isDeleted)
  );
}

/** glibc's makedev(): minor in the bits 0–7 and 20–31, major in 8–19 and 32–43. */
function isDevice(dev: bigint, { major, minor }: FileIdentity): boolean {
  return (
    BigInt(major) === (((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xffff_f000n)) &&
    BigInt(minor) === ((dev & 0xffn) | ((dev >> 12n) & 0xffff_ff00n))
  );
}

/**
 * Device of the file system that a descriptor's mount is of: stat(2) tells another for what lies in a subvolume of
 * btrfs, or in a layer of an overlay. Undefined when it cannot be told.
 */
function superblockOf(fd: number, pid: number): string | undefined {
  try {
    const id = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    const mounts = readFileSync(`/proc/${pid}/mountinfo`, 'latin1');
    return id === undefined ? undefined : new RegExp(`^${id} \\d+ (\\d+:\\d+) `, 'm').exec(mounts)?.[1];
  } catch {
    return undefined;
  }
}

function tryOpen(path: string | Buffer, flags: number): number | undefined {
  try {
    return openSync(path, flags);
  } catch {
    return undefined;
  }
}
