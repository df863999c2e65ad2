// Learns of every mount namespace from its first exec on, through an eBPF program of ours (tracker.bpf.c).

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  BpfError,
  NotSupportedByKernelError,
  ObjectSpec,
  RingReader,
  type BpfMap,
  type BpfObject,
  type ProgramRuns,
} from '../../bpf/index.js';
import { hostPidns } from './proc.js';
import { type Sighting, sinceOf } from './sighting.js';

export interface TrackerOptions {
  readonly hostMntns: number;
  /** The map gadgets filter by: new namespaces are put in at once, before any gadget sees their first event. */
  readonly filterMap?: BpfMap;
  /**
   * Look already when the execve system call begins, for gadgets that filter by mount namespace there. Costs every
   * system call of the machine a little, unless something traces system calls anyway.
   */
  readonly atSyscalls: boolean;
}

/** Whether programs of these sections may meet a process before it has executed anything in its mount namespace. */
export function areAtSyscalls(sections: readonly string[]): boolean {
  return sections.some((section) => /\/syscalls\/|\/sys_(enter|exit)$|^k(ret)?syscall\//.test(section));
}

/** How often the ring is read when no reader of events asks for it. */
const POLL_MS = 20;
/** How long reports may go on while signals, timers and the answers of engines wait. */
const TURN_MS = 50;

// struct settings and struct sighting of tracker.bpf.c.
const SETTINGS_BYTES = 16;
const AT = {
  mntns: 0,
  cgroupId: 8,
  bootNs: 16,
  pid: 24,
  parentPid: 28,
  ownPids: 32,
  sharesCgroup: 36,
  cgroup: 40,
  parentCgroup: 168,
  ancestor: 296,
  end: 424,
};
/** With the header that the ring puts before it. */
const RECORD_BYTES = 8 + AT.end;
/** As many are told of at once: who waits for one, waits for so many at most. */
const BATCH_RECORDS = 32;

/** From the compiled file (dist/runtime/containers) and from the source. */
const PLACES = ['tracker.bpf.o', '../../dist/runtime/containers/tracker.bpf.o'];

const SYSCALL_PROGRAMS = ['execve_begins', 'execveat_begins'];

export class Tracker {
  readonly #object: BpfObject;
  readonly #ring: RingReader;
  readonly #onSighting: (seen: Sighting) => void;
  readonly #timer: NodeJS.Timeout;
  /** By mount namespace; bounded, as the kernel hands the lowest free number out. */
  readonly #lastBootNs = new Map<number, number>();
  readonly #buffer = new Uint8Array(BATCH_RECORDS * AT.end);
  readonly #offsets = new Uint32Array(BATCH_RECORDS + 1);
  /** See `Sightings.progress`. */
  readonly #progress = new Int32Array(new SharedArrayBuffer(8));

  /**
   * Loads and attaches the program: to be done before any gadget's is attached, as programs of one hook run in the
   * order of their attachment. Rejects with `BpfError` and its kinds.
   */
  static async start(options: TrackerOptions, onSighting: (seen: Sighting) => void): Promise<Tracker> {
    const object = await load(options);
    try {
      attach(object);
      return new Tracker(object, onSighting);
    } catch (error) {
      object.close();
      throw error;
    }
  }

  private constructor(object: BpfObject, onSighting: (seen: Sighting) => void) {
    this.#onSighting = onSighting;
    this.#object = object;
    const ring = object.map('sightings');
    this.#ring = new RingReader(ring.fd, ring.maxEntries);
    this.#timer = setInterval(() => this.poll(), POLL_MS);
  }

  /** For readers of events, which must not be ahead of what is seen here: see pipeline/sightings.ts. */
  get sightings(): { fd: number; sizeBytes: number; batchBytes: number; progress: SharedArrayBuffer } {
    const { fd, maxEntries } = this.#object.map('sightings');
    const batchBytes = BATCH_RECORDS * RECORD_BYTES;
    return { fd, sizeBytes: maxEntries, batchBytes, progress: this.#progress.buffer };
  }

  /**
   * How many execs in new mount namespaces could not be reported, or not be let through, as more came at once than
   * there is room for. The next exec in such a namespace is reported instead.
   */
  get missed(): number {
    return Number(this.#object.map('missed').sumPerCpuU64(new Uint8Array(4)));
  }

  /** What the kernel has counted of its programs' runs, by their names. */
  runs(): Map<string, ProgramRuns> {
    return new Map(this.#object.programs.map((program) => [program.name, program.runs()]));
  }

  /** Reports at once what has been seen so far; of a flood, as much as a turn has time for. */
  poll(): void {
    if (this.#ring.availableBytes() === 0) return;
    const endMs = performance.now() + TURN_MS;
    let count: number;
    do count = this.#pollBatch();
    while (count === BATCH_RECORDS && performance.now() < endMs);
  }

  #pollBatch(): number {
    Atomics.add(this.#progress, 0, 1);
    let count = 0;
    try {
      count = this.#ring.drain(this.#buffer, this.#offsets, 0, AT.end);
      for (let i = 0; i < count; i++) this.#report(this.#offsets[i]!);
    } finally {
      Atomics.add(this.#progress, 1, count * RECORD_BYTES);
      Atomics.add(this.#progress, 0, 1);
      Atomics.notify(this.#progress, 0);
    }
    return count;
  }

  #report(offset: number): void {
    const seen = parse(this.#buffer, offset);
    const { mntns, bootNs } = seen;
    const before = this.#lastBootNs.get(mntns);
    this.#lastBootNs.set(mntns, bootNs);
    this.#onSighting({ ...seen, sinceBootNs: sinceOf(bootNs, before) });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#ring.close();
    this.#object.close();
  }
}

function load(options: TrackerOptions): Promise<BpfObject> {
  const here = dirname(fileURLToPath(import.meta.url));
  const path = PLACES.map((place) => join(here, place)).find((place) => existsSync(place));
  if (path === undefined) {
    throw new BpfError(`The container tracker ${join(here, 'tracker.bpf.o')} is missing: run "make build".`);
  }
  const spec = ObjectSpec.open(readFileSync(path), 'container_tracker', { trusted: true });
  const settings = new DataView(new ArrayBuffer(SETTINGS_BYTES));
  settings.setBigUint64(0, BigInt(options.hostMntns), true);
  settings.setUint32(8, hostPidns(), true);
  settings.setUint32(12, options.filterMap === undefined ? 0 : 1, true);
  spec.setInitialValue('.rodata', 0, new Uint8Array(settings.buffer));
  if (options.filterMap !== undefined) spec.reuseMap('gadget_mntns_filter_map', options.filterMap.fd);
  for (const program of SYSCALL_PROGRAMS) spec.setAutoload(program, options.atSyscalls);
  return spec.load();
}

function attach(object: BpfObject): void {
  for (const program of object.programs) {
    try {
      program.attach();
    } catch (error) {
      // A kernel without system call tracepoints has no gadget that needs to be preceded there.
      if (!(error instanceof NotSupportedByKernelError && SYSCALL_PROGRAMS.includes(program.name)))
        throw error;
    }
  }
}

function parse(bytes: Uint8Array, start: number): Omit<Sighting, 'sinceBootNs'> {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, AT.end);
  return {
    mntns: Number(view.getBigUint64(AT.mntns, true)),
    cgroupId: Number(view.getBigUint64(AT.cgroupId, true)),
    bootNs: Number(view.getBigUint64(AT.bootNs, true)),
    pid: view.getUint32(AT.pid, true),
    parentPid: view.getUint32(AT.parentPid, true),
    ownPids: view.getUint32(AT.ownPids, true) !== 0,
    sharesCgroup: view.getUint32(AT.sharesCgroup, true) !== 0,
    cgroup: textBetween(bytes, start + AT.cgroup, start + AT.parentCgroup),
    parentCgroup: textBetween(bytes, start + AT.parentCgroup, start + AT.ancestor),
    ancestor: textBetween(bytes, start + AT.ancestor, start + AT.end),
  };
}

function textBetween(bytes: Uint8Array, start: number, limit: number): string {
  const end = bytes.subarray(start, limit).indexOf(0);
  return Buffer.from(bytes.subarray(start, end < 0 ? limit : start + end)).toString('utf8');
}
