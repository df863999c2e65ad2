// The Wasm modules of a pipeline, in their order: the gadget's own, then the user's filters. Each gets what those
// before it let through and made.

import { GuestError, PatchError, WasmError } from '../../wasm/host/errors.js';
import type { Batch } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { type Field, withOrigins } from '../data/field.js';
import type { Control } from './control.js';
import { AbsentModule, type ModuleTraces, fieldsBefore, tracesOf } from './absent-module.js';
import { type GuestModule, type GuestServices, openGuest } from './guest-module.js';
import { MAX_GUEST_FAILURES, restMs } from './limits.js';
import { called } from './module-name.js';
import type { ModuleConfig } from './messages.js';
import type { Meter } from './meter.js';

/** Ticks that are made up for when there was no time for them, and how long that may keep events waiting. */
const MAX_LATE_TICKS = 1000;
const MAX_LATE_MS = 50;

/** What a module that failed is reported by. */
export interface ModuleFailure {
  /** Place among the modules. */
  readonly module: number;
  readonly message: string;
  readonly disabled: boolean;
  /** How long events go on without it. */
  readonly restMs: number;
}

/** Where batches that modules make go on. */
export interface MadeTaker {
  takeMade(batch: Batch, nextModule: number): void;
}

export class Modules {
  private readonly runners: Runner[] = [];
  private readonly control: Control;
  private readonly report: (failure: ModuleFailure) => void;
  private readonly isReplay: boolean;
  private readonly meter: Meter | undefined;

  constructor(control: Control, report: (failure: ModuleFailure) => void, isReplay = false, meter?: Meter) {
    this.control = control;
    this.report = report;
    this.isReplay = isReplay;
    this.meter = meter;
  }

  /**
   * Starts the next module over all data sources there are; it adds its fields to them. Returns the data sources that
   * it makes, numbered on from `sources`. Throws WasmError.
   */
  async open(
    config: ModuleConfig,
    sources: readonly DataSource[],
    services: GuestServices,
  ): Promise<readonly DataSource[]> {
    const { enabled, traces } = config;
    const before = fieldsBefore(sources);
    this.control.enterGuest(this.runners.length);
    try {
      const isAbsent = !enabled && traces !== undefined;
      const module = isAbsent
        ? new AbsentModule(traces, sources)
        : await openGuest(config, sources, services);
      this.runners.push(new Runner(module, config, sources.length, tracesOf(module, sources, before)));
      return module.madeSources ?? [];
    } catch (error) {
      throw namedAfter(config, error);
    } finally {
      this.control.leaveGuest();
    }
  }

  /**
   * Tells each module which of its fields anything reads; `fields`: what outputs and filters do, by data source.
   * Throws GuestError.
   */
  select(fields: readonly ReadonlySet<Field>[]): void {
    const used = fields.map((set) => new Set(set));
    for (let i = this.runners.length - 1; i >= 0; i--) {
      const { module } = this.runners[i]!;
      this.begin(i, () => module.select(used));
      for (const [source, reads] of (module.reads?.() ?? []).entries())
        for (const field of withOrigins(reads)) used[source]?.add(field);
    }
  }

  /**
   * All fields are there, and the gadget is loaded: modules may look for them. Throws GuestError. In a replay there
   * is no gadget, so a module that cannot do without is left out.
   */
  start(): void {
    for (const [i, runner] of this.runners.entries()) {
      if (!runner.enabled) continue;
      if (!this.isReplay) this.begin(i, () => runner.module.start?.());
      else if (!this.visit(i, (module) => module.start?.(), true)) runner.enabled = false;
    }
  }

  /** What the modules want changed before the gadget is loaded. */
  get settings(): readonly (readonly [key: string, value: string])[] {
    return this.runners.flatMap(({ module }) => module.settings ?? []);
  }

  /** What each module has made of the data sources, for a worker that is to go on without one. */
  get traces(): readonly ModuleTraces[] {
    return this.runners.map(({ module, made, sees }) => ({
      ...made,
      hidden: Array.from({ length: sees }, (_, source) => source).filter(
        (source) => module.isShown?.(source) === false,
      ),
    }));
  }

  /** False for a data source that a module hides. */
  isShown(source: number): boolean {
    return this.runners.every(({ module, sees }) => source >= sees || (module.isShown?.(source) ?? true));
  }

  /** Runs the modules from number `from` on over a batch; false when that lost the batch. */
  run(source: number, batch: Batch, from: number): boolean {
    for (let i = from; i < this.runners.length; i++) {
      const runner = this.runners[i]!;
      if (source >= runner.sees || !runner.isReady(performance.now())) continue;
      if (!this.visit(i, (module) => module.process(source, batch))) return false;
      if (batch.kept() === 0) break;
    }
    return true;
  }

