// A recorded run, carried through a pipeline again: no kernel, no engine, no native addon.

import { Selector, type SelectorOptions } from './containers/selector.js';
import {
  DEFAULT_GUEST_LIMITS,
  type FilterModule,
  type GuestLimits,
  filterModules,
  gadgetsModule,
  logLevel,
  logLine,
  prepareGuest,
} from './guest.js';
import type { Counts } from './pipeline/control.js';
import type { FieldDescription, OutputRequest, Replayed } from './pipeline/messages.js';
import { Pipeline, type PipelineConfig } from './pipeline/pipeline.js';
import type { Recording } from './recording/reader.js';

export interface ReplayOptions {
  /** Which of the containers that were recorded are shown; left out, all of them. */
  readonly selection?: SelectorOptions;
  readonly output: OutputRequest;
  readonly filters: readonly string[];
  readonly sort?: string;
  readonly maxEntries: number;
  /** Shows more of what Wasm modules log. */
  readonly verbose?: boolean;
  /** Wasm modules that run after the gadget's own. */
  readonly wasmFilters?: readonly FilterModule[];
  readonly guestLimits?: GuestLimits;
}

export interface ReplayListener {
  warn(sentence: string): void;
  outputClosed(): void;
  failed(error: Error): void;
  /** All that can be read has been. */
  ended(): void;
  /** What a Wasm module says of itself. */
  log(sentence: string): void;
}

export interface ReplayAccount {
  readonly counts: Counts;
  /** How far it came; undefined when it was stopped before. */
  readonly replayed: Replayed | undefined;
}

/** The fields that a replay can show: the module is started for that. */
export async function describeRecording(
  recording: Recording,
  more: Pick<ReplayOptions, 'wasmFilters' | 'guestLimits'> = {},
): Promise<readonly FieldDescription[]> {
  const output = { mode: 'json', fd: 1 };
  const config = await configOf(recording, { ...more, output, filters: [], maxEntries: -1 });
  const { replay: _, ...describeOnly } = config;
  const quiet = {
    ...NO_KERNEL,
    warn: (): void => undefined,
    outputClosed: (): void => undefined,
    failed: (): void => undefined,
  };
  return (await Pipeline.start(describeOnly, quiet)).fields;
}

/** What only a running machine can be asked. */
const NO_KERNEL = { unknownMntns: (): void => undefined, catchUp: (): void => undefined };

async function configOf(
  { fd, framesAt, header, module }: Recording,
  { selection, wasmFilters = [], guestLimits = DEFAULT_GUEST_LIMITS, verbose, ...options }: ReplayOptions,
): Promise<PipelineConfig> {
  const { sources, bootToEpochNs, naming } = header;
  const narrows = selection !== undefined && !new Selector(selection).selectsAll;
  const [guest, filters] = await Promise.all([
    prepareGuest(module, guestLimits),
    filterModules(wasmFilters, guestLimits, logLevel(verbose)),
  ]);
  const own = { params: header.wasm?.params ?? [], logLevel: logLevel(verbose) };
  return {
    ...options,
    ...{ sources, bootToEpochNs, rings: [], guestBudgetMs: guestLimits.budgetMs },
    hashing: header.hashing ?? false,
    containers: () => ({ ...naming, changes: [], filtering: naming.filtering || narrows }),
    replay: {
      ...{ fd, framesAt, position: new SharedArrayBuffer(8) },
      ...(narrows ? { selection } : {}),
    },
    modules: [...(guest === undefined ? [] : [gadgetsModule(guest, own)]), ...filters],
  };
}

export class Replay {
  private readonly pipeline: Pipeline;
  private replayed: Replayed | undefined;

  /** Compiles the pipeline; events flow from here on. Throws one sentence of whatever is wrong. */
  static async start(
    recording: Recording,
    options: ReplayOptions,
    listener: ReplayListener,
  ): Promise<Replay> {
    let replayed: (end: Replayed) => void = () => undefined;
    const pipeline = await Pipeline.start(await configOf(recording, options), {
      ...NO_KERNEL,
      warn: (sentence) => listener.warn(sentence),
      outputClosed: () => listener.outputClosed(),
      failed: (error) => listener.failed(error),
      replayed: (end) => replayed(end),
      guestLog: (module, level, text) => listener.log(logLine(recording.header.gadget, module, level, text)),
    });
    const replay = new Replay(pipeline);
    replayed = (end) => {
      replay.replayed = end;
      listener.ended();
    };
    pipeline.begin();
    return replay;
  }

  private constructor(pipeline: Pipeline) {
    this.pipeline = pipeline;
  }

  async stop(): Promise<ReplayAccount> {
    await this.pipeline.stop();
    return { counts: this.pipeline.counts(), replayed: this.replayed };
  }
}
