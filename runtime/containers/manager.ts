// Keeps the container table and the kernel's filter true: engines name containers, the tracker finds them first.

import { BpfMap } from '../../bpf/index.js';
import type { Engine, EngineContainer, EngineEvent } from './engine.js';
import type { EngineOptions } from './engines.js';
import { EngineUnavailableError, reasonOf } from './errors.js';
import { follow } from './follow.js';
import { Namer } from './namer.js';
import { hostMntns } from './proc.js';
import type { Selector } from './selector.js';
import { ContainerTable } from './table.js';
import { type Sighting, Tracker, type TrackerOptions } from './tracker.js';

export interface ManagerOptions {
  readonly selector: Selector;
  readonly engines?: EngineOptions;
  /** See `TrackerOptions.atSyscalls`; true when left out. */
  readonly atSyscalls?: boolean;
  /** False for a table without eBPF: containers are found when their engine says so. True when left out. */
  readonly track?: boolean;
}

/** Room of the filter map: far more than a machine runs containers. */
const FILTER_ENTRIES = 65_536;
/** How often processes are looked at, and containers that ended long ago are forgotten. */
const SWEEP_MS = 1000;
const REMEDY =
  'start the container engine, run as root, or name its socket (for docker with --docker-socketpath)';

export class ContainerManager {
  readonly table: ContainerTable;
  /** `gadget_mntns_filter_map` for gadgets to reuse; undefined when everything passes. */
  readonly filterMap: BpfMap | undefined;
  /** Sentences for the user: what does not work as well as it could. Most are there from the start. */
  readonly warnings: string[] = [];
  readonly #selector: Selector;
  readonly #namer: Namer;
  readonly #engineOptions: EngineOptions;
  readonly #trackerOptions: TrackerOptions | undefined;
  readonly #stop = new AbortController();
  #tracker: Tracker | undefined;
  #sweeper: NodeJS.Timeout | undefined;

  /** Makes the table and the filter, still empty. Throws `BpfError` when the filter cannot be made. */
  constructor(options: ManagerOptions) {
    this.#selector = options.selector;
    this.#engineOptions = options.engines ?? {};
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
    this.#namer = new Namer(this.table, hostMntns());
  }

  /**
   * Finds what runs and goes on watching. To be awaited before a gadget's program is attached.
   * Rejects with {@link EngineUnavailableError} when containers are asked for by name and no engine can be reached,
   * and with an `AbortError` when closed meanwhile. Either way the manager is to be closed.
   */
  async start(): Promise<void> {
    const [, failures] = await Promise.all([this.#track(), this.#followAll()]);
    this.#stop.signal.throwIfAborted();
    this.#judge(failures);
    this.#namer.findRunning();
    this.#tracker?.poll();
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
  }

  /**
   * Has the table answer within half a second who is in a mount namespace that no exec has shown; for events of
   * namespaces unknown to a reader which sees more than the filter lets through.
   */
  identify(mntns: number, pid: number): void {
    this.#tracker?.poll();
    this.#namer.identify(mntns, pid);
  }

  /** Stops watching and frees the filter map. */
  close(): void {
    this.#stop.abort();
    clearInterval(this.#sweeper);
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

  /** Why engines could not be asked. Their clients are loaded only now, while the kernel loads the tracker. */
  async #followAll(): Promise<unknown[]> {
    const { allEngines } = await import('./engines.js');
    const outcomes = await Promise.all(allEngines(this.#engineOptions).map((engine) => this.#follow(engine)));
    return outcomes.filter((failure) => failure !== undefined);
  }

  /** Follows an engine; resolves once it has been listed, with the reason why it could not be, or when closed. */
  #follow(engine: Engine): Promise<unknown> {
    return new Promise((resolve) => {
      const listener = {
        onList: (containers: EngineContainer[]) => {
          this.#namer.learnAll(engine, containers);
          resolve(undefined);
        },
        onEvent: (event: Exclude<EngineEvent, { kind: 'open' }>) => {
          // The kernel saw it first; a container's end must not be heard before its beginning.
          this.#tracker?.poll();
          this.#namer.hear(engine, event);
        },
        onLost: (error: unknown) => {
          this.#namer.lose(engine);
          resolve(error);
        },
      };
      void follow(engine, listener, this.#stop.signal).then(resolve);
    });
  }

  /** What the engines that cannot be asked mean for the user. */
  #judge(failures: readonly unknown[]): void {
    const reasons = failures.map(reasonOf).join('; ');
    const nobody = this.#namer.connected.size === 0;
    if (nobody && this.#selector.namesContainers) {
      throw new EngineUnavailableError(
        `Containers cannot be found by name, as no container engine answers: ${reasons}; ${REMEDY}.`,
        { cause: failures[0] },
      );
    }
    if (nobody && !this.#selector.host) {
      this.warnings.push(`Containers have no names, as no container engine answers: ${reasons}; ${REMEDY}.`);
      return;
    }
    // An engine that is not there is not missed.
    const unusable = failures.filter((error) => !(error instanceof EngineUnavailableError && error.missing));
    this.warnings.push(...unusable.map((error) => `${reasonOf(error)}.`));
  }

  #sweep(): void {
    // Whoever came to the namespace of a container that is forgotten now must be known before.
    this.#tracker?.poll();
    this.#namer.checkAlive();
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
    } catch (error) {
      const warning = `Events of some containers are missing: ${reasonOf(error)}.`;
      if (!this.warnings.includes(warning)) this.warnings.push(warning);
    }
  }
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
