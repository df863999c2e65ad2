// The one table of containers: by index, key and mount namespace, with news for whoever holds a copy.

import { bootNowNs } from '../../bpf/clock.js';
import type { TableChange, TableListener } from './change.js';
import type { Container } from './container.js';
import type { Selector } from './selector.js';

/** How long a container that ended is remembered, for its late events. */
const GRACE_MS = 10_000;

interface Row {
  readonly index: number;
  container: Container;
  selected: boolean;
  readonly namespaces: Set<number>;
  untilBootNs: number | undefined;
  /** When it was known to have ended, `performance.now()`: the wall clock may be set. */
  leftMs: number | undefined;
}

/** A container's place in the table. */
export interface TableRow {
  /** CLOCK_BOOTTIME of its end; undefined while it runs. */
  readonly untilBootNs: number | undefined;
  /** Never used for another container as long as the table lives. */
  readonly index: number;
  readonly container: Container;
  readonly selected: boolean;
  /** Its own mount namespace, and those that its processes made. */
  readonly namespaces: ReadonlySet<number>;
}

export class ContainerTable {
  readonly #selector: Selector;
  readonly #graceMs: number;
  readonly #rows = new Map<number, Row>();
  readonly #byMntns = new Map<number, Row>();
  readonly #byKey = new Map<string, Row>();
  // Bounded: the kernel hands the lowest free inode number out, so none is new unless all others live.
  readonly #host = new Set<number>();
  readonly #listeners = new Set<TableListener>();
  #nextIndex = 0;

  constructor(selector: Selector, graceMs = GRACE_MS) {
    this.#selector = selector;
    this.#graceMs = graceMs;
  }

  /** Every change from now on; returns how to stop. */
  subscribe(listener: TableListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The changes that make an empty copy equal to this table. */
  snapshot(): TableChange[] {
    const changes: TableChange[] = [];
    const [ended, running] = partition([...this.#rows.values()], (row) => row.untilBootNs !== undefined);
    // Who is in a namespace now comes after who was.
    for (const row of [...ended, ...running]) {
      for (const mntns of row.namespaces) changes.push(this.#addition(row, mntns, 0));
      if (row.untilBootNs !== undefined) changes.push(departure(row, row.untilBootNs));
    }
    for (const mntns of this.#host) changes.push(this.#notContainer(mntns, 0));
    return changes;
  }

  /** All containers, those that ended a moment ago (`removedAtMs`) included. */
  rows(): TableRow[] {
    return [...this.#rows.values()];
  }

  byIndex(index: number): TableRow | undefined {
    return this.#rows.get(index);
  }

  /** The container now in this mount namespace; one that ended until another takes its place. */
  byMntns(mntns: number): TableRow | undefined {
    return this.#byMntns.get(mntns);
  }

  /** The running container of this key. */
  byKey(key: string): TableRow | undefined {
    return this.#byKey.get(key);
  }

  isHost(mntns: number): boolean {
    return this.#host.has(mntns);
  }

  /**
   * Puts a running container into the table, or one more namespace (`mntns`) of one that is there. It was seen at
   * `sinceBootNs`; whoever was in the namespace before has left it.
   */
  add(container: Container, mntns = container.mntns, sinceBootNs = bootNowNs()): TableRow {
    let row = this.#byKey.get(container.key);
    if (row === undefined) {
      row = {
        index: this.#nextIndex++,
        container,
        selected: false,
        namespaces: new Set(),
        untilBootNs: undefined,
        leftMs: undefined,
      };
      this.#rows.set(row.index, row);
      this.#byKey.set(container.key, row);
    }
    row.selected = this.#selector.matches(row.container);
    row.namespaces.add(mntns);
    this.#host.delete(mntns);
    const before = this.#byMntns.get(mntns);
    this.#byMntns.set(mntns, row);
    this.#emit(this.#addition(row, mntns, sinceBootNs));
    if (before !== undefined && before !== row) this.#evict(before, mntns, sinceBootNs);
    return row;
  }

  /** Changes what is known of a running container, as `change` says. */
  update(key: string, change: Partial<Omit<Container, 'key' | 'mntns'>>): void {
    const row = this.#byKey.get(key);
    if (row === undefined) return;
    row.container = { ...row.container, ...change };
    row.selected = this.#selector.matches(row.container);
    for (const mntns of row.namespaces) this.#emit(this.#addition(row, mntns, 0));
  }

  /** The running container of this key ended; it stays for its late events. */
  leave(key: string, untilBootNs = bootNowNs()): void {
    const row = this.#byKey.get(key);
    if (row !== undefined) this.#leave(row, untilBootNs);
  }

  #leave(row: Row, untilBootNs: number): void {
    if (row.untilBootNs !== undefined) return;
    this.#byKey.delete(row.container.key);
    row.untilBootNs = untilBootNs;
    row.leftMs = performance.now();
    row.container = { ...row.container, removedAtMs: Date.now() };
    this.#emit(departure(row, untilBootNs));
  }

  /** The namespace is a part of the host. A container that was in it has left it. */
  notContainer(mntns: number, sinceBootNs = bootNowNs()): void {
    const before = this.#byMntns.get(mntns);
    this.#byMntns.delete(mntns);
    this.#host.add(mntns);
    this.#emit(this.#notContainer(mntns, sinceBootNs));
    if (before !== undefined) this.#evict(before, mntns, sinceBootNs);
  }

  /** Who is in the namespace is being found out; nobody who was there before is still. */
  vacate(mntns: number, sinceBootNs: number): void {
    const before = this.#byMntns.get(mntns);
    this.#byMntns.delete(mntns);
    this.#host.delete(mntns);
    this.#emit({ kind: 'unknown', mntns, sinceBootNs });
    if (before !== undefined) this.#evict(before, mntns, sinceBootNs);
  }

  /** Forgets containers whose time is over; returns them. To be called from time to time. */
  sweep(nowMs = performance.now()): TableRow[] {
    const gone = [...this.#rows.values()].filter(
      ({ leftMs }) => leftMs !== undefined && leftMs + this.#graceMs <= nowMs,
    );
    for (const row of gone) {
      this.#rows.delete(row.index);
      for (const mntns of row.namespaces) {
        if (this.#byMntns.get(mntns) === row) this.#byMntns.delete(mntns);
      }
      this.#emit({ kind: 'remove', index: row.index });
    }
    return gone;
  }

  /** A container whose own namespace is somebody else's now has ended; one of its processes' may just go. */
  #evict(row: Row, mntns: number, nowBootNs: number): void {
    if (mntns === row.container.mntns) this.#leave(row, nowBootNs);
    else row.namespaces.delete(mntns);
  }

  #addition(row: Row, mntns: number, sinceBootNs: number): TableChange {
    const { index, container, selected } = row;
    return { kind: 'add', index, mntns, sinceBootNs, selected, container };
  }

  #notContainer(mntns: number, sinceBootNs: number): TableChange {
    return { kind: 'notContainer', mntns, sinceBootNs, selected: this.#selector.host };
  }

  #emit(change: TableChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}

function departure(row: Row, untilBootNs: number): TableChange {
  return { kind: 'leave', index: row.index, untilBootNs };
}
