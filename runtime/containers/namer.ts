// Joins what engines say with what the kernel shows: which container, if any, a mount namespace belongs to.

import { setTimeout as sleep } from 'node:timers/promises';
import type { AccountKeeper } from './accounts.js';
import { cgroupIdOf, cgroupOf, containerIdOf, keyOfNames } from './cgroup.js';
import { type Container, type RuntimeName, shortId } from './container.js';
import type { Engine, EngineContainer, EngineEvent } from './engines/engine.js';
import { evidenceOf } from './evidence.js';
import { mntnsOf, processesByMntns } from './proc.js';
import { lookAt, type Sighting } from './sighting.js';
import type { ContainerTable, TableRow } from './table.js';

/** How long a namespace waits for an engine to name its container: its events wait longer (pipeline/hold.ts). */
const ANSWER_MS = 2000;
/** How many containers engines are asked about at once: more would have all of them wait too long. */
const MAX_ASKED = 64;
/** How long the name of a deleted container is kept. */
const FORGET_MS = 10_000;
/** The root of the cgroup v2 tree, which holds no container. */
const ROOT_CGROUP_ID = 1;

/** What is said of a container, running or not. */
interface Known {
  /** Who says so; undefined when only the machine's own files do. */
  readonly engine: Engine | undefined;
  readonly runtime: RuntimeName | '';
  readonly details: EngineContainer;
  /** When the engine deleted it, `Date.now()`. */
  readonly deletedAtMs?: number;
}

/** A container that engines are being asked about. */
interface Asked {
  readonly key: string;
  readonly seen: Sighting;
}

export class Namer {
  readonly #table: ContainerTable;
  readonly #hostMntns: number;
  /** Engines that can be asked now. */
  readonly #connected = new Set<Engine>();
  readonly #known = new Map<string, Known>();
  /** By mount namespace: who was sighted there last, and is being found out about. */
  readonly #asking = new Map<number, Asked>();
  /** Undefined when nobody asks for accounts. */
  readonly #accounts: AccountKeeper | undefined;

  constructor(table: ContainerTable, hostMntns: number, accounts?: AccountKeeper) {
    this.#table = table;
    this.#hostMntns = hostMntns;
    this.#accounts = accounts;
    table.notContainer(hostMntns);
  }

  get connected(): ReadonlySet<Engine> {
    return this.#connected;
  }

  /** The engine answers, and these are all its containers. */
  learnAll(engine: Engine, containers: readonly EngineContainer[]): void {
    this.#connected.add(engine);
    const keys = new Set(containers.map((container) => container.key));
    for (const [key, known] of this.#known) {
      if (known.engine === engine && !keys.has(key)) this.#forgetLater(key);
    }
    for (const container of containers) this.#learn(engine, container);
  }

  lose(engine: Engine): void {
    this.#connected.delete(engine);
  }

  hear(engine: Engine, event: Exclude<EngineEvent, { kind: 'open' }>): void {
    const { key } = event;
    switch (event.kind) {
      case 'created':
        if (event.name !== undefined) {
          const before = this.#known.get(key)?.details ?? { ...NOTHING_KNOWN, key, id: key };
          const { name, imageName = before.imageName } = event;
          this.#learn(engine, { ...before, name, imageName });
        }
        void this.#inspect(engine, key);
        break;
      case 'started':
        void this.#inspect(engine, key);
        break;
      case 'removed':
        this.#table.leave(key);
        break;
      case 'deleted':
        this.#forgetLater(key);
        break;
    }
  }

