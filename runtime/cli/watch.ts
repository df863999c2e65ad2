// `ig run --watch`: builds the Wasm parts of folders again when their sources change, and has them go on in place.

import { type FSWatcher, lstatSync, readdirSync, watch } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import type { FilterModule } from '../guest.js';
import type { Session } from '../session.js';
import { isSourceFolder } from '../source-folder.js';
import { say } from './fail.js';

/** Editors write a file in several steps, and several files at once. */
const SETTLE_MS = 150;
/** Folders that tools write into while they build, or that hold no sources. */
const NO_SOURCES = /^(?:\.git|node_modules|target|build|dist)$/;
/** What editors leave beside a file. */
const SCRATCH_FILE = /^\.|~$|\.sw[a-z]$|^4913$|^#.*#$/;

interface Watched {
  /** A folder of sources, or a file. */
  readonly path: string;
  /** Called when something changed, never twice at the same time. */
  readonly changed: (files: readonly string[]) => Promise<void>;
}

/** Watches until the returned function is called. Throws when a path cannot be watched. */
function watchSources(watched: readonly Watched[], failed: (error: Error) => void): () => void {
  const watchers = watched.map((one) => new SourceWatcher(one, failed));
  return () => {
    for (const watcher of watchers) watcher.close();
  };
}

class SourceWatcher {
  private readonly watched: Watched;
  /** The folder of a file: an editor or a compiler may put another file in its place. */
  private readonly root: string;
  private readonly isRelevant: (file: string) => boolean;
  private readonly failed: (error: Error) => void;
  /** By the folder, relative to the root. */
  private readonly watchers = new Map<string, FSWatcher>();
  private readonly files = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private busy = false;

  constructor(watched: Watched, failed: (error: Error) => void) {
    const isFile = watched.path.endsWith('.wasm');
    this.watched = watched;
    this.root = isFile ? dirname(watched.path) : watched.path;
    this.isRelevant = isFile ? (file) => file === basename(watched.path) : isSource;
    this.failed = failed;
    this.watch('', !isFile);
  }

  /**
   * Watches a folder and, if it is to go `deep`, those in it one by one: of `recursive` Node.js 20 makes a watch of each
   * file, which knows nothing more of it once another file has been put in its place.
   */
  private watch(folder: string, deep: boolean): void {
    const path = join(this.root, folder);
    const watcher = watch(path, (event, name) => {
      const file = join(folder, name ?? '');
      if (name === null || !this.isRelevant(file)) return;
      if (deep && event === 'rename') this.watchAnew(file);
      this.files.add(file);
      this.wait();
    });
    watcher.on('error', this.failed);
    this.watchers.set(folder, watcher);
    if (!deep) return;
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const inner = join(folder, entry.name);
      if (entry.isDirectory() && isSource(inner)) this.watch(inner, deep);
    }
  }

  /** Takes in that something came, went or has another name: a folder, perhaps. */
  private watchAnew(file: string): void {
    for (const [folder, watcher] of this.watchers) {
      if (folder !== file && !folder.startsWith(file + sep)) continue;
      watcher.close();
      this.watchers.delete(folder);
    }
    try {
      if (lstatSync(join(this.root, file)).isDirectory()) this.watch(file, true);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.failed(error as Error);
    }
  }

  private wait(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.run(), SETTLE_MS);
  }

  private async run(): Promise<void> {
    if (this.busy) {
      this.wait();
      return;
    }
    this.busy = true;
    const files = [...this.files];
    this.files.clear();
    await this.watched.changed(files);
    this.busy = false;
  }

  close(): void {
    clearTimeout(this.timer);
    for (const watcher of this.watchers.values()) watcher.close();
  }
}

function isSource(file: string): boolean {
  const parts = file.split(sep);
  return !parts.some((part) => NO_SOURCES.test(part) || SCRATCH_FILE.test(part));
}

/** Parts of a gadget that cannot change while it runs; headers in `wasm` are those of the Wasm part. */
const FIXED_PART = /\.bpf\.[co]$|^(?!wasm\/).*\.h$|^(?:gadget|build)\.yaml$/;

export interface WatchRequest {
  readonly session: Pick<Session, 'swap'>;
  /** As the user gave it: watched when it is a folder of sources. */
  readonly image: string;
  readonly filters: readonly string[];
  readonly reopenFilters: () => Promise<readonly FilterModule[]>;
}

/** Whether there is anything to watch among what the user named. */
export function isWatchable(name: string): boolean {
  return name.endsWith('.wasm') || isSourceFolder(name);
}

/** Builds what a swap takes. */
type ModulesMaker = () => Promise<Parameters<Session['swap']>[0]>;

/** Takes in changed sources until the returned function is called. Says on stderr what came of each change. */
export function followSources(request: WatchRequest): () => void {
  const { session, image, filters, reopenFilters } = request;
  let isOver = false;
  let last = Promise.resolve();
  const swapNow = async (what: string, modules: ModulesMaker): Promise<void> => {
    if (isOver) return;
    try {
      await session.swap(await modules());
      say(`${what} is built again and runs.`);
    } catch (error) {
      if (isOver) return;
      say(`Error: ${error instanceof Error ? error.message : String(error)}; the module that runs stays`);
    }
  };
  /** One after the other: several sources may change at once. */
  const swap = (what: string, modules: ModulesMaker): Promise<void> =>
    (last = last.then(() => swapNow(what, modules)));
  const watched: Watched[] = filters.filter(isWatchable).map((path) => ({
    path,
    changed: () => swap(`Filter ${path}`, async () => ({ wasmFilters: await reopenFilters() })),
  }));
  if (isSourceFolder(image)) {
    const changed = async (files: readonly string[]): Promise<void> => {
      const fixed = files.filter((file) => FIXED_PART.test(file));
      if (fixed.length > 0) say(`${fixed.join(', ')} changed: start ig again to take that in.`);
      if (fixed.length < files.length) await swap(`The module of ${image}`, () => buildModule(image));
    };
    watched.push({ path: image, changed });
  }
  const unwatch = watchSources(watched, (error) =>
    say(`Warning: sources are not watched any more: ${error.message}`),
  );
  return () => {
    isOver = true;
    unwatch();
  };
}

async function buildModule(path: string): Promise<{ wasm: Uint8Array }> {
  const [{ buildWasmPart }, { cacheDirs }, { showBuild }] = await Promise.all([
    import('../build/gadget.js'),
    import('../guest.js'),
    import('./show-build.js'),
  ]);
  const options = { cacheDir: cacheDirs()[0], validate: true };
  const { bytes } = await showBuild((listener) => buildWasmPart(path, options, listener));
  return { wasm: bytes };
}
