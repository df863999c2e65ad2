// Prepares a gadget's Wasm component on the main thread, for any number of instances in a worker.

import { createHash } from 'node:crypto';
import { readCached, writeCached } from './cache.js';
import { compileCore } from './compile.js';
import { InvalidModuleError } from './errors.js';
import { capMemory, hasMemory } from './memory-cap.js';
import { moduleForm } from './module-form.js';
import { type Transpiled, transpile } from './transpile.js';

export const DEFAULT_MEMORY_MAX_BYTES = 64 * 1024 * 1024;

export interface PrepareOptions {
  /** Directories of transpiled components; all are read, the first is written. */
  readonly cacheDirs: readonly string[];
  /** The most memory that each of the component's core modules can have. */
  readonly memoryMaxBytes?: number;
}

/** A component ready to be instantiated. Can be posted to a worker. */
export interface PreparedGuest {
  /** SHA-256 of the component, in hex. */
  readonly digest: string;
  readonly source: string;
  readonly modules: readonly PreparedCoreModule[];
}

/** One core module of a component. */
export interface PreparedCoreModule {
  readonly name: string;
  readonly module: WebAssembly.Module;
  /** Whether each of its instances has a memory of its own. */
  readonly hasMemory: boolean;
}

/**
 * Checks, transpiles (or takes from the cache) and compiles a component.
 * Throws InvalidModuleError when it is none, imports anything, or does not export our interface.
 */
export async function prepareComponent(bytes: Uint8Array, options: PrepareOptions): Promise<PreparedGuest> {
  if (moduleForm(bytes) !== 'component') {
    throw new InvalidModuleError("the gadget's Wasm module is a core module, not a component");
  }
  const digest = createHash('sha256').update(bytes).digest('hex');
  const { source, modules } = await cachedOrTranspiled(bytes, digest, options.cacheDirs);
  const memoryMaxBytes = options.memoryMaxBytes ?? DEFAULT_MEMORY_MAX_BYTES;
  return {
    digest,
    source,
    modules: await Promise.all(
      modules.map(async ({ name, bytes }) => ({
        name,
        module: await compileCore(capMemory(bytes, memoryMaxBytes)),
        hasMemory: hasMemory(bytes),
      })),
    ),
  };
}

async function cachedOrTranspiled(
  bytes: Uint8Array,
  digest: string,
  cacheDirs: readonly string[],
): Promise<Transpiled> {
  for (const directory of cacheDirs) {
    const cached = await readCached(directory, digest);
    if (cached !== undefined) return cached;
  }
  const transpiled = await transpile(bytes);
  if (cacheDirs[0] !== undefined) {
    // The cache only saves time: a directory that cannot be written costs it again at the next start.
    await writeCached(cacheDirs[0], digest, transpiled).catch(() => undefined);
  }
  return transpiled;
}
