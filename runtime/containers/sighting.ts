// A process that shows a mount namespace: as the tracker reports it from the kernel, or as /proc does.

import { readFileSync } from 'node:fs';
import { hostPidns, namespaceOf } from './proc.js';
import { bootNowNs } from '../../bpf/clock.js';

export interface Sighting {
  readonly mntns: number;
  readonly pid: number;
  /** 0 when unknown. */
  readonly parentPid: number;
  /** Whether it is in a pid namespace other than the host's. */
  readonly ownPids: boolean;
  /** Whether it is in its parent's cgroup; false when unknown. */
  readonly sharesCgroup: boolean;
  /** Inode number of its cgroup in the v2 tree; 0 when unknown. */
  readonly cgroupId: number;
  readonly bootNs: number;
  /** What happened in the namespace from then on is its own, and no longer of whoever had the number before. */
  readonly sinceBootNs: number;
  /** Names of its cgroup, of the one above, and of the nearest above that could hold a container id; empty = none. */
  readonly cgroup: string;
  readonly parentCgroup: string;
  readonly ancestor: string;
}

/** An exec is seen when it is done; a gadget may see what it did before. */
const EXEC_NS = 1e6;

/** When whoever is seen in a namespace may have come; `beforeBootNs` is when another one was last seen there. */
export function sinceOf(bootNs: number, beforeBootNs = 0): number {
  // The number may have been used again within less than a millisecond.
  return Math.max(bootNs - EXEC_NS, (bootNs + beforeBootNs) / 2);
}

/** Looks at a running process now. Of one that is gone, little is known. */
export function lookAt(pid: number, mntns: number): Sighting {
  const bootNs = bootNowNs();
  const pidns = namespaceOf(pid, 'pid');
  const names = cgroupNames(pid);
  return {
    mntns,
    pid,
    parentPid: parentOf(pid) ?? 0,
    ownPids: pidns !== undefined && pidns !== hostPidns(),
    sharesCgroup: false,
    cgroupId: 0,
    bootNs,
    sinceBootNs: sinceOf(bootNs),
    cgroup: names.at(-1) ?? '',
    parentCgroup: names.at(-2) ?? '',
    ancestor: '',
  };
}

/** The process's parent, as the host numbers it; undefined when it is gone. */
export function parentOf(pid: number): number | undefined {
  try {
    const parent = /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return parent === undefined ? undefined : Number(parent);
  } catch {
    return undefined;
  }
}

/** The longest path of the process's cgroups, by names from the root: engines may not use every hierarchy. */
function cgroupNames(pid: number): string[] {
  try {
    const paths = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
      .split('\n')
      .map((line) => line.split(':').slice(2).join(':'));
    const unified = paths.at(-2) ?? '';
    const path = unified.length > 1 ? unified : (paths.sort((a, b) => b.length - a.length)[0] ?? '');
    return path.split('/').filter((name) => name !== '');
  } catch {
    return [];
  }
}
