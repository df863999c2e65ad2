// Wasm modules on their way into a pipeline: what every kind of run does with them.

import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { PreparedGuest } from '../wasm/host/component.js';
import type { PreparedCore } from '../wasm/host/core/prepare.js';
import { LOG_LEVEL } from '../wasm/host/core/services.js';
import { WasmError } from '../wasm/host/errors.js';
import { moduleForm } from '../wasm/host/module-form.js';
import type { ModuleConfig } from './pipeline/messages.js';
import { GADGETS_MODULE, called } from './pipeline/module-name.js';

export type Guest = PreparedGuest | PreparedCore;

/** What a Wasm module may use. */
export interface GuestLimits {
  /** How long it may work on one batch. */
  readonly budgetMs: number;
  /** The most memory that each of its core modules can have. */
  readonly memoryMaxBytes: number;
}

export const DEFAULT_GUEST_LIMITS: GuestLimits = { budgetMs: 2000, memoryMaxBytes: 64 * 1024 * 1024 };

/** A module to run after the gadget's own. */
export interface FilterModule {
  /** As the user named it. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly params: readonly (readonly [key: string, value: string])[];
}

/** Throws InvalidModuleError. */
export async function prepareGuest(
  wasm: Uint8Array | undefined,
  limits: GuestLimits = DEFAULT_GUEST_LIMITS,
): Promise<Guest | undefined> {
  return wasm === undefined ? undefined : prepare(wasm, limits);
}

async function prepare(wasm: Uint8Array, { memoryMaxBytes }: GuestLimits): Promise<Guest> {
  if (moduleForm(wasm) === 'core') {
    const { prepareCore } = await import('../wasm/host/core/prepare.js');
    return prepareCore(wasm, { memoryMaxBytes });
  }
  const { prepareComponent } = await import('../wasm/host/component.js');
  return prepareComponent(wasm, { cacheDirs: cacheDirs(), memoryMaxBytes });
}

/** The gadget's own module as a pipeline takes it. */
export function gadgetsModule(
  guest: Guest,
  more: Pick<ModuleConfig, 'params' | 'maps' | 'logLevel'>,
): ModuleConfig {
  return { ...more, name: GADGETS_MODULE, role: 'gadget', guest, enabled: true };
}

/** The user's filters as a pipeline takes them. Throws InvalidModuleError, naming the filter. */
export async function filterModules(
  filters: readonly FilterModule[],
  limits: GuestLimits,
  logLevel: number,
): Promise<ModuleConfig[]> {
  return Promise.all(
    filters.map(async ({ name, bytes, params }) => {
      const title = `filter ${name}`;
      try {
        const guest = await prepare(bytes, limits);
        return { name: title, role: 'filter', guest, params, logLevel, enabled: true };
      } catch (error) {
        if (error instanceof WasmError) error.message = called(title, error.message);
        throw error;
      }
    }),
  );
}

/** What of modules' logs is shown. */
export function logLevel(verbose: boolean | undefined): number {
  return verbose === true ? LOG_LEVEL.trace : LOG_LEVEL.info;
}

/** How lines of a level start. */
const LOG_WORDS = ['Error: ', 'Warning: '];

/** A line of a module's log for the user; `gadget` is the name of the gadget. */
export function logLine(gadget: string, module: string, level: number, text: string): string {
  return `${LOG_WORDS[level] ?? ''}${module === GADGETS_MODULE ? gadget : module}: ${text}`;
}

/** Transpiled modules: the user's cache, and the one shipped with the package. */
export function cacheDirs(): [own: string, shipped: string] {
  const own = process.getuid?.() === 0 ? '/var/lib/ig/wasm-cache' : `${homedir()}/.ig/wasm-cache`;
  return [own, fileURLToPath(new URL('../images/wasm-cache', import.meta.url))];
}
