// The main thread's side of a pipeline: starts its worker, watches over the guest, replaces a worker that hangs.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { RingReader } from '../../bpf/ring.js';
import type { TableChange } from '../containers/change.js';
import type { FileToHash, HashedFile, HashFailure } from '../hashing/file.js';
import { Control, type Counts } from './control.js';
import { PipelineError } from './errors.js';
import { MAX_GUEST_FAILURES, restMs } from './limits.js';
import { GADGETS_MODULE, called } from './module-name.js';
import type { ModuleTraces } from './absent-module.js';
import type { ModuleFailure } from './modules.js';
import type {
  FieldDescription,
  FromWorker,
  ModuleConfig,
  Replayed,
  ToWorker,
  WorkerConfig,
} from './messages.js';
import type { WantedConfig } from './wanted.js';

export interface PipelineConfig extends Omit<WorkerConfig, 'control' | 'containers'> {
  /** Asked whenever a worker starts. */
  readonly containers?: () => NonNullable<WorkerConfig['containers']>;
  /** How long a Wasm module may work on one batch. */
  readonly guestBudgetMs: number;
}

/** What a pipeline reports while it runs. */
export interface PipelineListener {
  /** A sentence for the user. */
  warn(sentence: string): void;
  /** Nobody reads the output any more. */
  outputClosed(): void;
  /** The pipeline cannot go on. */
  failed(error: PipelineError): void;
  unknownMntns(mntns: number, pid: number): void;
  /** `Pipeline.tellHash` is to be called with its hash; the process that executed it is of that mount namespace. */
  hashFile?(file: FileToHash, mntns: number): void;
  /** The worker waits for the news of mount namespaces that have been sighted. */
  catchUp(): void;
  /** A Wasm module says something; `level` from 0 (error) to 4 (trace). */
  guestLog?(module: string, level: number, text: string): void;
  /** A replay has come to its end. */
  replayed?(replayed: Replayed): void;
}

const WATCH_EVERY_MS = 100;
const START_BUDGET_MS = 10_000;
/** What a stop has for the work left, beside the time that a module may take for a batch. */
const STOP_BUDGET_MS = 900;
/** How long it waits, beyond that, for a worker that is in no module: it is at work, on a busy machine. */
const STOP_PATIENCE_MS = 20_000;

/** Why workers ended that may not have been given to a pipeline yet. */
const early = new WeakMap<Worker, Error>();

/** A worker that loads its code while the main thread has other things to do; give it to `Pipeline.start`. */
export function warmWorker(): Worker {
  const worker = new Worker(new URL('worker.js', import.meta.url), {
    // What a guest returns becomes JavaScript objects; its memory cap does not bound those.
    resourceLimits: { maxOldGenerationSizeMb: 256 },
  });
  worker.unref();
  worker.once('error', (error) => early.set(worker, error));
  return worker;
}

/**
 * Asks a worker that is not given to `Pipeline.start` yet which switches of a gadget's fields nobody reads. Throws
 * PipelineError when it does not live.
 */
export async function askUnwanted(worker: Worker, config: WantedConfig): Promise<readonly string[]> {
  const ended = new AbortController();
  const end = (): void => ended.abort();
  const timer = setTimeout(end, START_BUDGET_MS);
  worker.once('exit', end).ref();
  try {
    const failure = early.get(worker);
    if (failure !== undefined) throw failure;
    worker.postMessage(config);
    const [unwanted] = (await once(worker, 'message', { signal: ended.signal })) as [readonly string[]];
    return unwanted;
  } catch (cause) {
    const why = ended.signal.aborted ? 'it did not begin' : String((cause as Error).message);
    throw new PipelineError(`the event pipeline failed: ${why}`, { cause });
  } finally {
    clearTimeout(timer);
    worker.off('exit', end).unref();
  }
}

/** How a module has been doing. */
interface ModuleState {
  readonly name: string;
  timeouts: number;
  /** Whether it goes on. */
  enabled: boolean;
  restMs: number;
  /** Failures that were told. */
  warnings: number;
}

function stateOf({ name, enabled }: ModuleConfig): ModuleState {
  return { name, enabled, timeouts: 0, restMs: 0, warnings: 0 };
}

/** What a module took too much of, so that its worker had to be ended. */
type Excess = 'time' | 'memory';

/** Failures of one module that are told one by one; it may fail every other batch. */
const MAX_WARNINGS = 10;
/** Names of errors that are a module's fault. */
const GUEST_ERRORS = new Set(['GuestError', 'PatchError', 'InvalidModuleError']);

