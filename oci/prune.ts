/**
 * Takes images out of a layout and frees what nothing refers to any more.
 *
 * Content has no name while it is being pulled or built, and content that is there already may be relied upon
 * without being written again. So whoever does that holds a lease (`Layout.withLease`), which begins only under
 * the lock that freeing holds from its look at the leases to its end: either the lease is seen, and nothing is
 * freed, or it begins after what was freed is gone, and its holder finds it missing and fetches it. Names are
 * taken out before content, so a crash leaves content too much, never too little. Other programs know no leases:
 * for their sake prune spares what was written lately.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Descriptor } from './descriptor.js';
import { ANNOTATION } from './descriptor.js';
import { NotFoundError } from './errors.js';
import { OWNED, living, syncDirectory } from './files.js';
import type { IndexEditor, Layout } from './layout.js';
import { isOwnerAlive, parseOwnedName } from './owner.js';
import { reachable, takeStock } from './reachable.js';

const SPARED_MS = 10 * 60_000;
/** Of other programs, which do not say whose a file is. */
const FOREIGN_LEFTOVER_MS = 24 * 3_600_000;

export interface Freed {
  /** Blobs and unfinished files. */
  count: number;
  sizeBytes: number;
  /** Processes that rely on content without a name; if there are any, no blob was freed. */
  busy: number[];
}

export interface Removed extends Freed {
  /** The names that were taken out, with those of signatures. */
  names: string[];
}

export interface Pruned extends Freed {
  /** Signatures and such of images that are gone; they were taken out. */
  orphans: number;
  /** Blobs without a name that another program may be about to name. */
  spared: number;
}

/**
 * Takes the entries out that `isMeant` says, with what is about them alone, and frees what only they referred to.
 * @param what names them in the error
 * @throws NotFoundError if there are none
 */
export function removeImages(
  layout: Layout,
  isMeant: (name: string, digest: string) => boolean,
  what: string,
): Promise<Removed> {
  return layout.exclusively(async (index) => {
    const before = await takeStock(layout, await index.read());
    const meant = before.held.filter((entry) => isMeant(nameOf(entry) ?? '', entry.digest));
    if (meant.length === 0) throw new NotFoundError(`there is no image ${what} in ${layout.root}`);
    const after = await takeStock(
      layout,
      before.held.filter((entry) => !meant.includes(entry)),
    );
    const gone = [...meant, ...after.orphans];
    await takeOut(index, gone);
    const busy = await leaseholders(layout);
    const kept = await reachable(layout, before.orphans, after.content);
    const candidates = [...before.content.keys()].filter((digest) => !kept.has(digest));
    const freed = busy.length > 0 ? nothing() : await free(layout, candidates);
    return { ...freed, busy, names: gone.flatMap((entry) => nameOf(entry) ?? []) };
  });
}

/** Frees what nothing refers to: blobs, entries about images that are gone, leftovers of dead processes. */
export async function prune(layout: Layout, { dryRun }: { dryRun: boolean }): Promise<Pruned> {
  if ((await layout.list()).length === 0 && (await fileNames(layout.blobsPath)).length === 0) {
    return { ...nothing(), busy: [], orphans: 0, spared: 0 };
  }
  return layout.exclusively(async (index) => {
    const leftovers = await freeLeftovers(layout, dryRun);
    const busy = await leaseholders(layout);
    if (busy.length > 0) return { ...leftovers, busy, orphans: 0, spared: 0 };
    const { orphans, content } = await takeStock(layout, await index.read());
    if (!dryRun && orphans.length > 0) await takeOut(index, orphans);
    const nameless = (await fileNames(layout.blobsPath))
      .filter((name) => /^[0-9a-f]{64}$/.test(name))
      .filter((name) => !content.has(`sha256:${name}`));
    const { old, spared } = await byAge(layout, nameless);
    const blobs = await free(layout, old, dryRun);
    return { ...sum(leftovers, blobs), busy, orphans: orphans.length, spared };
  });
}

async function takeOut(index: IndexEditor, entries: readonly Descriptor[]): Promise<void> {
  const gone = new Set(entries.map(identity));
  await index.change((manifests) => manifests.filter((entry) => !gone.has(identity(entry))));
}

function identity(entry: Descriptor): string {
  return `${entry.digest} ${nameOf(entry) ?? ''}`;
}

function nameOf(entry: Descriptor): string | undefined {
  return entry.annotations?.[ANNOTATION.refName];
}

async function leaseholders(layout: Layout): Promise<number[]> {
  const leases = await living(layout.ingestPath, OWNED.lease);
  return [...new Set(leases.map(({ owner }) => owner.pid))];
}

function nothing(): { count: number; sizeBytes: number } {
  return { count: 0, sizeBytes: 0 };
}

type Tally = ReturnType<typeof nothing>;

function sum(a: Tally, b: Tally): Tally {
  return { count: a.count + b.count, sizeBytes: a.sizeBytes + b.sizeBytes };
}

async function free(layout: Layout, digests: readonly string[], dryRun = false): Promise<Tally> {
  const paths = digests.map((digest) => join(layout.blobsPath, digest.replace(/^sha256:/, '')));
  const freed = await removeFiles(paths, dryRun);
  if (freed.count > 0 && !dryRun) await syncDirectory(layout.blobsPath);
  return freed;
}

async function removeFiles(paths: readonly string[], dryRun: boolean): Promise<Tally> {
  let tally = nothing();
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile() !== true) continue;
    if (!dryRun) await rm(path, { force: true });
    tally = sum(tally, { count: 1, sizeBytes: found.size });
  }
  return tally;
}

/** What other programs wrote lately they may be about to name. */
async function byAge(layout: Layout, names: readonly string[]): Promise<{ old: string[]; spared: number }> {
  const old: string[] = [];
  for (const name of names) {
    if ((await ageMs(join(layout.blobsPath, name))) > SPARED_MS) old.push(name);
  }
  return { old, spared: names.length - old.length };
}

/** In `ingest/`: files of our dead processes, and those of other programs that nobody touched for long. */
async function freeLeftovers(layout: Layout, dryRun: boolean): Promise<Tally> {
  const paths: string[] = [];
  for (const name of await fileNames(layout.ingestPath)) {
    const path = join(layout.ingestPath, name);
    const owner = parseOwnedName(name);
    const leftover =
      owner === undefined ? (await ageMs(path)) > FOREIGN_LEFTOVER_MS : !isOwnerAlive(owner, path);
    if (leftover) paths.push(path);
  }
  return removeFiles(paths, dryRun);
}

async function ageMs(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined ? 0 : Date.now() - found.mtimeMs;
}

async function fileNames(path: string): Promise<string[]> {
  return readdir(path).catch(() => []);
}