  /** Puts every namespace there is into the table: to be called once the engines have told what they know. */
  findRunning(): void {
    for (const [mntns, pid] of processesByMntns()) {
      if (this.#isAnswered(mntns)) continue;
      const seen = { ...lookAt(pid, mntns), bootNs: 0, sinceBootNs: 0 };
      const key = this.#keyOf(seen);
      if (key === undefined) this.#table.notContainer(mntns, 0);
      else this.#place(key, seen);
    }
  }

  /**
   * Answers for a namespace before its events have waited long enough: the table has it as a container's or as the
   * host's.
   */
  async resolve(seen: Sighting): Promise<void> {
    const key = this.#keyOf(seen);
    this.#settle(seen.mntns, key);
    if (key === undefined) {
      this.#table.notContainer(seen.mntns, seen.sinceBootNs);
      return;
    }
    // Those that are not asked about are told of when they start, unless their engine is unknown.
    const mayAsk = this.#connected.size > 0 && this.#asking.size < MAX_ASKED;
    const isUnnamed = mayAsk && this.#known.get(key)?.engine === undefined;
    const reading = this.#accounts?.readFirst(key, seen.pid, seen.mntns);
    if (isUnnamed || reading !== undefined) {
      const asked = { key, seen };
      this.#asking.set(seen.mntns, asked);
      // Whoever had the number of the namespace before has left it.
      if (this.#keyOfNamespace(seen.mntns) !== key) this.#table.vacate(seen.mntns, seen.sinceBootNs);
      await Promise.all([isUnnamed ? this.#ask(key) : undefined, reading]);
      // Meanwhile another container may have come to a namespace of the same number.
      if (this.#asking.get(seen.mntns) !== asked) return;
      this.#asking.delete(seen.mntns);
    }
    this.#place(key, seen);
  }

  /** Waits for no more answers: containers that engines are being asked about are what the machine tells of them. */
  settleAll(): void {
    for (const mntns of [...this.#asking.keys()]) this.#settle(mntns, undefined);
  }

  /** A container whose namespace is another's by now, before an answer came, is what the machine itself tells of it. */
  #settle(mntns: number, next: string | undefined): void {
    const asked = this.#asking.get(mntns);
    this.#asking.delete(mntns);
    if (asked !== undefined && asked.key !== next) this.#place(asked.key, asked.seen);
  }

  /** Answers for a namespace that no exec has shown: one that a running process made. */
  identify(mntns: number, pid: number): void {
    if (this.#isAnswered(mntns) || this.#asking.has(mntns)) return;
    // A process that is gone tells nothing, and the container that ended there meanwhile is the answer.
    if (this.#table.byMntns(mntns) !== undefined && mntnsOf(pid) !== mntns) return;
    void this.resolve(lookAt(pid, mntns));
  }

  /** Finds containers that ended without their engine saying so. */
  checkAlive(): void {
    let processes: Map<number, number> | undefined;
    const needed = new Set(Array.from(this.#asking.values(), ({ key }) => key));
    for (const row of this.#table.rows()) {
      if (row.container.removedAtMs === undefined)
        this.#checkRow(row, () => (processes ??= processesByMntns()));
      needed.add(row.container.key);
    }
    const longAgoMs = Date.now() - FORGET_MS;
    for (const [key, { engine, deletedAtMs = Infinity }] of this.#known) {
      if (deletedAtMs < longAgoMs || (engine === undefined && !needed.has(key))) this.#known.delete(key);
    }
  }

  /** Its first exec may have been seen, and not been resolved yet, when a short container is already deleted. */
  #forgetLater(key: string): void {
    const known = this.#known.get(key);
    if (known !== undefined) this.#known.set(key, { ...known, deletedAtMs: Date.now() });
  }

  /**
   * The container a process is in; undefined for the host's. What the machine tells of it is remembered now, as the
   * process, and the files, may be gone when the engines have answered.
   */
  #keyOf(seen: Sighting): string | undefined {
    const id =
      containerIdOf(seen.cgroup) ??
      containerIdOf(seen.parentCgroup) ??
      containerIdOf(seen.ancestor) ??
      cgroupOf(seen.pid)?.containerId;
    const named = keyOfNames(seen.parentCgroup, seen.cgroup);
    const said = [id, named].find((key) => key !== undefined && this.#known.get(key)?.engine !== undefined);
    if (said !== undefined) return said;
    const evidence = evidenceOf(seen, id);
    if (evidence === undefined) return this.#known.has(named) ? named : this.#keyOfNamespaces(seen);
    const { runtime, details } = evidence;
    // What files told of a container may be about one of the same id that ended.
    if (this.#known.get(details.key)?.engine === undefined) {
      this.#known.set(details.key, { engine: undefined, runtime, details });
    }
    return details.key;
  }

  /** Whose process made the namespace: one of a container that is known by its first process, or of the host. */
  #keyOfNamespaces({ mntns, parentPid }: Sighting): string | undefined {
    const parents = mntnsOf(parentPid);
    return this.#keyOfNamespace(mntns) ?? (parents === undefined ? undefined : this.#keyOfNamespace(parents));
  }

  /** Whose namespace it is by the container's first process. Others' numbers may be somebody else's by now. */
  #keyOfNamespace(mntns: number): string | undefined {
    const container = this.#table.byMntns(mntns)?.container;
    if (container?.mntns !== mntns || container.removedAtMs !== undefined) return undefined;
    return mntnsOf(container.pid) === mntns ? container.key : undefined;
  }

  #isAnswered(mntns: number): boolean {
    if (this.#table.isHost(mntns)) return true;
    const row = this.#table.byMntns(mntns);
    return row !== undefined && row.container.removedAtMs === undefined;
  }

  /** A namespace of a container: its own, or one more that it made. */
  #place(key: string, seen: Sighting): void {
    const running = this.#table.byKey(key);
    // It may have been started again under the same id before the engine told of its end.
    if (running !== undefined) this.#checkRow(running);
    const last = this.#table.byMntns(seen.mntns);
    // An engine has told of this life, from its beginning to its end, while it was being asked.
    if (last?.container.key === key && (last.untilBootNs ?? 0) > seen.bootNs) return;
    const container = this.#table.byKey(key)?.container ?? this.#container(key, seen);
    this.#table.add(container, seen.mntns, seen.sinceBootNs);
  }

  /** Has a container leave whose processes are gone. Another process may go on where the known one ended. */
  #checkRow(row: TableRow, allProcesses: () => ReadonlyMap<number, number> = processesByMntns): void {
    const { key, mntns } = row.container;
    if (row.container.removedAtMs !== undefined || mntnsOf(row.container.pid) === mntns) return;
    const pid = allProcesses().get(mntns);
    if (pid === undefined) this.#table.leave(key);
    else this.#table.update(key, { pid });
  }

  #container(key: string, seen: Sighting): Container {
    const known = this.#known.get(key);
    const details = known?.details ?? { ...NOTHING_KNOWN, key, id: key };
    const cgroupId = ownCgroupId(key, seen);
    const accounts = this.#accounts?.get(key);
    return {
      ...details,
      name: details.name === '' ? shortId(details.id) : details.name,
      runtime: known?.runtime ?? '',
      pid: details.pid === 0 ? seen.pid : details.pid,
      mntns: seen.mntns,
      ...(cgroupId !== undefined && { cgroupId }),
      ...(accounts !== undefined && { accounts }),
    };
  }

  #learn(engine: Engine, details: EngineContainer): void {
    const { key, pid, startedAt } = details;
    const known = { engine, runtime: engine.name, details: { ...details, pid: 0, startedAt: '' } };
    // The pid of a past life would be somebody else's by the next one.
    this.#known.set(key, known);
    const running = this.#table.byKey(key);
    if (pid !== 0 && running !== undefined && running.container.pid !== pid) this.#checkRow(running);
    if (this.#table.byKey(key) !== undefined) {
      const { key: _, pid: __, startedAt: ___, ...lasting } = details;
      const life = pid === 0 ? {} : { pid, startedAt };
      this.#table.update(key, { ...lasting, runtime: engine.name, ...life });
      return;
    }
    const mntns = pid === 0 ? undefined : mntnsOf(pid);
    if (mntns === undefined || mntns === this.#hostMntns) return;
    const seen = lookAt(pid, mntns);
    this.#table.add({ ...this.#container(key, seen), startedAt }, mntns, seen.sinceBootNs);
    void this.#accounts?.readFirst(key, pid, mntns);
  }

  /** Has every engine look for the container; whoever knows it is heard, also after the time is over. */
  async #ask(key: string): Promise<void> {
    const answers = [...this.#connected].map((engine) => this.#inspect(engine, key));
    const found = answers.map((answer) => answer.then((known) => known || Promise.reject(UNKNOWN_HERE)));
    // Nobody waits for an engine that hangs when another one knows the container.
    const heard = Promise.any(found).catch(() => undefined);
    await Promise.race([heard, sleep(ANSWER_MS, undefined, { ref: false })]);
  }

  /** Whether the engine knows the container. */
  async #inspect(engine: Engine, key: string): Promise<boolean> {
    try {
      const details = await engine.inspect(key);
      if (details !== undefined) this.#learn(engine, details);
      return details !== undefined;
    } catch {
      // An engine that cannot answer now will list its containers when it can.
      return false;
    }
  }
}

const UNKNOWN_HERE = new Error('the engine does not know the container');

const NOTHING_KNOWN = {
  name: '',
  pid: 0,
  imageName: '',
  imageDigest: '',
  imageId: '',
  startedAt: '',
  bundle: '',
};

function ownCgroupId(key: string, seen: Sighting): number | undefined {
  const isOwn = containerIdOf(seen.cgroup) === key || keyOfNames(seen.parentCgroup, seen.cgroup) === key;
  if (seen.cgroupId > ROOT_CGROUP_ID && isOwn) return seen.cgroupId;
  const membership = cgroupOf(seen.pid);
  if (membership?.containerId !== key || membership.unifiedPath === undefined) return undefined;
  return cgroupIdOf(membership.unifiedPath);
}
