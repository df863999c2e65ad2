// Mount namespaces of processes, as /proc shows them.

import { readdirSync, readlinkSync } from 'node:fs';

/** Inode number of a process's mount namespace; undefined when it is gone or out of reach. */
export function mntnsOf(pid: number | 'self'): number | undefined {
  return namespaceOf(pid, 'mnt');
}

/** Inode number of one of a process's namespaces (namespaces(7)); undefined when it is gone or out of reach. */
export function namespaceOf(pid: number | 'self', kind: 'mnt' | 'net' | 'pid'): number | undefined {
  try {
    const inode = /:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/ns/${kind}`))?.[1];
    return inode === undefined ? undefined : Number(inode);
  } catch {
    return undefined;
  }
}

/** The host's mount namespace. Where init is out of reach (hardened machines), that of this process. */
export function hostMntns(): number {
  return mntnsOf(1) ?? mntnsOf('self') ?? 0;
}

/** The host's pid namespace, likewise. */
export function hostPidns(): number {
  return namespaceOf(1, 'pid') ?? namespaceOf('self', 'pid') ?? 0;
}

/** One process of each mount namespace, that with the lowest pid. */
export function processesByMntns(): Map<number, number> {
  const found = new Map<number, number>();
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
  for (const pid of pids) {
    const mntns = mntnsOf(pid);
    if (mntns !== undefined && !found.has(mntns)) found.set(mntns, pid);
  }
  return found;
}
