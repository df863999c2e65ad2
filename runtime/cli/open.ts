// Finds gadgets and filters as flags and configuration say.

import { isatty } from 'node:tty';
import type { Progress } from '../../oci/target.js';
import type { FilterModule } from '../guest.js';
import type { OpenOptions } from '../session.js';
import { say } from './fail.js';
import type { ImageFlags } from './image-flags.js';
import { type WasmFlags, openFilters } from './wasm-flags.js';

export interface OpenFlags extends ImageFlags, WasmFlags {
  readonly ociStoreUser?: boolean;
  readonly validateMetadata?: boolean;
  readonly verbose?: boolean;
}

/** Where images come from, and which may be used. Throws ConfigError. */
export async function openOptions(flags: OpenFlags): Promise<OpenOptions> {
  const { loadConfig } = await import('../config/config.js');
  const config = await loadConfig(flags);
  for (const warning of config.warnings) say(`Warning: ${warning}`);
  return {
    config,
    ...(flags.ociStoreUser === true ? { storePath: await callersStore() } : {}),
    validateMetadata: flags.validateMetadata ?? true,
    ...(isatty(2) ? { showPull } : {}),
  };
}

/** The filters that the flags name, in order. */
export async function filtersOf(
  flags: OpenFlags,
  options: () => Promise<OpenOptions>,
): Promise<FilterModule[]> {
  return openFilters(flags, async (name) => {
    const { openFilter } = await import('../filter.js');
    return openFilter(name, {
      ...(await options()),
      verbose: flags.verbose ?? false,
      compilerSays: (text) => process.stderr.write(text),
    });
  });
}

async function callersStore(): Promise<string> {
  const { callersStorePath } = await import('./callers-store.js');
  return callersStorePath();
}

async function showPull<T>(pull: (progress: Progress) => Promise<T>): Promise<T> {
  const { openProgress } = await import('./image/progress.js');
  const progress = await openProgress();
  try {
    return await pull(progress);
  } finally {
    progress.close();
  }
}
