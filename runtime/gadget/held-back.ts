// Reads what bpf/include/gadget/fair.h counts: the events that --fair held back, by who made them.

import type { BpfMap, BpfObject } from '../../bpf/index.js';

const HELD = 'gadget_fair_held';
const OTHERS = 'gadget_fair_held_others';
/** GADGET_FAIR_MNTNS: the key is the number of a mount namespace. */
const MNTNS = 1n << 63n;

/** Processes that have a share together: those of a cgroup; in the root cgroup, those of a mount namespace. */
export type Group = `cgroup ${number}` | `mntns ${number}`;

/** Events that were held back; of `others` it is not known who they are. */
export interface HeldBack {
  readonly byGroup: ReadonlyMap<Group, number>;
  readonly others: number;
}

export class HeldBackCounters {
  readonly #held: BpfMap;
  readonly #others: BpfMap;

  /** Undefined for a gadget without fair.h, or whose maps of that were left out. */
  static of(object: BpfObject): HeldBackCounters | undefined {
    const [held, others] = [HELD, OTHERS].map((name) => object.maps.find((map) => map.name === name));
    return held === undefined || others === undefined ? undefined : new HeldBackCounters(held, others);
  }

  private constructor(held: BpfMap, others: BpfMap) {
    this.#held = held;
    this.#others = others;
  }

  read(): HeldBack {
    const byGroup = new Map<Group, number>();
    for (const key of this.#held.keys()) byGroup.set(groupOf(key), numberOf(this.#held.lookup(key)));
    return { byGroup, others: numberOf(this.#others.lookup(new Uint8Array(4))) };
  }

  total(): number {
    const { byGroup, others } = this.read();
    return [...byGroup.values()].reduce((sum, count) => sum + count, others);
  }
}

function groupOf(key: Uint8Array): Group {
  const id = u64(key);
  return (id & MNTNS) === 0n ? `cgroup ${Number(id)}` : `mntns ${Number(id ^ MNTNS)}`;
}

function numberOf(value: Uint8Array | undefined): number {
  return value === undefined ? 0 : Number(u64(value));
}

function u64(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
}
