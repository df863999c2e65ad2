// Joins what engines say with what the kernel shows: which container, if any, a mount namespace belongs to.

import { setTimeout as sleep } from 'node:timers/promises';
import { cgroupIdOf, cgroupOf, containerIdOf } from './cgroup.js';
import { shortId, type Container } from './container.js';
import type { Engine, EngineContainer, EngineEvent } from './engine.js';
import { mntnsOf, processesByMntns } from './proc.js';
import { bootNowNs, type ContainerTable, type TableRow } from './table.js';
import type { Sighting } from './tracker.js';

/** How long a namespace waits for an engine to name its container: half of what its events surely wait. */
const ANSWER_MS = 2000;
/** What a gadget saw of an exec may be a little older than the sighting; what was in the namespace before, is much. */
const BEFORE_SIGHTING_NS = 50e6;
/** The root of the cgroup v2 tree, which holds no container. */
const ROOT_CGROUP_ID = 1;

/** What an engine said of a container, running or not. */
interface Known {
  readonly engine: Engine;
  readonly details: EngineContainer;
}

export class Namer {
  readonly #table: ContainerTable;
  readonly #hostMntns: number;
  /** Engines that can be asked now. */
  readonly #connected = new Set<Engine>();
  readonly #known = new Map<string, Known>();
  /** The last sighting in a namespace whose container an engine is being asked about. */
  readonly #asking = new Map<number, Sighting>();

  constructor(table: ContainerTable, hostMntns: number) {
    this.#table = table;
    this.#hostMntns = hostMntns;
    table.notContainer(hostMntns);
  }

  get connected(): ReadonlySet<Engine> {
    return this.#connected;
  }

  /** The engine answers, and these are all its containers. */
  learnAll(engine: Engine, containers: readonly EngineContainer[]): void {
    this.#connected.add(engine);
    const ids = new Set(containers.map((container) => container.id));
    for (const [id, known] of this.#known) {
      if (known.engine === engine && !ids.has(id)) this.#known.delete(id);
    }
    for (const container of containers) this.#learn(engine, container);
  }

  lose(engine: Engine): void {
    this.#connected.delete(engine);
  }

  hear(engine: Engine, event: Exclude<EngineEvent, { kind: 'open' }>): void {
    switch (event.kind) {
      case 'created':
        this.#learn(engine, { ...this.#detailsOf(event.id), name: event.name, imageName: event.imageName });
        void this.#inspect(engine, event.id);
        break;
      case 'started':
        void this.#inspect(engine, event.id);
        break;
      case 'removed':
        this.#table.leave(event.id);
        break;
      case 'deleted':
        this.#known.delete(event.id);
        break;
    }
  }

