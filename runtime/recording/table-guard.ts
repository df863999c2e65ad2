// Bounds what a table of containers from a recording can cost. Those of a running machine are far below.

import type { TableChange } from '../containers/change.js';
import type { Container } from '../containers/container.js';
import { RecordingError } from './errors.js';

/** Containers at a time, the ended ones of the last seconds included. */
const MAX_CONTAINERS = 100_000;
/** Numbers of mount namespaces: the kernel uses those of ended ones again, the smallest first. */
const MAX_NAMESPACES = 200_000;
/** Comings to one mount namespace, of containers not forgotten yet: each event may look at all of them. */
const MAX_TENANCIES = 1000;
/** Characters of all that is said of the containers there are. */
const MAX_CHARACTERS = 64 << 20;
/** What a name of a user takes besides its characters. */
const ACCOUNT_CHARACTERS = 64;
/** How many comings are looked at to have containers leave, in all. */
const MAX_LOOKS = 50_000_000;

interface KnownContainer {
  /** How often it came to each mount namespace. */
  readonly visits: Map<number, number>;
  characters: number;
}

export class TableGuard {
  readonly #containers = new Map<number, KnownContainer>();
  /** By mount namespace: how many came, and who was the last. */
  readonly #tenancies = new Map<number, { count: number; last: number | undefined }>();
  #characters = 0;
  #looks = 0;

  /** Throws RecordingError when it becomes too much. */
  check(change: TableChange): void {
    if (change.kind === 'add') this.#add(change.index, change.mntns, change.container);
    else if (change.kind === 'leave') this.#look(change.index);
    else if (change.kind === 'remove') this.#remove(change.index);
    else this.#tenancy(change.mntns).last = undefined;
  }

  #add(index: number, mntns: number, container: Container): void {
    const known = this.#containers.get(index) ?? { visits: new Map<number, number>(), characters: 0 };
    this.#containers.set(index, known);
    this.#characters -= known.characters;
    this.#characters += known.characters = charactersOf(container);
    if (this.#containers.size > MAX_CONTAINERS || this.#characters > MAX_CHARACTERS)
      throw tooMuch('of more containers');
    const tenancy = this.#tenancy(mntns);
    // It is told of again with all that is new about it.
    if (tenancy.last === index) return;
    tenancy.last = index;
    if (++tenancy.count > MAX_TENANCIES) throw tooMuch('of more containers');
    known.visits.set(mntns, (known.visits.get(mntns) ?? 0) + 1);
  }

  #tenancy(mntns: number): { count: number; last: number | undefined } {
    const tenancy = this.#tenancies.get(mntns) ?? { count: 0, last: undefined };
    this.#tenancies.set(mntns, tenancy);
    if (this.#tenancies.size > MAX_NAMESPACES) throw tooMuch('of more mount namespaces');
    return tenancy;
  }

  #look(index: number): void {
    for (const mntns of this.#containers.get(index)?.visits.keys() ?? [])
      this.#looks += 1 + this.#tenancies.get(mntns)!.count;
    if (this.#looks > MAX_LOOKS) throw tooMuch('of more comings and goings');
  }

  #remove(index: number): void {
    this.#look(index);
    const { visits = new Map<number, number>(), characters = 0 } = this.#containers.get(index) ?? {};
    for (const [mntns, count] of visits) this.#tenancies.get(mntns)!.count -= count;
    this.#characters -= characters;
    this.#containers.delete(index);
  }
}

function tooMuch(what: string): RecordingError {
  return new RecordingError(`it tells ${what} than a machine can have`);
}

function charactersOf({ pod, accounts, ...container }: Container): number {
  let sum = charactersIn(container) + charactersIn(pod ?? {});
  for (const [key, label] of Object.entries(pod?.labels ?? {})) sum += key.length + label.length;
  for (const name of accounts?.users.values() ?? []) sum += name.length + ACCOUNT_CHARACTERS;
  for (const name of accounts?.groups.values() ?? []) sum += name.length + ACCOUNT_CHARACTERS;
  return sum;
}

function charactersIn(texts: object): number {
  let sum = 0;
  for (const value of Object.values(texts)) if (typeof value === 'string') sum += value.length;
  return sum;
}