interface Swap {
  readonly modules: readonly ModuleConfig[];
  readonly done: (failure?: PipelineError) => void;
}

export class Pipeline {
  /** The fields of all data sources, with what the Wasm module and the operators add. */
  fields: readonly FieldDescription[] = [];
  /** What the Wasm module wants changed before the gadget is loaded. */
  settings: readonly (readonly [key: string, value: string])[] = [];
  /** Whether a recording ended before the run. */
  recordingFailed = false;
  private readonly control = new Control();
  private config: PipelineConfig;
  private readonly listener: PipelineListener;
  private worker: Worker | undefined;
  private watchdog: NodeJS.Timeout | undefined;
  /** Whether the worker has started its modules; before, it gets more time than for a batch. */
  private isReady = false;
  /** Under way: the end of a worker that hangs. */
  private terminating: Promise<unknown> | undefined;
  private stopping = false;
  private modules: ModuleState[];
  /** What each module has made of the data sources; empty before the first start. */
  private traces: readonly ModuleTraces[] = [];
  /** Under way: the modules that are to take the place of those that run. */
  private swapping: Swap | undefined;
  private finished: (() => void) | undefined;

  private constructor(config: PipelineConfig, listener: PipelineListener) {
    this.config = config;
    this.listener = listener;
    this.modules = config.modules.map(stateOf);
  }

  /**
   * Starts the worker; resolves when it has compiled everything: fields, filters, output. Nothing is read yet.
   * Throws PipelineError: what of the gadget or the flags is wrong.
   */
  static async start(
    config: PipelineConfig,
    listener: PipelineListener,
    worker: Worker = warmWorker(),
  ): Promise<Pipeline> {
    const pipeline = new Pipeline(config, listener);
    await pipeline.employ(worker);
    return pipeline;
  }

  /** Prints the header and starts reading. */
  begin(): void {
    this.post({ type: 'begin', printHeader: true });
    let [visit, spentMs, lookedMs] = [0, 0, performance.now()];
    this.watchdog = setInterval(() => {
      const sequence = this.control.guestSequence;
      const nowMs = performance.now();
      // While nobody could look, as ig was suspended, the module could not work either.
      spentMs += Math.min(nowMs - lookedMs, 2 * WATCH_EVERY_MS);
      lookedMs = nowMs;
      if (!this.isReady || sequence % 2 === 0 || sequence !== visit) [visit, spentMs] = [sequence, 0];
      else if (spentMs > this.config.guestBudgetMs && this.control.condemn(visit))
        void this.replaceWorker('time');
    }, WATCH_EVERY_MS);
  }

  counts(): Counts {
    return this.control.counts();
  }

  /** Whether the output ends, for now, in the middle of a line. */
  get isMidLine(): boolean {
    return this.control.isMidLine;
  }

  /** How many of the events that were read are recorded. */
  get recorded(): number {
    return this.control.recorded;
  }

  /** How many of them Wasm modules made. */
  get made(): number {
    return this.control.made;
  }

  /** How many of the events that were shown lack the hash of their file. */
  get unhashed(): Record<HashFailure, number> {
    return this.control.unhashed;
  }

  /**
   * Has other modules take the place of those that run; no event is lost. Throws PipelineError, with the old ones
   * running on, when they cannot be started. One swap at a time.
   */
  async swap(modules: readonly ModuleConfig[]): Promise<void> {
    if (this.swapping !== undefined) throw new PipelineError('modules are being swapped');
    if (this.stopping) throw new PipelineError('the run ends');
    await new Promise<void>((resolve, reject) => {
      this.swapping = { modules, done: (failure) => (failure === undefined ? resolve() : reject(failure)) };
      // A worker that is not ready is told once it is.
      if (this.isReady) this.post({ type: 'swap', modules });
    });
  }

  private endSwap(failure?: string): void {
    const swapping = this.swapping;
    this.swapping = undefined;
    if (swapping === undefined) return;
    if (failure === undefined) {
      this.config = { ...this.config, modules: swapping.modules };
      this.modules = swapping.modules.map(stateOf);
    }
    swapping.done(failure === undefined ? undefined : new PipelineError(failure));
  }

  tellContainer(change: TableChange): void {
    this.post({ type: 'container', change });
  }

  tellHash(file: HashedFile): void {
    this.post({ type: 'hashed', file });
  }

  resize(widthColumns: number): void {
    // For workers to come.
    this.config = { ...this.config, output: { ...this.config.output, widthColumns } };
    this.post({ type: 'resize', widthColumns });
  }

