// What a user calls a group of processes that the kernel knows by the number of a cgroup or of a mount namespace.

import { cgroupPathsOfIds, containerKey } from './cgroup.js';
import { hostMntns } from './proc.js';
import type { ContainerTable, TableRow } from './table.js';

/** `cgroup ID` of the v2 tree, or `mntns INODE`. */
type GroupId = `${'cgroup' | 'mntns'} ${number}`;

export class GroupNames {
  readonly #table: ContainerTable;

  constructor(table: ContainerTable) {
    this.#table = table;
  }

  /** Names of those that are there: `container web`; else the cgroup's path, or which mount namespace it is. */
  namesOf<G extends GroupId>(groups: readonly G[]): Map<G, string> {
    const rows = this.#table.rows();
    const names = new Map<G, string>();
    const cgroups = new Map<number, G>();
    for (const group of groups) {
      const id = Number(group.slice(group.indexOf(' ') + 1));
      const own = rows.find(({ container }) => container.cgroupId === id);
      if (group.startsWith('mntns ')) names.set(group, this.#nameOfMntns(id));
      else if (own === undefined) cgroups.set(id, group);
      else names.set(group, nameOf(own));
    }
    if (cgroups.size === 0) return names;
    for (const [id, path] of cgroupPathsOfIds(new Set(cgroups.keys())))
      names.set(cgroups.get(id)!, this.#nameOfPath(path));
    return names;
  }

  /** A container may have cgroups below its own. */
  #nameOfPath(path: string): string {
    const key = containerKey(path);
    const row = key === undefined ? undefined : this.#table.byKey(key);
    return row === undefined ? path : nameOf(row);
  }

  #nameOfMntns(mntns: number): string {
    const row = this.#table.byMntns(mntns);
    if (row !== undefined) return nameOf(row);
    return mntns === hostMntns() ? 'the host' : `mount namespace ${mntns}`;
  }
}

function nameOf({ container }: TableRow): string {
  return `container ${container.name}`;
}
