// A gadget's Wasm module on its way into a pipeline: what every kind of run does with it.

import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { PreparedGuest } from '../wasm/host/component.js';
import type { PreparedCore } from '../wasm/host/core/prepare.js';
import { moduleForm } from '../wasm/host/module-form.js';

export type Guest = PreparedGuest | PreparedCore;

/** How long a Wasm module may work on one batch. */
export const GUEST_BUDGET_MS = 2000;

/** Throws InvalidModuleError. */
export async function prepareGuest(wasm: Uint8Array | undefined): Promise<Guest | undefined> {
  if (wasm === undefined) return undefined;
  if (moduleForm(wasm) === 'core') {
    const { prepareCore } = await import('../wasm/host/core/prepare.js');
    return prepareCore(wasm);
  }
  const { prepareComponent } = await import('../wasm/host/component.js');
  return prepareComponent(wasm, { cacheDirs: cacheDirs() });
}

/** Transpiled modules: the user's cache, and the one shipped with the package. */
export function cacheDirs(): [own: string, shipped: string] {
  const own = process.getuid?.() === 0 ? '/var/lib/ig/wasm-cache' : `${homedir()}/.ig/wasm-cache`;
  return [own, fileURLToPath(new URL('../images/wasm-cache', import.meta.url))];
}