  /** Reads what the rings still hold, writes it, ends the worker. The programs should be detached by now. */
  async stop(): Promise<void> {
    clearInterval(this.watchdog);
    this.stopping = true;
    this.control.stop();
    await this.terminating;
    if (this.worker !== undefined) await this.awaitEnd(this.worker);
    this.worker = undefined;
    this.endSwap('the run has ended');
    this.control.settle(this.control.isLostInGuest ? 'lostGuest' : 'lostAtEnd');
    this.countLeft();
  }

  /** Waits for a worker to come to its end, and ends one that does not. */
  private async awaitEnd(worker: Worker): Promise<void> {
    const done = new Promise<void>((resolve) => (this.finished = resolve));
    const limitMs = STOP_BUDGET_MS + this.config.guestBudgetMs;
    let spentMs = 0;
    const timer = setInterval(() => {
      spentMs += WATCH_EVERY_MS;
      if (spentMs <= limitMs) return;
      if (spentMs > limitMs + STOP_PATIENCE_MS || this.control.condemn(this.control.guestSequence))
        this.finished?.();
    }, WATCH_EVERY_MS);
    await done;
    clearInterval(timer);
    if (this.worker === undefined) return;
    await worker.terminate();
    if (!this.control.isLostInGuest) return;
    this.listener.warn(
      `${this.nameOf(this.control.guestModule)} took longer than ${this.config.guestBudgetMs} ms when the run ended and was stopped; what it was given is lost`,
    );
  }

  /** Counts what the worker left in the rings, as it failed or was ended. */
  private countLeft(): void {
    for (const { fd, sizeBytes } of this.config.rings) {
      const ring = new RingReader(fd, sizeBytes);
      const left = ring.discardAll();
      ring.close();
      this.control.add('read', left);
      this.control.add('lostAtEnd', left);
    }
  }

  /** The module that the worker is in now. */
  private get moduleInside(): string | undefined {
    return this.control.guestSequence % 2 === 1 ? this.nameOf(this.control.guestModule) : undefined;
  }

  private post(message: ToWorker): void {
    this.worker?.postMessage(message);
  }

