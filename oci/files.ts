/** Durable, atomic file writes, and locks and leases between processes, for the layout store. */
import { rmSync, unlinkSync } from 'node:fs';
import { open, readdir, rename, rm, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreError, errorCode } from './errors.js';
import { SIGN_OF_LIFE_MS, isOwnerAlive, ownedName, parseOwnedName } from './owner.js';
import type { OwnedFile } from './owner.js';

const LOCK_TIMEOUT_MS = 30_000;

/** What the files of this program in a layout's `ingest/` are. */
export const OWNED = {
  /** Content that is being written. */
  temporary: 'tmp',
  /** Asks for the lock, or holds it. */
  lock: 'lock',
  /** Held while content is relied upon that has no name yet. */
  lease: 'lease',
} as const;

/** Temporary files and directories of this process. */
const unfinished = new Set<string>();
const DEADLY = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A process that a signal ends, or that exits, comes to no `catch`: until `forget`, `temporary` is removed then, too. */
export function removeAtEnd(temporary: string): void {
  unfinished.add(temporary);
  if (unfinished.size > 1) return;
  for (const signal of DEADLY) process.on(signal, endBy);
  process.on('exit', removeUnfinished);
}

function forget(temporary: string): void {
  unfinished.delete(temporary);
  if (unfinished.size > 0) return;
  for (const signal of DEADLY) process.off(signal, endBy);
  process.off('exit', removeUnfinished);
}

function endBy(signal: NodeJS.Signals): void {
  // Whoever else listens says how the process ends.
  if (process.listenerCount(signal) > 1) return;
  removeUnfinished();
  process.off(signal, endBy);
  process.kill(process.pid, signal);
}

function removeUnfinished(): void {
  for (const path of unfinished) rmSync(path, { recursive: true, force: true });
}

/**
 * Writes `content` to a temporary file in `temporaryDirectory` (same file system), syncs it, and renames it to
 * `path`: readers see the old file or the whole new one, also after a crash. Nothing is left behind when
 * `content` or `beforeRename` throws, or a signal that can be caught ends the process.
 */
export async function writeAtomically(
  path: string,
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  temporaryDirectory: string,
  beforeRename: () => Promise<void> = () => Promise.resolve(),
  mode = 0o644,
): Promise<void> {
  const temporary = join(temporaryDirectory, ownedName(OWNED.temporary));
  removeAtEnd(temporary);
  try {
    // Content may be slow to come.
    await whileHeld(temporary, async () => {
      const file = await open(temporary, 'wx', mode);
      try {
        for await (const chunk of content) await file.writeFile(chunk);
        await file.sync();
      } finally {
        await file.close();
      }
      await beforeRename();
      await rename(temporary, path);
    });
  } finally {
    forget(temporary);
  }
  await syncDirectory(dirname(path));
}

/** Makes what was created in, renamed to or removed from the directory survive a crash. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/**
 * Runs `action` while no other process runs one with the lock of `directory`.
 *
 * Who wants the lock puts a file of its own there and has the lock if it then sees no other's. Of two that do so
 * at once the later listing shows both files, so never both have it; who came later withdraws. A file
 * counts only while its process lives, so a process that was killed holds up nobody.
 * @throws StoreError when another process does not give the lock up
 */
export async function withLock<T>(directory: string, action: () => Promise<T>): Promise<T> {
  const path = await acquire(directory);
  return whileHeld(path, action);
}

async function acquire(directory: string): Promise<string> {
  const deadlineMs = Date.now() + LOCK_TIMEOUT_MS;
  const name = ownedName(OWNED.lock);
  const order = parseOwnedName(name)?.order ?? '';
  const path = join(directory, name);
  let announced = false;
  try {
    for (;;) {
      const others = (await living(directory, OWNED.lock)).filter((other) => other.name !== name);
      if (announced && others.length === 0) return path;
      if (others.length > 0 && Date.now() > deadlineMs) throw locked(directory, others[0]);
      const first = others.every(({ owner }) => order < owner.order);
      if (first && !announced) await (await open(path, 'wx', 0o644)).close();
      else if (!first && announced) await rm(path, { force: true });
      announced = first;
      if (others.length > 0) await sleep(5 + Math.random() * 15);
    }
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

function locked(directory: string, holder: LivingFile | undefined): StoreError {
  const who = holder === undefined ? 'another process' : `process ${holder.owner.pid}`;
  return new StoreError(
    `${who} has held the lock of ${dirname(directory)} for ${LOCK_TIMEOUT_MS / 1000} s; wait for it, or stop it`,
  );
}

/**
 * Runs `action` while a file in `directory` tells others that this process relies on content that has no name.
 * @param guard runs what it is given when no content is being freed
 */
export async function withLease<T>(
  directory: string,
  guard: (create: () => Promise<void>) => Promise<void>,
  action: () => Promise<T>,
): Promise<T> {
  const path = join(directory, ownedName(OWNED.lease));
  await guard(async () => (await open(path, 'wx', 0o644)).close());
  return whileHeld(path, action);
}

/** Shows life in the file at `path` until `action` ends, then removes it, if it still has that name. */
async function whileHeld<T>(path: string, action: () => Promise<T>): Promise<T> {
  const showLife = (): void => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  };
  const timer = setInterval(showLife, SIGN_OF_LIFE_MS);
  timer.unref();
  try {
    return await action();
  } finally {
    clearInterval(timer);
    await rm(path, { force: true });
  }
}

export interface LivingFile {
  name: string;
  owner: OwnedFile;
}

/** The files of `kind` in `directory` whose processes live; those of dead processes are removed on the way. */
export async function living(directory: string, kind: string): Promise<LivingFile[]> {
  const found: LivingFile[] = [];
  for (const name of await readdir(directory)) {
    const owner = parseOwnedName(name);
    if (owner?.kind !== kind) continue;
    const path = join(directory, name);
    if (isOwnerAlive(owner, path)) found.push({ name, owner });
    else removeQuietly(path);
  }
  return found;
}

/** Removes what processes of ours that were killed have left in `directory`. */
export async function removeLeftovers(directory: string): Promise<void> {
  for (const kind of Object.values(OWNED)) await living(directory, kind);
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    // Another process was faster, or it is another user's: that it is dead is known either way.
    if (!['ENOENT', 'EPERM', 'EACCES'].includes(errorCode(error) ?? '')) throw error;
  }
}
