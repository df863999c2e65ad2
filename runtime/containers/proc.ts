// Namespaces of processes, and when these began, as /proc shows them.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

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

/** The host's network namespace, likewise; undefined when it cannot be told. */
export function hostNetns(): number | undefined {
  return namespaceOf(1, 'net') ?? namespaceOf('self', 'net');
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

/** When a process began, in clock ticks since the start of the machine; undefined when it is gone. */
export function startTicksOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // Field 22 of proc(5). Field 2, the name, may hold anything, parentheses too; the third comes next.
    const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[22 - 3]);
    return Number.isNaN(ticks) ? undefined : ticks;
  } catch {
    return undefined;
  }
}