  /** Gives a worker its configuration; resolves when it is ready. */
  private employ(worker: Worker): Promise<void> {
    const { containers, modules, recordFd, guestBudgetMs: _, ...rest } = this.config;
    const workerConfig: WorkerConfig = {
      ...rest,
      control: this.control.memory,
      modules: modules.map((module, i) => {
        const { enabled, restMs } = this.modules[i]!;
        const traces = this.traces[i];
        return { ...module, enabled, restMs, ...(traces === undefined ? {} : { traces }) };
      }),
      ...(containers === undefined ? {} : { containers: containers() }),
      ...(recordFd === undefined || this.recordingFailed ? {} : { recordFd }),
    };
    const failure = early.get(worker);
    if (failure !== undefined) return Promise.reject(failedBy(failure));
    this.worker = worker;
    worker.ref();
    worker.postMessage(workerConfig);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const module = this.moduleInside;
        reject(
          module === undefined
            ? new PipelineError(`the gadget did not start within ${START_BUDGET_MS / 1000} s`)
            : guestError(`${module} did not start within ${START_BUDGET_MS / 1000} s; it may hang`),
        );
        this.terminating = worker.terminate();
      }, START_BUDGET_MS);
      const fail = (error: PipelineError): void => {
        clearTimeout(timer);
        reject(error);
        if (this.worker !== worker) return;
        if (this.isReady && !this.stopping) this.listener.failed(error);
        this.finished?.();
      };
      worker.on('message', (message: FromWorker) => {
        if (message.type === 'ready') {
          clearTimeout(timer);
          this.isReady = true;
          this.fields = message.fields;
          this.settings = message.settings;
          this.traces = message.traces;
          resolve();
        } else if (message.type === 'failed')
          fail(new PipelineError(message.message, { name: message.name }));
        else this.hear(message);
      });
      worker.on('exit', () => {
        clearTimeout(timer);
        reject(new PipelineError('the event pipeline ended before it began'));
        if (this.worker !== worker) return;
        this.worker = undefined;
        this.finished?.();
      });
      worker.on('error', (error) => {
        const module = isOutOfMemory(error) ? this.moduleInside : undefined;
        if (module === undefined) fail(failedBy(error));
        else if (this.worker === worker && this.isReady && !this.stopping) void this.replaceWorker('memory');
        else fail(guestError(`${module} ${this.excessive('memory', 'to start')}`));
      });
    });
  }

  private hear(message: Exclude<FromWorker, { type: 'ready' | 'failed' }>): void {
    switch (message.type) {
      case 'guestFailed':
        this.hearFailure(message);
        break;
      case 'swapped':
        this.endSwap();
        this.traces = message.traces;
        break;
      case 'swapFailed':
        this.endSwap(message.failure);
        break;
      case 'guestLog':
        this.listener.guestLog?.(this.nameOf(message.module), message.level, message.text);
        break;
      case 'catchUp':
        this.listener.catchUp();
        break;
      case 'unknownMntns':
        this.listener.unknownMntns(message.mntns, message.pid);
        break;
      case 'hashFile':
        this.listener.hashFile?.(message.file, message.mntns);
        break;
      case 'outputClosed':
        this.listener.outputClosed();
        break;
      case 'recordingFailed':
        this.recordingFailed = true;
        this.listener.warn(`the recording ends here: ${message.reason}; the run goes on without it`);
        break;
      case 'replayed':
        this.listener.replayed?.(message);
        break;
      case 'done':
        this.finished?.();
        break;
    }
  }

  /** While modules are swapped, it is the new ones that have something to say. */
  private nameOf(module: number): string {
    return (this.swapping?.modules ?? this.modules)[module]?.name ?? GADGETS_MODULE;
  }

  private hearFailure({ module, message, disabled, restMs }: ModuleFailure): void {
    const failed = this.modules[module]!;
    if (disabled) failed.enabled = false;
    this.warnOfFailure(failed, called(failed.name, message), restMs);
  }

  private warnOfFailure(module: ModuleState, sentence: string, restMs: number): void {
    if (!module.enabled) {
      this.listener.warn(`${sentence}; events go on without the module`);
      return;
    }
    module.warnings++;
    if (module.warnings > MAX_WARNINGS) return;
    const rest = restMs > 0 ? `, and events go on without the module for ${restMs / 1000} s` : '';
    const last = module.warnings === MAX_WARNINGS ? '; more failures of it are counted, and not told' : '';
    this.listener.warn(`${sentence}; its batch is lost${rest}${last}`);
  }

  /** The rings are the main thread's: a new worker goes on where the old one was, without the batch it hung on. */
  private async replaceWorker(excess: Excess): Promise<void> {
    const hanging = this.worker;
    if (hanging === undefined || this.stopping) return;
    this.worker = undefined;
    this.isReady = false;
    await (this.terminating = hanging.terminate());
    // What `stop` closes is not given to another.
    if (this.stopping) return;
    this.control.settle('lostGuest');
    if (this.control.isStartingOthers)
      this.endSwap(`${this.nameOf(this.control.guestModule)} ${this.excessive(excess, 'to start')}`);
    else this.countExcess(excess);
    this.control.abandonGuest();
    try {
      await this.employAnother();
      this.post({ type: 'begin', printHeader: false });
      if (this.swapping !== undefined) this.post({ type: 'swap', modules: this.swapping.modules });
    } catch (error) {
      if (this.stopping) return;
      this.listener.failed(error instanceof PipelineError ? error : new PipelineError(String(error)));
    }
  }

  private excessive(excess: Excess, what: string): string {
    return excess === 'memory'
      ? `made ig take too much memory ${what}`
      : `took longer than ${this.config.guestBudgetMs} ms ${what}`;
  }

  private countExcess(excess: Excess): void {
    const module = this.modules[this.control.guestModule]!;
    module.timeouts++;
    module.enabled = module.timeouts < MAX_GUEST_FAILURES;
    module.restMs = restMs(module.timeouts, this.config.replay !== undefined);
    this.warnOfFailure(
      module,
      `${module.name} ${this.excessive(excess, 'for a batch')} and was stopped`,
      module.restMs,
    );
  }

  /** Modules have started before: one that does not start again is left out. */
  private async employAnother(): Promise<void> {
    for (;;) {
      try {
        return await this.employ(warmWorker());
      } catch (error) {
        const module = this.modules[this.control.guestModule];
        const isItsFault = error instanceof PipelineError && GUEST_ERRORS.has(error.name);
        if (!isItsFault || module?.enabled !== true || this.stopping) throw error;
        await this.terminating;
        this.control.abandonGuest();
        module.enabled = false;
        this.warnOfFailure(module, error.message, 0);
      }
    }
  }
}

function failedBy(cause: Error): PipelineError {
  return new PipelineError(`the event pipeline failed: ${cause.message}`, { cause });
}

function guestError(message: string): PipelineError {
  return new PipelineError(message, { name: 'GuestError' });
}

function isOutOfMemory(error: Error): boolean {
  return (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY';
}
