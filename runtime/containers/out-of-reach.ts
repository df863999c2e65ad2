// Containers whose processes this process may not look at: they can be listed by what their engines say.

import { readFileSync } from 'node:fs';
import type { Container } from './container.js';
import { type EngineOptions, enginesFor } from './engines/index.js';
import type { Engine } from './engines/engine.js';
import { mntnsOf } from './proc.js';

/** include/uapi/linux/capability.h */
const CAP_SYS_PTRACE = 19n;

/** Whether the namespaces of other users' processes can be seen. */
export function canSeeNamespaces(): boolean {
  if (process.getuid?.() === 0) return true;
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> CAP_SYS_PTRACE) & 1n) === 1n;
}

/** The running ones, with mount namespace 0. Engines that do not answer are left out. */
export async function containersOutOfReach(options: EngineOptions): Promise<Container[]> {
  const lists = await Promise.all(enginesFor(options).map(listed));
  return lists.flat().filter(({ pid }) => pid !== 0 && mntnsOf(pid) === undefined);
}

async function listed(engine: Engine): Promise<Container[]> {
  try {
    await engine.connect();
    const containers = await engine.list();
    return containers.map((container) => ({ ...container, runtime: engine.name, mntns: 0 }));
  } catch {
    // Whoever follows the engines has said so.
    return [];
  } finally {
    engine.close();
  }
}
