// Keeps the container table and the kernel's filter true: engines name containers, the tracker finds them first.

import { setTimeout as sleep } from 'node:timers/promises';
import { BpfMap, type ProgramRuns } from '../../bpf/index.js';
import { AccountKeeper } from './accounts.js';
import type { Engine, EngineContainer, EngineEvent } from './engines/engine.js';
import type { EngineOptions } from './engines/index.js';
import { EngineUnavailableError, reasonOf } from './errors.js';
import { follow } from './follow.js';
import { isKubernetesNode } from './kubernetes.js';
import { Namer } from './namer.js';
import { hostMntns } from './proc.js';
import type { Selector } from './selector.js';
import { ContainerTable } from './table.js';
import type { Sighting } from './sighting.js';
import { Tracker, type TrackerOptions } from './tracker.js';

export interface ManagerOptions {
  readonly selector: Selector;
  readonly engines?: EngineOptions;
  /** See `TrackerOptions.atSyscalls`; true when left out. */
  readonly atSyscalls?: boolean;
  /** False for a table without eBPF: containers are found when their engine says so. True when left out. */
  readonly track?: boolean;
  /** Whether to wait for every engine that may still answer, within its own limits; false when left out. */
  readonly patient?: boolean;
  /** Whether containers have `accounts`; false when left out. */
  readonly readAccounts?: boolean;
}

/** Room of the filter map: far more than a machine runs containers. */
const FILTER_ENTRIES = 65_536;
/** How often processes are looked at, and containers that ended long ago are forgotten. */
const SWEEP_MS = 1000;
/** An engine on this machine answers within milliseconds. Who takes longer is not waited for, but heard when it does. */
const PATIENCE_MS = 300;
/** Who answers may have much to list, or hang after all. */
const LIST_PATIENCE_MS = 3000;
/** To load what an engine is asked by takes a while, in which nothing else is done. */
const IDLE_MS = 1000;
const REMEDY = 'start the engine, run as root, or name its socket (with --docker-socketpath or one like it)';

export class ContainerManager {
  readonly table: ContainerTable;
  /** `gadget_mntns_filter_map` for gadgets to reuse; undefined when everything passes. */
  readonly filterMap: BpfMap | undefined;
  /** Sentences for the user: what does not work as well as it could. All are there from the start. */
  readonly warnings: string[] = [];
  readonly #selector: Selector;
  readonly #accounts: AccountKeeper | undefined;
  readonly #namer: Namer;
  readonly #engineOptions: EngineOptions;
  readonly #trackerOptions: TrackerOptions | undefined;
  readonly #stop = new AbortController();
  readonly #patient: boolean;
  /** Engines that are there and need not be asked at once. */
  readonly #idle: Engine[] = [];
  #later: NodeJS.Timeout | undefined;
  #tracker: Tracker | undefined;
  /** How often the filter had no room. */
  #shutOut = 0;
  #sweeper: NodeJS.Timeout | undefined;

