// Bounds what a table of containers from a recording can cost. Those of a running machine are far below.

import type { TableChange } from '../containers/change.js';
import { RecordingError } from './errors.js';

/** Containers at a time, the ended ones of the last seconds included. */
const MAX_CONTAINERS = 100_000;
/** Comings to one mount namespace, of containers not forgotten yet: each event may look at all of them. */
const MAX_TENANCIES = 1000;

export class TableGuard {
  /** By container: how often it came to each mount namespace. */
  readonly #containers = new Map<number, Map<number, number>>();
  /** By mount namespace: how many came, and who was the last. */
  readonly #tenancies = new Map<number, { count: number; last: number | undefined }>();

  /** Throws RecordingError when it becomes too much. */
  check(change: TableChange): void {
    if (change.kind === 'add') this.#add(change.index, change.mntns);
    else if (change.kind === 'remove') this.#remove(change.index);
    else if (change.kind !== 'leave') this.#tenancy(change.mntns).last = undefined;
  }

  #add(index: number, mntns: number): void {
    const tenancy = this.#tenancy(mntns);
    // It is told of again with all that is new about it.
    if (tenancy.last === index) return;
    tenancy.last = index;
    tenancy.count++;
    const visits = this.#containers.get(index) ?? new Map<number, number>();
    this.#containers.set(index, visits);
    visits.set(mntns, (visits.get(mntns) ?? 0) + 1);
    if (this.#containers.size > MAX_CONTAINERS || tenancy.count > MAX_TENANCIES)
      throw new RecordingError('it tells of more containers than a machine can have');
  }

  #tenancy(mntns: number): { count: number; last: number | undefined } {
    const tenancy = this.#tenancies.get(mntns) ?? { count: 0, last: undefined };
    this.#tenancies.set(mntns, tenancy);
    return tenancy;
  }

  #remove(index: number): void {
    for (const [mntns, count] of this.#containers.get(index) ?? [])
      this.#tenancies.get(mntns)!.count -= count;
    this.#containers.delete(index);
  }
}
