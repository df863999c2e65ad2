// Which files a pipeline knows the hashes of: bounded, and found without allocating anything.

import type { FileIdentity, HashedFile, HashFailure } from '../hashing/file.js';
import { Text } from '../operators/text.js';

/** As many files as a busy machine executes in a while. Files whose hashes would stand in one row push each other out. */
const ROWS = 1024;
const FILES_IN_ROW = 8;
/**
 * File systems that do not keep times of their own (of images, such as squashfs) have no fractions of seconds; another
 * one, mounted in the same place, may show another file by the same device, inode and ctime.
 */
const DOUBTFUL_MS = 10_000;

/** A file, by numbers that stand in a record: 64-bit ones in halves. */
export interface FileKey {
  major: number;
  minor: number;
  inodeLow: number;
  inodeHigh: number;
  ctimeLow: number;
  ctimeHigh: number;
}

export interface KnownFile extends Readonly<FileKey> {
  /** Undefined while it is being hashed. */
  outcome: Text | HashFailure | undefined;
  /** From when on it has to be hashed again. */
  validUntilMs: number;
  lastUse: number;
}

export class HashTable {
  private readonly files = new Array<KnownFile | undefined>(ROWS * FILES_IN_ROW).fill(undefined);
  private uses = 0;

  clear(): void {
    this.files.fill(undefined);
  }

  find(key: FileKey): KnownFile | undefined {
    const start = rowOf(key) * FILES_IN_ROW;
    for (let i = start; i < start + FILES_IN_ROW; i++) {
      const file = this.files[i];
      if (file !== undefined && isSame(file, key)) {
        file.lastUse = ++this.uses;
        return file;
      }
    }
    return undefined;
  }

  /** A file that is now being hashed. Undefined when so many are that there is no room. */
  add(
    { major, minor, inodeLow, inodeHigh, ctimeLow, ctimeHigh }: FileKey,
    nowMs: number,
  ): KnownFile | undefined {
    const key = { major, minor, inodeLow, inodeHigh, ctimeLow, ctimeHigh };
    const place = this.placeFor(key);
    if (place === undefined) return undefined;
    const isDoubtful = identityOf(key).ctimeNs % 1_000_000_000n === 0n;
    const validUntilMs = isDoubtful ? nowMs + DOUBTFUL_MS : Infinity;
    return (this.files[place] = { ...key, outcome: undefined, validUntilMs, lastUse: ++this.uses });
  }

  /** Its own place, an empty one, or that of the file that was used least lately. */
  private placeFor(key: FileKey): number | undefined {
    const start = rowOf(key) * FILES_IN_ROW;
    let oldest: number | undefined;
    let use = Infinity;
    for (let i = start; i < start + FILES_IN_ROW; i++) {
      const file = this.files[i];
      if (file === undefined || isSame(file, key)) return i;
      if (file.outcome === undefined || file.lastUse >= use) continue;
      [oldest, use] = [i, file.lastUse];
    }
    return oldest;
  }

  /** What came of a file that was hashed. */
  settle(hashed: HashedFile): void {
    const file = this.find(keyOf(hashed));
    if (file?.outcome !== undefined || file === undefined) return;
    file.outcome = 'sha256' in hashed ? new Text(hashed.sha256) : hashed.failure;
  }
}

function isSame(a: FileKey, b: FileKey): boolean {
  return (
    a.inodeLow === b.inodeLow &&
    a.ctimeLow === b.ctimeLow &&
    a.ctimeHigh === b.ctimeHigh &&
    a.inodeHigh === b.inodeHigh &&
    a.minor === b.minor &&
    a.major === b.major
  );
}

/** https://en.wikipedia.org/wiki/Hash_function#Multiplicative_hashing */
function rowOf({ minor, inodeLow, ctimeLow }: FileKey): number {
  const mixed = Math.imul(
    inodeLow ^ Math.imul(ctimeLow ^ Math.imul(minor, 0x9e3779b1), 0x85ebca6b),
    0xc2b2ae35,
  );
  return (mixed >>> 16) % ROWS;
}

export function identityOf(key: FileKey): FileIdentity {
  const { major, minor, inodeLow, inodeHigh, ctimeLow, ctimeHigh } = key;
  const inode = (BigInt(inodeHigh) << 32n) | BigInt(inodeLow);
  return { major, minor, inode, ctimeNs: (BigInt(ctimeHigh) << 32n) | BigInt(ctimeLow) };
}

function keyOf({ major, minor, inode, ctimeNs }: FileIdentity): FileKey {
  return {
    ...{ major, minor },
    inodeLow: Number(inode & 0xffff_ffffn),
    inodeHigh: Number(inode >> 32n),
    ctimeLow: Number(ctimeNs & 0xffff_ffffn),
    ctimeHigh: Number(ctimeNs >> 32n),
  };
}
