// A recorded run, carried through a pipeline again: no kernel, no engine, no native addon.

import { Selector, type SelectorOptions } from './containers/selector.js';
import { GUEST_BUDGET_MS, prepareGuest } from './guest.js';
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
}

export interface ReplayListener {
  warn(sentence: string): void;
  outputClosed(): void;
  failed(error: Error): void;
  /** All that can be read has been. */
  ended(): void;
}

export interface ReplayAccount {
  readonly counts: Counts;
  /** How far it came; undefined when it was stopped before. */
  readonly replayed: Replayed | undefined;
}

/** The fields that a replay can show: the module is started for that. */
export async function describeRecording(recording: Recording): Promise<readonly FieldDescription[]> {
  const output = { mode: 'json', fd: 1 };
  const config = await configOf(recording, { output, filters: [], maxEntries: -1 });
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
  { selection, ...options }: ReplayOptions,
): Promise<PipelineConfig> {
  const { sources, bootToEpochNs, naming } = header;
  const narrows = selection !== undefined && !new Selector(selection).selectsAll;
  const guest = await prepareGuest(module);
  return {
    ...options,
    ...{ sources, bootToEpochNs, rings: [], guestBudgetMs: GUEST_BUDGET_MS },
    containers: () => ({ ...naming, changes: [], filtering: naming.filtering || narrows }),
    replay: {
      ...{ fd, framesAt, position: new SharedArrayBuffer(8) },
      ...(narrows ? { selection } : {}),
    },
    ...(guest === undefined ? {} : { wasm: { guest, params: header.wasm?.params ?? [], enabled: true } }),
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