  /** Makes the table and the filter, still empty. Throws `BpfError` when the filter cannot be made. */
  constructor(options: ManagerOptions) {
    this.#selector = options.selector;
    this.#engineOptions = options.engines ?? {};
    this.#patient = options.patient ?? false;
    this.table = new ContainerTable(options.selector);
    if (options.track !== false) {
      if (!options.selector.selectsAll) this.filterMap = createFilterMap();
      this.#trackerOptions = {
        hostMntns: hostMntns(),
        atSyscalls: options.atSyscalls ?? true,
        ...(this.filterMap === undefined ? {} : { filterMap: this.filterMap }),
      };
    }
    this.table.subscribe((change) => {
      if (change.kind === 'add' || change.kind === 'notContainer')
        this.#filter(change.mntns, change.selected);
    });
    this.#accounts = options.readAccounts === true ? new AccountKeeper(this.table) : undefined;
    this.#namer = new Namer(this.table, hostMntns(), this.#accounts);
  }

  /**
   * Finds what runs and goes on watching. To be awaited before a gadget's program is attached.
   * Rejects with an `AbortError` when closed meanwhile.
   */
  async start(): Promise<void> {
    const [, failures] = await Promise.all([this.#track(), this.#followAll()]);
    this.#stop.signal.throwIfAborted();
    this.#judge(failures);
    this.#namer.findRunning();
    await this.#accounts?.readAll();
    this.#stop.signal.throwIfAborted();
    this.#tracker?.poll();
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#later = setTimeout(() => this.#followIdle(), IDLE_MS);
  }

  /** For readers of events; undefined without the tracker. */
  get sightings(): Tracker['sightings'] | undefined {
    return this.#tracker?.sightings;
  }

  /** Tells the table at once of what has been sighted. */
  poll(): void {
    this.#tracker?.poll();
  }

  /** Names at once, as well as can be, whoever has been sighted: the last events wait for no engine. */
  settle(): void {
    this.poll();
    this.#namer.settleAll();
  }

  /**
   * In how many mount namespaces execs were not noticed when they should have been: at most so many events are missing,
   * or bear a wrong name. Until closed.
   */
  get unnoticed(): number {
    return (this.#tracker?.missed ?? 0) + this.#shutOut;
  }

  /** What the kernel has counted of the tracker's programs; nothing without it. */
  runs(): Map<string, ProgramRuns> {
    return this.#tracker?.runs() ?? new Map<string, ProgramRuns>();
  }

  /** Whether this is a Kubernetes node, as far as its containers tell. */
  get onKubernetes(): boolean {
    return isKubernetesNode(this.table.rows().map((row) => row.container));
  }

  /**
   * Has the table answer within two seconds who is in a mount namespace that no exec has shown; for events of
   * namespaces unknown to a reader.
   */
  identify(mntns: number, pid: number): void {
    this.#tracker?.poll();
    this.#namer.identify(mntns, pid);
  }

  /** Stops watching and frees the filter map. */
  close(): void {
    this.#stop.abort();
    clearInterval(this.#sweeper);
    clearTimeout(this.#later);
    this.#tracker?.close();
    this.#tracker = undefined;
    this.filterMap?.close();
  }

  /** Never rejects: without the tracker, containers are found when their engine says so. */
  async #track(): Promise<void> {
    if (this.#trackerOptions === undefined) return;
    const onSighting = (seen: Sighting): void => void this.#namer.resolve(seen);
    try {
      const tracker = await Tracker.start(this.#trackerOptions, onSighting);
      if (this.#stop.signal.aborted) tracker.close();
      else this.#tracker = tracker;
    } catch (error) {
      const reason = reasonOf(error);
      this.warnings.push(
        `The first events of new containers will be missed, as the container tracker does not run: ${reason}.`,
      );
    }
  }

  /**
   * What is wrong with which engine. Their clients are loaded only now, while the kernel loads the tracker. An engine
   * that is silent is waited for only when containers are asked for that it alone may know.
   */
  async #followAll(): Promise<Failure[]> {
    const { enginesFor } = await import('./engines/index.js');
    const engines = enginesFor(this.#engineOptions);
    const isIdle = await Promise.all(engines.map((engine) => engine.isIdle?.() ?? Promise.resolve(false)));
    this.#idle.push(...engines.filter((_, i) => isIdle[i]));
    const followed = engines.filter((_, i) => !isIdle[i]).map((engine) => this.#follow(engine));
    const listed = Promise.all(followed.map(({ outcome }) => outcome));
    await Promise.race([listed, sleep(PATIENCE_MS, undefined, { ref: false, signal: this.#stop.signal })]);
    const nobody = this.#idle.length === 0 && !followed.some(({ connected }) => connected);
    const mustWait = this.#patient || (this.#selector.asksForContainers && nobody);
    const failures = followed.map(async ({ engine, answered, outcome }) => {
      if (mustWait) return { engine, error: await outcome };
      const yet = new EngineUnavailableError(
        `${engine.name} at ${engine.address} does not answer yet, and is heard when it does.`,
      );
      const waited = answered ? sleep(LIST_PATIENCE_MS, yet, { ref: false }) : yet;
      return { engine, error: await Promise.race([waited, outcome]) };
    });
    return (await Promise.all(failures)).filter(({ error }) => error !== undefined);
  }

  /** Engines that ran nothing in the beginning: what they start from now on is sighted, and they are asked for it. */
  #followIdle(): void {
    for (const engine of this.#idle) this.#follow(engine);
  }

  #follow(engine: Engine): Followed {
    let settle: (error: unknown) => void = () => undefined;
    const outcome = new Promise<unknown>((resolve) => (settle = resolve));
    const followed = { engine, connected: false, answered: false, outcome };
    const listener = {
      onReached: () => {
        followed.connected = followed.answered = true;
      },
      onList: (containers: EngineContainer[]) => {
        this.#namer.learnAll(engine, containers);
        settle(undefined);
      },
      onEvent: (event: Exclude<EngineEvent, { kind: 'open' }>) => {
        // The kernel saw it first; a container's end must not be heard before its beginning.
        this.#tracker?.poll();
        this.#namer.hear(engine, event);
      },
      onLost: (error: unknown) => {
        followed.answered = true;
        this.#namer.lose(engine);
        settle(error);
      },
    };
    void follow(engine, listener, this.#stop.signal).then(() => settle(undefined));
    return followed;
  }

  /** What the engines that cannot be asked mean for the user. */
  #judge(failures: readonly Failure[]): void {
    // An engine that is not there is not missed, unless there is no other.
    const unusable = failures.filter(({ error }) => !isMissing(error)).map(({ error }) => reasonOf(error));
    const absent = failures.filter(({ error }) => isMissing(error)).map(({ engine }) => engine.name);
    if (this.#namer.connected.size + this.#idle.length > 0 || this.#selector.selectsAll) {
      this.warnings.push(...unusable.map((reason) => `${reason}.`));
      return;
    }
    const reasons = [...unusable, ...(absent.length > 0 ? [`there is no socket of ${listed(absent)}`] : [])];
    this.warnings.push(
      `Containers are known only by what the machine itself tells of them, as no container engine answers: ${reasons.join('; ')}; ${REMEDY}.`,
    );
  }

  #sweep(): void {
    // Whoever came to the namespace of a container that is forgotten now must be known before.
    this.#tracker?.poll();
    this.#namer.checkAlive();
    this.#accounts?.refresh();
    for (const row of this.table.sweep()) {
      for (const mntns of row.namespaces) {
        const taken = this.table.isHost(mntns) || this.table.byMntns(mntns) !== undefined;
        if (!taken) this.#filter(mntns, false);
      }
    }
  }

  #filter(mntns: number, passes: boolean): void {
    if (this.filterMap === undefined || this.#stop.signal.aborted) return;
    const key = new Uint8Array(8);
    new DataView(key.buffer).setBigUint64(0, BigInt(mntns), true);
    try {
      if (passes) this.filterMap.update(key, PASS);
      else this.filterMap.delete(key);
    } catch {
      this.#shutOut++;
    }
  }
}

/** An engine that is being followed. */
interface Followed {
  readonly engine: Engine;
  /** It answered, or it is clear that it cannot be asked. */
  readonly answered: boolean;
  readonly connected: boolean;
  /** Undefined once it has been listed, or when closed; what is wrong with it otherwise. */
  readonly outcome: Promise<unknown>;
}

interface Failure {
  readonly engine: Engine;
  readonly error: unknown;
}

function isMissing(error: unknown): boolean {
  return error instanceof EngineUnavailableError && error.missing;
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}

const PASS = new Uint8Array([1, 0, 0, 0]);

function createFilterMap(): BpfMap {
  return BpfMap.create({
    type: 'hash',
    name: 'mntns_filter',
    keySize: 8,
    valueSize: 4,
    maxEntries: FILTER_ENTRIES,
  });
}
