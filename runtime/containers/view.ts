// A thread's read-only copy of the container table: from a mount namespace to a container, from there to its fields.

import type { Span } from '../data/batch.js';
import type { Kind } from '../data/kind.js';
import type { TableChange } from './change.js';
import type { Container } from './container.js';

/** Index of what runs outside of containers. */
export const NOT_CONTAINER = -1;
/** Index of a mount namespace the table has not been told about yet. */
export const UNKNOWN = -2;

export interface RuntimeField {
  readonly name: string;
  readonly kind: Kind;
}

/** The fields of `runtime.*`, in output order. */
export const RUNTIME_FIELDS: readonly RuntimeField[] = [
  { name: 'containerName', kind: 'string' },
  { name: 'runtimeName', kind: 'string' },
  { name: 'containerId', kind: 'string' },
  { name: 'containerPid', kind: 'uint32' },
  { name: 'containerImageName', kind: 'string' },
  { name: 'containerImageDigest', kind: 'string' },
  { name: 'containerStartedAt', kind: 'string' },
];

const VALUES: readonly ((container: Container) => string | number)[] = [
  (c) => c.name,
  (c) => c.runtime,
  (c) => c.id,
  (c) => c.pid,
  (c) => c.imageName,
  (c) => c.imageDigest,
  (c) => c.startedAt,
];

/** Who a mount namespace belonged to, and until when. Inode numbers of namespaces are soon used again. */
interface Tenancy {
  readonly index: number;
  untilBootNs: number;
  older: Tenancy | undefined;
}

interface Entry {
  /** Every field's bytes, one after the other; field i ends at `ends[i]`. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly ends: readonly number[];
  readonly selected: boolean;
  readonly namespaces: Set<number>;
}

export class ContainerView {
  // Keys are inode numbers as signed 32 bit integers, which the engine looks up without allocating.
  readonly #tenancies = new Map<number, Tenancy>();
  readonly #entries = new Map<number, Entry>();
  #hostSelected = false;

  /** Takes over a change of the table. A new copy starts with those of `ContainerTable.snapshot()`. */
  apply(change: TableChange): void {
    switch (change.kind) {
      case 'add':
        this.#add(change);
        break;
      case 'leave':
        this.#leave(change.index, change.untilBootNs);
        break;
      case 'remove':
        this.#remove(change.index);
        break;
      case 'notContainer':
        this.#hostSelected = change.selected;
        this.#occupy(change.mntns, NOT_CONTAINER, change.sinceBootNs);
        break;
    }
  }

  /**
   * Index of the container that mount namespace (low and high half of its inode number) belongs to,
   * {@link NOT_CONTAINER} or {@link UNKNOWN}. With the event's time, an event is never given to a container that
   * had ended, nor to one that came later to a namespace of the same number. Allocates nothing.
   */
  indexOf(mntnsLow: number, mntnsHigh: number, bootNs = 0): number {
    // Inode numbers of namespaces are 32 bit (proc_alloc_inum); no namespace at all is the host's business.
    if (mntnsHigh !== 0) return UNKNOWN;
    if (mntnsLow === 0) return NOT_CONTAINER;
    let tenancy = this.#tenancies.get(mntnsLow | 0);
    let found = UNKNOWN;
    while (tenancy !== undefined && bootNs <= tenancy.untilBootNs) {
      found = tenancy.index;
      if (bootNs === 0) break;
      tenancy = tenancy.older;
    }
    return found;
  }

  /** Whether the user asked for it; false for {@link UNKNOWN} and for containers long gone. */
  isSelected(index: number): boolean {
    if (index === NOT_CONTAINER) return this.#hostSelected;
    return this.#entries.get(index)?.selected ?? false;
  }

  /** Finds field `field` (place in {@link RUNTIME_FIELDS}); false when there is no such container. */
  locate(index: number, field: number, span: Span): boolean {
    const entry = this.#entries.get(index);
    if (entry === undefined) return false;
    span.set(entry.bytes, entry.view, field === 0 ? 0 : entry.ends[field - 1]!, entry.ends[field]!);
    return true;
  }

  #add(change: Extract<TableChange, { kind: 'add' }>): void {
    const namespaces = this.#entries.get(change.index)?.namespaces ?? new Set<number>();
    this.#entries.set(change.index, encode(change.container, change.selected, namespaces));
    namespaces.add(change.mntns);
    this.#occupy(change.mntns, change.index, change.sinceBootNs);
  }

  #occupy(mntns: number, index: number, sinceBootNs: number): void {
    const before = this.#tenancies.get(mntns | 0);
    if (before?.index === index) return;
    // Only containers are worth remembering: their late events keep their names.
    const older = before !== undefined && before.index >= 0 ? before : undefined;
    if (older !== undefined && older.untilBootNs === Infinity) older.untilBootNs = sinceBootNs;
    this.#tenancies.set(mntns | 0, { index, untilBootNs: Infinity, older });
  }

  #leave(index: number, untilBootNs: number): void {
    for (const mntns of this.#entries.get(index)?.namespaces ?? []) {
      for (let t = this.#tenancies.get(mntns | 0); t !== undefined; t = t.older) {
        if (t.index === index) t.untilBootNs = Math.min(t.untilBootNs, untilBootNs);
      }
    }
  }

  #remove(index: number): void {
    for (const mntns of this.#entries.get(index)?.namespaces ?? []) {
      const kept = without(this.#tenancies.get(mntns | 0), index);
      if (kept === undefined) this.#tenancies.delete(mntns | 0);
      else this.#tenancies.set(mntns | 0, kept);
    }
    this.#entries.delete(index);
  }
}

function without(tenancy: Tenancy | undefined, index: number): Tenancy | undefined {
  if (tenancy === undefined) return undefined;
  const older = without(tenancy.older, index);
  if (tenancy.index === index) return older;
  tenancy.older = older;
  return tenancy;
}

const ENCODER = new TextEncoder();

function encode(container: Container, selected: boolean, namespaces: Set<number>): Entry {
  const parts = VALUES.map((valueOf) => {
    const value = valueOf(container);
    return typeof value === 'string' ? ENCODER.encode(value) : uint32(value);
  });
  let size = 0;
  const ends = parts.map((part) => (size += part.length));
  const bytes = new Uint8Array(size);
  parts.forEach((part, i) => bytes.set(part, ends[i]! - part.length));
  return { bytes, view: new DataView(bytes.buffer), ends, selected, namespaces };
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
