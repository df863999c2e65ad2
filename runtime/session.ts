// One run of a gadget, from image to last event: the place where the rooms meet.

import { createHash } from 'node:crypto';
import { closeSync, unlinkSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import { bootToEpochNs } from '../bpf/clock.js';
import { moduleForm } from '../wasm/host/module-form.js';
import type { TableChange } from './containers/change.js';
import { WANTED_SWITCH } from './data/field.js';
import type { EngineOptions } from './containers/engines/index.js';
import { GroupNames } from './containers/group-names.js';
import { isKubernetesNode, nodeName } from './containers/kubernetes.js';
import { ContainerManager } from './containers/manager.js';
import { hostMntns } from './containers/proc.js';
import { Selector, type SelectorOptions } from './containers/selector.js';
import { areAtSyscalls } from './containers/tracker.js';
import { Gadget, type LoadedGadget } from './gadget/gadget.js';
import { hashesFiles } from './hashing/annotations.js';
import type { FileToHash, HashFailure } from './hashing/file.js';
import type { FileHasher } from './hashing/hasher.js';
import {
  DEFAULT_GUEST_LIMITS,
  type FilterModule,
  type Guest,
  type GuestLimits,
  filterModules,
  gadgetsModule,
  logLevel,
  logLine,
  prepareGuest,
} from './guest.js';
import { type HeldBackOf, HeldBackWatch } from './held-back.js';
import { type OpenImageOptions, type OpenedImage, openImage } from './open-image.js';
import type { Counts } from './pipeline/control.js';
import type { FieldDescription, ModuleConfig, OutputRequest, ViewColumn } from './pipeline/messages.js';
import {
  Pipeline,
  type PipelineConfig,
  type PipelineListener,
  askUnwanted,
  warmWorker,
} from './pipeline/pipeline.js';
import type { RunStats, StatsKeeper } from './stats.js';

export interface OpenOptions extends OpenImageOptions {
  /** Whether gadget.yaml is checked; always skipped for built-in gadgets. */
  readonly validateMetadata: boolean;
}

/** A gadget whose image is read: what it is can be told, nothing runs. */
export interface OpenedGadget extends OpenedImage {
  readonly gadget: Gadget;
}

/**
 * Finds an image by name, makes sure that it may be run, and opens its gadget.
 * Throws OciError, GadgetError, BpfError: one sentence each.
 */
export async function openGadget(name: string, options: OpenOptions): Promise<OpenedGadget> {
  const { image, resolved } = await openImage(name, options);
  const trusted = resolved.from === 'builtin';
  const checks = { trusted, validate: !trusted && options.validateMetadata };
  const gadget = await Gadget.open(resolved.reference?.name ?? name, image, checks);
  return { gadget, image, resolved };
}

export interface SessionOptions {
  readonly values: ReadonlyMap<string, string>;
  readonly selection: SelectorOptions;
  readonly engines: EngineOptions;
  readonly output: OutputRequest;
  /** Columns of a fixed look, see `OutputRequest.view`. */
  readonly view?: (onKubernetes: boolean) => readonly ViewColumn[];
  readonly filters: readonly string[];
  readonly sort?: string;
  readonly maxEntries: number;
  /** Shows more of what Wasm modules log. */
  readonly verbose?: boolean;
  /** Wasm modules that run after the gadget's own. */
  readonly wasmFilters?: readonly FilterModule[];
  readonly guestLimits?: GuestLimits;
  /** A recording to make of the run. */
  readonly record?: RecordRequest;
  /** Whether the run is measured, for `Session.stats`. */
  readonly stats?: boolean;
  /** Whether `swap` may be called. */
  readonly swaps?: boolean;
}

export interface RecordRequest {
  /** A file that is not there yet. */
  readonly path: string;
  /** Digest of the gadget's image, and the version of ig. */
  readonly image: string;
  readonly ig: string;
}

export interface SessionListener {
  warn(sentence: string): void;
  outputClosed(): void;
  failed(error: Error): void;
  /** What a Wasm module says of itself. */
  log(sentence: string): void;
}

/** What became of the events of a session. */
export interface Account {
  readonly counts: Counts;
  /** Of those that were read, the events that Wasm modules made. */
  readonly made: number;
  /** For how long programs were attached. */
  readonly seconds: number;
  /** Events the kernel side could not send, by cause. */
  readonly kernelLosses: ReadonlyMap<string, number>;
  /** How often the kernel passed programs over that it was not done with on the same CPU, by their names. */
  readonly passedOver: ReadonlyMap<string, number>;
  /** Mount namespaces that were not noticed in time: at most so many events are missing, or have a wrong name. */
  readonly unnoticed: number;
  /** Of the losses, whose --fair held back. */
  readonly heldBack: readonly HeldBackOf[];
  /** Events that were shown without the hash of their file. */
  readonly unhashed: Readonly<Record<HashFailure, number>>;
  /** Events that are not in the recording that was asked for, as it ended before the run. */
  readonly unrecorded?: number;
  /** Of all of the run, where it was measured. */
  readonly stats?: RunStats;
}

/** The fields of a gadget with these values, and those that Wasm modules add: they are started for that. */
export async function describeFields(
  gadget: Gadget,
  options: Pick<SessionOptions, 'wasmFilters' | 'guestLimits'> & Partial<Pick<SessionOptions, 'values'>> = {},
): Promise<readonly FieldDescription[]> {
  const limits = options.guestLimits ?? DEFAULT_GUEST_LIMITS;
  const filters = await filterModules(options.wasmFilters ?? [], limits, logLevel(false));
  const guest = await prepareGuest(gadget.wasm, limits);
  const { fields } = await describe(gadget, guest, filters, options.values ?? new Map());
  return fields;
}

/** What the pipeline would be, found out without anything in the kernel. */
async function describe(
  gadget: Gadget,
  guest: Guest | undefined,
  filters: readonly ModuleConfig[],
  values: ReadonlyMap<string, string>,
): Promise<Pick<Pipeline, 'fields' | 'settings'>> {
  const config = pipelineConfig(gadget, guest, filters, undefined, {
    values,
    selection: {},
    engines: {},
    output: { mode: 'json', fd: 1 },
    filters: [],
    maxEntries: -1,
  });
  const nobody = { changes: [], hostMntns: 0, filtering: false, ...nodeNaming(isKubernetesNode()) };
  const quiet: PipelineListener = {
    warn: () => undefined,
    outputClosed: () => undefined,
    failed: () => undefined,
    unknownMntns: () => undefined,
    catchUp: () => undefined,
  };
  return Pipeline.start({ ...config, containers: () => nobody }, quiet);
}

/** The switches of the gadget's fields that nobody is going to read. */
async function unwantedSwitches(
  gadget: Gadget,
  values: ReadonlyMap<string, string>,
  { record, swaps, wasmFilters = [], view, ...options }: SessionOptions,
  worker: Worker,
): Promise<readonly string[]> {
  const { wasm } = gadget;
  const sources = gadget.enabledSources(values);
  const hasSwitches = sources.some(({ fieldAnnotations }) =>
    Object.values(fieldAnnotations).some((annotations) => annotations[WANTED_SWITCH] !== undefined),
  );
  const { mode, fields } = options.output;
  // JSON has every field unless some are chosen; nobody knows what filters read, core modules, or who replays a recording.
  const isAnyRead =
    (!/columns|none/.test(mode) && fields === undefined) ||
    record !== undefined ||
    swaps === true ||
    wasmFilters.length > 0 ||
    (wasm !== undefined && moduleForm(wasm) === 'core');
  if (!hasSwitches || isAnyRead) return [];
  const onKubernetes = isKubernetesNode();
  const { filters, sort, maxEntries } = options;
  return askUnwanted(worker, {
    ...{ sources, filters, maxEntries },
    ...(sort === undefined ? {} : { sort }),
    output: view === undefined ? options.output : { ...options.output, view: view(onKubernetes) },
    hashing: hashesFiles(gadget.sources, values),
    containers: { changes: [], hostMntns: 0, filtering: false, ...nodeNaming(onKubernetes) },
    bootToEpochNs: 0n,
    hasModule: wasm !== undefined,
  });
}

function pipelineConfig(
  gadget: Gadget,
  guest: Guest | undefined,
  filters: readonly ModuleConfig[],
  loaded: LoadedGadget | undefined,
  options: SessionOptions,
): PipelineConfig {
  const values = gadget.completeValues(options.values, loaded === undefined);
  const own = {
    params: gadget.wasmValues(values),
    maps: loaded?.maps ?? [],
    logLevel: logLevel(options.verbose),
  };
  return {
    sources: gadget.enabledSources(values),
    rings: loaded?.rings ?? [],
    hashing: loaded !== undefined && hashesFiles(gadget.sources, values),
    output: options.output,
    filters: options.filters,
    maxEntries: options.maxEntries,
    bootToEpochNs: bootToEpochNs(),
    guestBudgetMs: (options.guestLimits ?? DEFAULT_GUEST_LIMITS).budgetMs,
    modules: [...(guest === undefined ? [] : [gadgetsModule(guest, own)]), ...filters],
    ...(options.sort === undefined ? {} : { sort: options.sort }),
  };
}

/** Whether anything may show what containers call their users; JSON, YAML and recordings have every field. */
function showsAccounts({ sources }: Gadget, { output, filters, sort, record }: SessionOptions): boolean {
  const hasIds = sources.some(({ fields }) => fields.some(({ tags }) => tags.some(isIdTag)));
  const texts = [output.fields, sort, ...filters];
  const asked = texts.some((text) => text !== undefined && /container_/i.test(text));
  return hasIds && (asked || record !== undefined || !['columns', 'none'].includes(output.mode));
}

function isIdTag(tag: string): boolean {
  return tag === 'type:gadget_uid' || tag === 'type:gadget_gid';
}

function nodeNaming(onKubernetes: boolean): { node?: string } {
  return onKubernetes ? { node: nodeName() } : {};
}

/** Has a Wasm module that changes the gadget's configuration do so; others wait for the loaded gadget. */
async function configure(
  gadget: Gadget,
  preparing: Promise<Guest | undefined>,
  values: ReadonlyMap<string, string>,
): Promise<void> {
  // What is no core module need not be ready before the gadget is loaded.
  if (gadget.wasm === undefined || moduleForm(gadget.wasm) !== 'core') return;
  const guest = await preparing;
  if (guest === undefined || !('form' in guest) || !guest.configures) return;
  const { settings } = await describe(gadget, guest, [], values);
  gadget.configure(settings);
}

/** Makes the file of a recording, of what the pipeline is going to get. Returns its descriptor. */
async function beginRecording(
  { path, image, ig }: RecordRequest,
  { name, metadata, wasm }: Gadget,
  config: PipelineConfig,
): Promise<number> {
  const { createRecording } = await import('./recording/writer.js');
  const { filtering, hostMntns, node } = config.containers!();
  const header = {
    ...{ ig, image, gadget: name, description: metadata.description },
    sources: config.sources,
    bootToEpochNs: config.bootToEpochNs,
    ...(config.hashing === true ? { hashing: true } : {}),
    naming: { filtering, hostMntns, ...(node === undefined ? {} : { node }) },
  };
  if (wasm === undefined) return createRecording(path, header, undefined);
  const digest = createHash('sha256').update(wasm).digest('hex');
  const { params } = config.modules.find(({ role }) => role === 'gadget')!;
  return createRecording(path, { ...header, wasm: { digest, params } }, wasm);
}

/** Undefined when there is nothing to hash. */
async function startHasher(
  { sources }: Gadget,
  values: ReadonlyMap<string, string>,
): Promise<FileHasher | undefined> {
  if (!hashesFiles(sources, values)) return undefined;
  const { FileHasher } = await import('./hashing/hasher.js');
  return new FileHasher();
}

/** Undefined when nothing is to be measured. */
async function startStats(
  { stats }: SessionOptions,
  listener: SessionListener,
): Promise<StatsKeeper | undefined> {
  if (stats !== true) return undefined;
  const { StatsKeeper } = await import('./stats.js');
  return new StatsKeeper((sentence) => listener.warn(sentence));
}

/** A process may be gone, and its parent. The container's first one lasts, as does init. */
function withPlaces(file: FileToHash, { table }: ContainerManager, mntns: number): FileToHash {
  const first = table.byMntns(mntns)?.container.pid ?? 0;
  return { ...file, pids: [...file.pids, first, 1].filter((pid) => pid > 0) };
}

export class Session {
  private readonly loaded: LoadedGadget;
  private readonly manager: ContainerManager;
  private readonly pipeline: Pipeline;
  private readonly hasher: FileHasher | undefined;
  private readonly recordFd: number | undefined;
  private readonly heldBack: HeldBackWatch | undefined;
  private readonly statsKeeper: StatsKeeper | undefined;
  private readonly beganMs = performance.now();
  private readonly options: SessionOptions;
  private modules: readonly ModuleConfig[];

  /**
   * Loads the gadget, finds containers, compiles the pipeline, attaches the programs; events flow from here on.
   * The gadget is used up. Throws one sentence of whatever went wrong, everything undone.
   */
  static async start(
    gadget: Gadget,
    options: SessionOptions,
    listener: SessionListener,
    worker = warmWorker(),
  ): Promise<Session> {
    const values = gadget.completeValues(options.values);
    const manager = new ContainerManager({
      selector: new Selector(options.selection),
      engines: options.engines,
      readAccounts: showsAccounts(gadget, options),
      atSyscalls: areAtSyscalls(gadget.enabledSections(values)),
    });
    const [hasher, statsKeeper] = await Promise.all([
      startHasher(gadget, values),
      startStats(options, listener),
    ]);
    const limits = options.guestLimits ?? DEFAULT_GUEST_LIMITS;
    const preparing = prepareGuest(gadget.wasm, limits);
    const preparingFilters = filterModules(options.wasmFilters ?? [], limits, logLevel(options.verbose));
    const choosing = unwantedSwitches(gadget, values, options, worker);
    const loading = Promise.all([choosing, configure(gadget, preparing, options.values)]).then(([unwanted]) =>
      gadget.load(values, manager.filterMap, unwanted),
    );
    let pipeline: Pipeline | undefined;
    let recordFd: number | undefined;
    try {
      // Only attaching has an order: the manager's tracker comes before the gadget.
      const [loaded, guest, filters] = await Promise.all([
        loading,
        preparing,
        preparingFilters,
        manager.start(),
      ]);
      const { onKubernetes } = manager;
      const view = options.view?.(onKubernetes);
      const output = view === undefined ? options.output : { ...options.output, view };
      const config = {
        ...pipelineConfig(gadget, guest, filters, loaded, { ...options, output }),
        unwanted: await choosing,
      };
      const containers = (): NonNullable<ReturnType<NonNullable<PipelineConfig['containers']>>> => ({
        changes: manager.table.snapshot(),
        hostMntns: hostMntns(),
        filtering: manager.filterMap !== undefined,
        ...nodeNaming(onKubernetes),
        ...(manager.sightings === undefined ? {} : { sightings: manager.sightings }),
      });
      const complete = { ...config, containers };
      if (options.record !== undefined) recordFd = await beginRecording(options.record, gadget, complete);
      // What changes while the worker starts is newer than the table it starts with.
      const changes: TableChange[] = [];
      manager.table.subscribe((change) => {
        if (pipeline === undefined) changes.push(change);
        else pipeline.tellContainer(change);
      });
      pipeline = await Pipeline.start(
        {
          ...complete,
          ...(recordFd === undefined ? {} : { recordFd }),
          ...(statsKeeper === undefined ? {} : { meter: statsKeeper.meter.memory }),
        },
        {
          warn: (sentence) => listener.warn(sentence),
          outputClosed: () => listener.outputClosed(),
          failed: (error) => listener.failed(error),
          unknownMntns: (mntns, pid) => manager.identify(mntns, pid),
          catchUp: () => manager.poll(),
          hashFile: (file, mntns) =>
            hasher?.ask(withPlaces(file, manager, mntns), (outcome) => {
              const { major, minor, inode, ctimeNs } = file;
              pipeline?.tellHash({ major, minor, inode, ctimeNs, ...outcome });
            }),
          guestLog: (module, level, text) => listener.log(logLine(gadget.name, module, level, text)),
        },
        worker,
      );
      for (const change of changes) pipeline.tellContainer(change);
      for (const sentence of [...manager.warnings, ...loaded.attach()]) listener.warn(sentence);
      pipeline.begin();
      statsKeeper?.begin();
      const names = new GroupNames(manager.table);
      const warn = (sentence: string): void => listener.warn(sentence);
      const heldBack = loaded.heldBack && new HeldBackWatch(loaded.heldBack, names, warn);
      return new Session({
        loaded,
        manager,
        pipeline,
        hasher,
        recordFd,
        heldBack,
        statsKeeper,
        options,
        modules: config.modules,
      });
    } catch (error) {
      await pipeline?.stop();
      hasher?.close();
      statsKeeper?.close();
      manager.close();
      if (recordFd !== undefined) {
        closeSync(recordFd);
        unlinkSync(options.record!.path);
      }
      await loading.then(
        (loaded) => loaded.close(),
        () => undefined,
      );
      throw error;
    }
  }

  private constructor(parts: {
    loaded: LoadedGadget;
    manager: ContainerManager;
    pipeline: Pipeline;
    hasher: FileHasher | undefined;
    recordFd: number | undefined;
    heldBack: HeldBackWatch | undefined;
    statsKeeper: StatsKeeper | undefined;
    options: SessionOptions;
    modules: readonly ModuleConfig[];
  }) {
    this.loaded = parts.loaded;
    this.manager = parts.manager;
    this.pipeline = parts.pipeline;
    this.hasher = parts.hasher;
    this.recordFd = parts.recordFd;
    this.heldBack = parts.heldBack;
    this.statsKeeper = parts.statsKeeper;
    this.options = parts.options;
    this.modules = parts.modules;
  }

  /**
   * Has other modules take the place of the gadget's own, and of the filters; no event is lost. Left out, they stay.
   * Throws one sentence, with the old ones running on.
   */
  async swap({
    wasm,
    wasmFilters,
  }: {
    wasm?: Uint8Array;
    wasmFilters?: readonly FilterModule[];
  }): Promise<void> {
    const limits = this.options.guestLimits ?? DEFAULT_GUEST_LIMITS;
    const guest = await prepareGuest(wasm, limits);
    const own = this.modules.filter(({ role }) => role === 'gadget');
    const filters =
      wasmFilters === undefined
        ? this.modules.filter(({ role }) => role === 'filter')
        : await filterModules(wasmFilters, limits, logLevel(this.options.verbose));
    const modules = [
      ...(guest === undefined ? own : own.map((module) => ({ ...module, guest }))),
      ...filters,
    ];
    await this.pipeline.swap(modules);
    this.modules = modules;
  }

  resize(widthColumns: number): void {
    this.pipeline.resize(widthColumns);
  }

  /** Whether the output ends, for now, in the middle of a line. */
  get isMidLine(): boolean {
    return this.pipeline.isMidLine;
  }

  /** How the run does; undefined unless `SessionOptions.stats` asks for it. Not after `stop`. */
  stats(): RunStats | undefined {
    const { loaded, manager, pipeline } = this;
    return this.statsKeeper?.read({
      counts: () => pipeline.counts(),
      kernelLosses: () => loaded.losses(),
      runs: () => new Map([...loaded.runs(), ...manager.runs()]),
      modules: () => this.modules.map(({ role, name }) => (role === 'gadget' ? 'wasm' : name)),
      rings: loaded.rings.map(({ sizeBytes }, i) => ({ name: loaded.ringNames[i]!, sizeBytes })),
    });
  }

  /** Detaches, writes what was captured, frees everything. */
  async stop(): Promise<Account> {
    this.loaded.detach();
    const seconds = (performance.now() - this.beganMs) / 1000;
    this.statsKeeper?.settle();
    this.manager.settle();
    await this.pipeline.stop();
    this.hasher?.close();
    const kernelLosses = this.loaded.losses();
    const { unnoticed } = this.manager;
    const heldBack = this.heldBack?.finish() ?? [];
    const counts = this.pipeline.counts();
    const passedOver = this.loaded.passedOver();
    const stats = this.stats();
    this.loaded.close();
    this.manager.close();
    this.statsKeeper?.close();
    return {
      ...{ counts, made: this.pipeline.made, seconds },
      ...(stats === undefined ? {} : { stats }),
      kernelLosses,
      passedOver,
      unnoticed,
      unhashed: this.pipeline.unhashed,
      heldBack,
      ...(await this.endRecording(counts, kernelLosses)),
    };
  }

  /** Puts into the recording what it does not hold for others' faults. */
  private async endRecording(
    counts: Counts,
    kernelLosses: ReadonlyMap<string, number>,
  ): Promise<Pick<Account, 'unrecorded'>> {
    if (this.recordFd === undefined) return {};
    const { endRecording } = await import('./recording/writer.js');
    const { recorded, made } = this.pipeline;
    const unrecorded = counts.read - made - counts.lostTooLarge - recorded;
    const { recordingFailed } = this.pipeline;
    const leftOver = recordingFailed ? 0 : unrecorded;
    const losses = new Map([
      ...kernelLosses,
      ['record too large', counts.lostTooLarge],
      ['left over at the end', leftOver],
    ]);
    if (!recordingFailed) endRecording(this.recordFd, { losses });
    closeSync(this.recordFd);
    return recordingFailed ? { unrecorded } : {};
  }
}
