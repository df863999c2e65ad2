/** Durable, atomic file writes and a lock between processes, for the layout store. */
import { randomBytes } from 'node:crypto';
import { link, open, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreError, errorCode } from './errors.js';

/** The lock is held for milliseconds; one this old belongs to a process that died. */
const STALE_LOCK_MS = 10_000;
const LOCK_TIMEOUT_MS = 30_000;

/**
 * Writes `content` to a temporary file in `temporaryDirectory` (same file system), syncs it, and renames it to
 * `path`: readers see the old file or the whole new one, also after a crash. Nothing is left behind when
 * `content` or `beforeRename` throws.
 */
export async function writeAtomically(
  path: string,
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  temporaryDirectory: string,
  beforeRename: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const temporary = join(temporaryDirectory, uniqueName());
  try {
    const file = await open(temporary, 'wx', 0o644);
    try {
      for await (const chunk of content) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await beforeRename();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/**
 * Runs `action` while holding the lock file `path`.
 * @throws StoreError when another process does not give the lock up
 */
export async function withLock<T>(path: string, action: () => Promise<T>): Promise<T> {
  const deadlineMs = Date.now() + LOCK_TIMEOUT_MS;
  while (!(await tryLock(path))) {
    if (Date.now() > deadlineMs) {
      throw new StoreError(`the store is locked by another process; if none is running, remove ${path}`);
    }
    await breakStaleLock(path);
    await sleep(10 + Math.random() * 20);
  }
  try {
    return await action();
  } finally {
    await rm(path, { force: true });
  }
}

async function tryLock(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o644);
    await file.close();
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Two waiters may see the same stale lock: the slower one then moves a fresh lock, notices, and puts it back. */
async function breakStaleLock(path: string): Promise<void> {
  const seen = await stat(path).catch(() => undefined);
  if (seen === undefined || Math.abs(Date.now() - seen.mtimeMs) < STALE_LOCK_MS) return;
  const aside = `${path}.${uniqueName()}`;
  try {
    await rename(path, aside);
  } catch {
    return; // another waiter was faster
  }
  const moved = await stat(aside);
  if (moved.ino !== seen.ino || moved.mtimeMs !== seen.mtimeMs)
    await link(aside, path).catch(() => undefined);
  await unlink(aside);
}

function uniqueName(): string {
  return `${process.pid}-${randomBytes(6).toString('hex')}.tmp`;
}