  /** Puts every namespace there is into the table: to be called once the engines have told what they know. */
  findRunning(): void {
    for (const [mntns, pid] of processesByMntns()) {
      if (this.#isAnswered(mntns)) continue;
      const id = cgroupOf(pid)?.containerId;
      if (id === undefined) this.#table.notContainer(mntns, 0);
      else this.#place(id, { mntns, pid, cgroupId: 0, bootNs: 0, cgroup: '', ancestor: '' });
    }
  }

  /** Answers for a namespace within half a second: the table has it as a container's or as the host's. */
  async resolve(seen: Sighting): Promise<void> {
    const id = containerIdOf(seen.cgroup) ?? containerIdOf(seen.ancestor) ?? cgroupOf(seen.pid)?.containerId;
    if (id === undefined) {
      this.#asking.delete(seen.mntns);
      this.#table.notContainer(seen.mntns, sinceOf(seen));
      return;
    }
    if (!this.#known.has(id) && this.#connected.size > 0) {
      this.#asking.set(seen.mntns, seen);
      await this.#ask(id);
      // Meanwhile another container may have come to a namespace of the same number.
      if (this.#asking.get(seen.mntns) !== seen) return;
    }
    this.#asking.delete(seen.mntns);
    this.#place(id, seen);
  }

  /** Answers for a namespace that no exec has shown: one that a running process made. */
  identify(mntns: number, pid: number): void {
    if (this.#isAnswered(mntns) || this.#asking.has(mntns)) return;
    void this.resolve({ mntns, pid, cgroupId: 0, bootNs: bootNowNs(), cgroup: '', ancestor: '' });
  }

  /** Finds containers that ended without their engine saying so. */
  checkAlive(): void {
    let processes: Map<number, number> | undefined;
    for (const row of this.#table.rows()) {
      if (row.container.removedAtMs === undefined)
        this.#checkRow(row, () => (processes ??= processesByMntns()));
    }
  }

  #isAnswered(mntns: number): boolean {
    if (this.#table.isHost(mntns)) return true;
    const row = this.#table.byMntns(mntns);
    return row !== undefined && row.container.removedAtMs === undefined;
  }

  /** A namespace of container `id`: its own, or one more that it made. */
  #place(id: string, seen: Sighting): void {
    const running = this.#table.byId(id);
    // It may have been started again under the same id before the engine told of its end.
    if (running !== undefined) this.#checkRow(running);
    const container = this.#table.byId(id)?.container ?? this.#container(id, seen);
    this.#table.add(container, seen.mntns, sinceOf(seen));
  }

  /** Has a container leave whose processes are gone. Another process may go on where the known one ended. */
  #checkRow(row: TableRow, allProcesses: () => ReadonlyMap<number, number> = processesByMntns): void {
    const { id, mntns } = row.container;
    if (mntnsOf(row.container.pid) === mntns) return;
    const pid = allProcesses().get(mntns);
    if (pid === undefined) this.#table.leave(id);
    else this.#table.update(id, { pid });
  }

  #container(id: string, seen: Sighting): Container {
    const known = this.#known.get(id);
    const details = this.#detailsOf(id);
    const cgroupId = ownCgroupId(id, seen);
    return {
      id,
      name: details.name === '' ? shortId(id) : details.name,
      runtime: known?.engine.name ?? '',
      pid: details.pid === 0 ? seen.pid : details.pid,
      mntns: seen.mntns,
      ...(cgroupId !== undefined && { cgroupId }),
      imageName: details.imageName,
      imageDigest: details.imageDigest,
      imageId: details.imageId,
      startedAt: details.startedAt,
    };
  }

  #detailsOf(id: string): EngineContainer {
    return this.#known.get(id)?.details ?? { ...NOTHING_KNOWN, id };
  }

  #learn(engine: Engine, details: EngineContainer): void {
    const { id, pid, name, imageName, imageDigest, imageId, startedAt } = details;
    // The pid of a past life would be somebody else's by the next one.
    this.#known.set(id, { engine, details: { ...details, pid: 0, startedAt: '' } });
    const running = this.#table.byId(id);
    if (pid !== 0 && running !== undefined && running.container.pid !== pid) this.#checkRow(running);
    if (this.#table.byId(id) !== undefined) {
      const life = pid === 0 ? {} : { pid, startedAt };
      this.#table.update(id, { name, runtime: engine.name, imageName, imageDigest, imageId, ...life });
      return;
    }
    const mntns = pid === 0 ? undefined : mntnsOf(pid);
    if (mntns === undefined || mntns === this.#hostMntns) return;
    const seen = { mntns, pid, cgroupId: 0, bootNs: bootNowNs(), cgroup: '', ancestor: '' };
    this.#table.add({ ...this.#container(id, seen), startedAt }, mntns, sinceOf(seen));
  }

  /** Has every engine look for the container; whoever knows it is heard, also after the time is over. */
  async #ask(id: string): Promise<void> {
    const answers = [...this.#connected].map((engine) => this.#inspect(engine, id));
    await Promise.race([Promise.all(answers), sleep(ANSWER_MS, undefined, { ref: false })]);
  }

  async #inspect(engine: Engine, id: string): Promise<void> {
    try {
      const details = await engine.inspect(id);
      if (details !== undefined) this.#learn(engine, details);
    } catch {
      // An engine that cannot answer now will list its containers when it can.
    }
  }
}

const NOTHING_KNOWN = {
  name: '',
  pid: 0,
  imageName: '',
  imageDigest: '',
  imageId: '',
  startedAt: '',
};

function sinceOf(seen: Sighting): number {
  return Math.max(0, seen.bootNs - BEFORE_SIGHTING_NS);
}

function ownCgroupId(id: string, seen: Sighting): number | undefined {
  if (seen.cgroupId > ROOT_CGROUP_ID && containerIdOf(seen.cgroup) === id) return seen.cgroupId;
  const membership = cgroupOf(seen.pid);
  if (membership?.containerId !== id || membership.unifiedPath === undefined) return undefined;
  return cgroupIdOf(membership.unifiedPath);
}