  /** Between batches: the ticks that are due, then what the modules made goes on. */
  turn(nowMs: number, chains: readonly MadeTaker[]): void {
    for (const [i, runner] of this.runners.entries()) {
      for (const dueMs of runner.dueTicks(nowMs)) {
        this.visit(i, (module) => module.tick?.(BigInt(Math.round(dueMs * 1e6))));
        // What many ticks make is too much to be kept.
        this.passOn(i, chains);
      }
      this.passOn(i, chains);
    }
  }

  /** Of all modules. */
  get memoryBytes(): number {
    return this.runners.reduce((sum, { module }) => sum + (module.memoryBytes ?? 0), 0);
  }

  /** When the next tick is due; Infinity when none is. */
  get nextTickMs(): number {
    return this.runners.reduce((next, { tickDueMs }) => Math.min(next, tickDueMs), Infinity);
  }

  /** Ends the modules, one after the other: what one makes at the end, the next still gets. */
  finish(chains: readonly MadeTaker[]): void {
    for (const [i, { enabled }] of this.runners.entries()) {
      if (!enabled) continue;
      this.visit(i, (module) => module.finish(), true);
      this.passOn(i, chains);
    }
  }

  private passOn(i: number, chains: readonly MadeTaker[]): void {
    for (const { source, batch } of this.runners[i]!.module.takeMade?.() ?? [])
      chains[source]!.takeMade(batch, i + 1);
  }

  /** Calls a module before there are events: what it throws ends the run, or the swap. */
  private begin(i: number, call: () => void): void {
    this.control.enterGuest(i);
    try {
      call();
    } catch (error) {
      throw namedAfter(this.runners[i]!, error);
    } finally {
      this.control.leaveGuest();
    }
  }

  /** False when the module failed, which costs it what it was given. */
  private visit(i: number, call: (module: GuestModule) => void, isLast = false): boolean {
    const runner = this.runners[i]!;
    this.control.enterGuest(i);
    try {
      call(runner.module);
      runner.failures = 0;
      return true;
    } catch (error) {
      if (!(error instanceof GuestError || error instanceof PatchError)) throw error;
      const rest = restMs(runner.fail(), this.isReplay);
      runner.rest(rest);
      this.report({
        ...{ module: i, message: error.message, disabled: isLast || !runner.enabled },
        restMs: rest,
      });
      return false;
    } finally {
      this.control.leaveGuest();
      this.meter?.lapModule(i);
    }
  }
}

/** A failure of a module, told by the name that the user knows it by. */
function namedAfter({ name }: { readonly name: string }, error: unknown): unknown {
  if (error instanceof WasmError) error.message = called(name, error.message);
  return error;
}

/** One module, and how it has been doing. */
class Runner {
  readonly name: string;
  readonly module: GuestModule;
  enabled: boolean;
  /** How many data sources it knows. */
  readonly sees: number;
  readonly made: Omit<ModuleTraces, 'hidden'>;
  /** In a row. */
  failures = 0;
  private idleUntilMs: number;
  tickDueMs = Infinity;

  constructor(
    module: GuestModule,
    { name, enabled, restMs = 0 }: ModuleConfig,
    sees: number,
    made: Omit<ModuleTraces, 'hidden'>,
  ) {
    this.made = made;
    this.name = name;
    this.module = module;
    this.enabled = enabled;
    this.sees = sees;
    this.idleUntilMs = performance.now() + restMs;
  }

  /** Whether it can be given something, at a time of `performance.now()`. */
  isReady(nowMs: number): boolean {
    return this.enabled && nowMs >= this.idleUntilMs;
  }

  /** Returns for the how many-th time in a row. */
  fail(): number {
    this.failures++;
    this.enabled = this.failures < MAX_GUEST_FAILURES;
    return this.failures;
  }

  rest(forMs: number): void {
    this.idleUntilMs = performance.now() + forMs;
  }

  /** The times that ticks up to now were due; the first call only sets the clock. */
  *dueTicks(nowMs: number): Generator<number> {
    const { tickMs } = this.module;
    if (tickMs === undefined || tickMs === 0) return;
    if (this.tickDueMs === Infinity) this.tickDueMs = nowMs + tickMs;
    const untilMs = performance.now() + MAX_LATE_MS;
    for (let late = 0; this.tickDueMs <= nowMs && late < MAX_LATE_TICKS; late++) {
      if (late > 0 && performance.now() > untilMs) break;
      const dueMs = this.tickDueMs;
      this.tickDueMs += tickMs;
      if (this.isReady(performance.now())) yield dueMs;
    }
    if (this.tickDueMs <= nowMs) this.tickDueMs = nowMs + tickMs;
  }
}
