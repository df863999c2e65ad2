// A thread's read-only copy of the container table: from a mount namespace to a container, from there to its fields.

import type { Span } from '../data/batch.js';
import type { Kind } from '../data/kind.js';
import type { Accounts } from './accounts.js';
import type { TableChange } from './change.js';
import type { Container } from './container.js';
import { formatLabels } from './kubernetes.js';

/** Index of what runs outside of containers. */
export const NOT_CONTAINER = -1;
/** Index of a mount namespace the table has not been told about yet. */
export const UNKNOWN = -2;

export interface ContainerField {
  readonly name: string;
  readonly kind: Kind;
}

type Value = string | number | boolean | undefined;

interface ValueField extends ContainerField {
  /** Undefined for what is not known, as is an empty string. */
  readonly valueOf: (container: Container) => Value;
}

const FIELDS: readonly ValueField[] = [
  { name: 'k8s.namespace', kind: 'string', valueOf: ({ pod }) => pod?.namespace },
  { name: 'k8s.podName', kind: 'string', valueOf: ({ pod }) => pod?.podName },
  { name: 'k8s.containerName', kind: 'string', valueOf: ({ pod }) => pod?.containerName },
  { name: 'k8s.hostnetwork', kind: 'bool', valueOf: ({ pod }) => pod?.hostNetwork },
  { name: 'k8s.podLabels', kind: 'string', valueOf: ({ pod }) => pod && formatLabels(pod.labels) },
  { name: 'k8s.owner.kind', kind: 'string', valueOf: ({ pod }) => pod?.ownerKind },
  { name: 'k8s.owner.name', kind: 'string', valueOf: ({ pod }) => pod?.ownerName },
  { name: 'runtime.containerName', kind: 'string', valueOf: (c) => c.name },
  { name: 'runtime.runtimeName', kind: 'string', valueOf: (c) => c.runtime },
  { name: 'runtime.containerId', kind: 'string', valueOf: (c) => c.id },
  { name: 'runtime.containerPid', kind: 'uint32', valueOf: (c) => c.pid },
  { name: 'runtime.containerImageName', kind: 'string', valueOf: (c) => c.imageName },
  { name: 'runtime.containerImageDigest', kind: 'string', valueOf: (c) => c.imageDigest },
  { name: 'runtime.containerStartedAt', kind: 'string', valueOf: (c) => c.startedAt },
];

/** The fields of `k8s.*` and `runtime.*`, in output order. */
export const CONTAINER_FIELDS: readonly ContainerField[] = FIELDS;

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
  readonly inPod: boolean;
  readonly accounts: Accounts | undefined;
  readonly namespaces: Set<number>;
}

export class ContainerView {
  // Keys are inode numbers as signed 32 bit integers, which the engine looks up without allocating.
  readonly #tenancies = new Map<number, Tenancy>();
  readonly #entries = new Map<number, Entry>();
  #hostSelected = false;
  #lastIndex = UNKNOWN;
  #lastEntry: Entry | undefined;

  /** Forgets everything: a copy of another table begins. */
  clear(): void {
    this.#tenancies.clear();
    this.#entries.clear();
    this.#hostSelected = false;
    this.#lastIndex = UNKNOWN;
    this.#lastEntry = undefined;
  }

  /** Takes over a change of the table. A new copy starts with those of `ContainerTable.snapshot()`. */
  apply(change: TableChange): void {
    this.#lastIndex = UNKNOWN;
    this.#lastEntry = undefined;
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
      case 'unknown':
        this.#occupy(change.mntns, UNKNOWN, change.sinceBootNs);
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

  isInPod(index: number): boolean {
    return index >= 0 && (this.#entry(index)?.inPod ?? false);
  }

  /** Finds field `field` (place in {@link CONTAINER_FIELDS}); false when the container, or the value, is not known. */
  locate(index: number, field: number, span: Span): boolean {
    const entry = this.#entry(index);
    if (entry === undefined) return false;
    const start = field === 0 ? 0 : entry.ends[field - 1]!;
    const end = entry.ends[field]!;
    span.set(entry.bytes, entry.view, start, end);
    return end > start;
  }

  /** What the container's own files call a user id of the host's, where known. */
  userName(index: number, uid: number): string | undefined {
    return this.#entry(index)?.accounts?.users.get(uid);
  }

  /** The same of a group id. */
  groupName(index: number, gid: number): string | undefined {
    return this.#entry(index)?.accounts?.groups.get(gid);
  }

  #entry(index: number): Entry | undefined {
    // All fields of an event are asked for in turn.
    if (index !== this.#lastIndex) {
      this.#lastIndex = index;
      this.#lastEntry = this.#entries.get(index);
    }
    return this.#lastEntry;
  }

  #add(change: Extract<TableChange, { kind: 'add' }>): void {
    const namespaces = this.#entries.get(change.index)?.namespaces ?? new Set<number>();
    this.#entries.set(change.index, encode(change.container, change.selected, namespaces));
    namespaces.add(change.mntns);
    this.#occupy(change.mntns, change.index, change.sinceBootNs);
  }

  #occupy(mntns: number, index: number, sinceBootNs: number): void {
    const before = this.#tenancies.get(mntns | 0);
    if (before?.index === index) {
      // It was there before it was first heard of.
      if (before.older !== undefined && sinceBootNs > 0)
        before.older.untilBootNs = Math.min(before.older.untilBootNs, sinceBootNs);
      return;
    }
    const older = before?.index === UNKNOWN ? before.older : before;
    if (older !== undefined) {
      // A snapshot does not tell since when, but until when whoever was there before.
      if (sinceBootNs > 0 || older.untilBootNs === Infinity) {
        older.untilBootNs = Math.min(older.untilBootNs, sinceBootNs);
      }
      // Containers are forgotten when the table forgets them; of the host's stays, the last is enough.
      if (older.older?.index === NOT_CONTAINER) older.older = older.older.older;
    }
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
  const parts = FIELDS.map(({ valueOf }) => bytesOf(valueOf(container)));
  let size = 0;
  const ends = parts.map((part) => (size += part.length));
  const bytes = new Uint8Array(size);
  parts.forEach((part, i) => bytes.set(part, ends[i]! - part.length));
  const view = new DataView(bytes.buffer);
  const { accounts, pod } = container;
  return { bytes, view, ends, selected, inPod: pod !== undefined, accounts, namespaces };
}

function bytesOf(value: Value): Uint8Array {
  if (value === undefined) return new Uint8Array(0);
  if (typeof value === 'string') return ENCODER.encode(value);
  if (typeof value === 'boolean') return new Uint8Array([value ? 1 : 0]);
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
