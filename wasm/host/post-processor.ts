// The pipeline's step that runs a Wasm component: adds its fields and data sources, then patches every batch.

import type { Batch } from '../../runtime/data/batch.js';
import { DataSource } from '../../runtime/data/data-source.js';
import type { Annotations, Field } from '../../runtime/data/field.js';
import { declaredReads, moduleReads } from '../../runtime/data/module-reads.js';
import { collectInstance } from './collect.js';
import type { PreparedGuest } from './component.js';
import type { MadeBatch } from './core/made.js';
import { type DescribedSource, describeSource, kindOf } from './describe.js';
import { GuestError } from './errors.js';
import { type Guest, type GuestNewField, type GuestPlan, WIT_LEVELS, instantiateGuest } from './guest.js';
import { type Patch, type PatchColumn, type PatchSource, applyPatch, readPatch } from './patch.js';
import { checkPlan } from './plan.js';
import { TrailerWriter } from './trailer.js';

/** Where a module's log goes. */
export interface GuestLog {
  /** The highest level that is shown, from 0 (error) to 4 (trace). */
  readonly logLevel: number;
  /** Shows a line. Bounded by whoever implements it. */
  log(level: number, text: string): void;
}

const SILENT: GuestLog = { logLevel: 0, log: () => undefined };

export class PostProcessor {
  /** Data sources that the module made, numbered on from those it was given. */
  readonly madeSources: readonly DataSource[];
  /** How often it wants `tick` to be called, in milliseconds; 0 = never. */
  readonly tickMs: number;
  private readonly prepared: PreparedGuest;
  private readonly params: readonly (readonly [string, string])[];
  private readonly output: GuestLog;
  private readonly described: readonly DescribedSource[];
  private readonly plan: GuestPlan;
  /** For each data source that it was given, the fields it reads that are not in the records, in the plan's order. */
  private readonly columnsRead: readonly (readonly Field[])[];
  private readonly trailers: readonly TrailerWriter[];
  /** For each data source, all columns of the plan; undefined are those of other data sources. */
  private readonly columns: readonly (readonly (PatchColumn | undefined)[])[];
  private readonly emits: readonly PatchSource[];
  /** For each data source, whether the module has no use of its events but to make fields from. */
  private readonly decidesNothing: readonly boolean[];
  /** Which columns of the plan anything reads; undefined = not said yet. */
  private used: readonly boolean[] | undefined;
  /** For each data source, whether its events are not worth a call. */
  private idle: readonly boolean[] = [];
  private made: MadeBatch[] = [];
  /** Undefined after a failure, until the next call. */
  private guest: Guest | undefined;

  /**
   * Starts the module and gives `sources` the fields it adds. A gadget's own module gets to know of the fields that
   * gadget.yaml says it reads, if it says so. Throws GuestError when it refuses, or plans what cannot be.
   */
  constructor(
    prepared: PreparedGuest,
    params: readonly (readonly [string, string])[],
    sources: readonly DataSource[],
    output: GuestLog = SILENT,
    isOwn = false,
  ) {
    this.prepared = prepared;
    this.params = params;
    this.output = output;
    this.described = sources.map((source, id) =>
      describeSource(source, id, isOwn ? declaredReads(source) : undefined),
    );
    this.guest = instantiateGuest(prepared);
    this.plan = this.init(this.guest);
    checkPlan(this.plan, this.described);
    this.columnsRead = this.described.map(({ source, fields }) =>
      this.plan.reads.flatMap(([id, number]) => (id === source.id ? [fields[number]!] : [])),
    );
    this.trailers = this.columnsRead.map((fields) => new TrailerWriter(fields));
    this.columns = addColumns(this.plan, sources);
    const made = this.plan.emits.map(makeSource);
    this.madeSources = made.map(({ source }) => source);
    this.emits = made.map(({ patch }) => patch);
    this.tickMs = this.plan.tickMs;
    this.decidesNothing = sources.map(
      (source) => isOwn && this.emits.length === 0 && moduleReads(source, [])?.size === 0,
    );
  }

  /**
   * Tells the module which of its fields anything reads, so that it can spare the others. `fields`: for each data
   * source what is read, with the fields that derived ones are computed from; those of later data sources say nothing.
   */
  select(fields: readonly ReadonlySet<Field>[]): void {
    const columns = fields.map(
      (set) =>
        new Set([...set].flatMap(({ location }) => (location.in === 'column' ? [location.column] : []))),
    );
    this.used = this.plan.columns.map((_, i) =>
      this.columns.some((source, s) => source[i] !== undefined && columns[s]!.has(source[i].column)),
    );
    this.withGuest((guest) => guest.select(this.used!));
    this.idle = this.columns.map(
      (mine, source) =>
        this.decidesNothing[source]! && !mine.some((column, i) => column !== undefined && this.used![i]),
    );
  }

  /** For each data source that it was given, the fields it reads that are not in the records. */
  reads(): ReadonlySet<Field>[] {
    return this.columnsRead.map((fields) => new Set(fields));
  }

  /**
   * Runs the module over a batch of data source number `source`. Throws GuestError or PatchError when the batch is
   * lost to the module's failure; the next call starts a new instance.
   */
  process(source: number, batch: Batch): void {
    if (this.idle[source] === true) return;
    const bytes = this.trailers[source]!.write(batch);
    const columns = this.columns[source]!;
    this.withGuest((guest) => {
      const patch = this.read(guest.process(source, batch.count, bytes), batch.count, columns);
      applyPatch(patch, batch, columns);
      this.takeIn(patch);
    });
  }

  /** Calls the module without an event; `nowNs` is CLOCK_BOOTTIME. Throws as `process` does. */
  tick(nowNs: bigint): void {
    this.withGuest((guest) => this.takeIn(this.read(guest.tick(nowNs), 0, [])));
  }

  /** What the module emitted since the last call. */
  takeMade(): MadeBatch[] {
    const { made } = this;
    if (made.length > 0) this.made = [];
    return made;
  }

  /** How much memory the module has now. */
  get memoryBytes(): number {
    return this.guest?.memoryBytes() ?? 0;
  }

  /** Ends the module, which may emit a last time. Throws GuestError with its last words, or PatchError. */
  finish(): void {
    const { guest } = this;
    this.guest = undefined;
    if (guest !== undefined) this.takeIn(this.read(guest.finish(), 0, []));
  }

  private read(bytes: Uint8Array, count: number, columns: readonly (PatchColumn | undefined)[]): Patch {
    return readPatch(bytes, count, columns, this.emits, this.output.logLevel);
  }

  /** What of a patch is not the batch's. */
  private takeIn({ emitted, log }: Patch): void {
    for (const { source, batch } of emitted)
      this.made.push({ source: this.described.length + source, batch });
    for (const { level, text } of log) this.output.log(level, text);
  }

  private init(guest: Guest): GuestPlan {
    return guest.init(
      this.params,
      this.described.map(({ source }) => source),
      WIT_LEVELS[this.output.logLevel] ?? 'trace',
    );
  }

  /** Runs a step; whatever it throws costs the instance. */
  private withGuest(step: (guest: Guest) => void): void {
    const guest = this.guest ?? this.restart();
    this.guest = undefined;
    step(guest);
    this.guest = guest;
  }

  private restart(): Guest {
    collectInstance();
    const guest = instantiateGuest(this.prepared);
    if (JSON.stringify(this.init(guest)) !== JSON.stringify(this.plan))
      throw new GuestError("the gadget's Wasm module made another plan when it was restarted");
    if (this.used !== undefined) guest.select(this.used);
    return guest;
  }
}

function addColumns(plan: GuestPlan, sources: readonly DataSource[]): (PatchColumn | undefined)[][] {
  const columns = sources.map(() => new Array<PatchColumn | undefined>(plan.columns.length).fill(undefined));
  plan.columns.forEach(({ source, field }, i) => {
    columns[source]![i] = patchColumn(field, addColumn(sources[source]!, field));
  });
  return columns;
}

/** Adds a field, or replaces the one of that name, which keeps what is said of it. Returns its column number. */
function addColumn(source: DataSource, field: GuestNewField): number {
  const old = source.fields.find(({ fullName }) => fullName === field.name);
  const { kind, length, tags, annotations } = lookOf(field);
  if (old === undefined) {
    return source.addColumn({ fullName: field.name, kind, length, tags, annotations }).column;
  }
  const column = source.newColumn();
  source.replaceField(old, {
    kind,
    length,
    tags: [...new Set([...old.tags, ...tags])],
    annotations: { ...old.annotations, ...annotations },
    location: { in: 'column', column },
  });
  return column;
}

function makeSource({ name, fields }: GuestPlan['emits'][number]): {
  source: DataSource;
  patch: PatchSource;
} {
  const source = new DataSource(name, 'single', 0);
  const columns = fields.map((field) =>
    patchColumn(field, source.addColumn({ fullName: field.name, ...lookOf(field) }).column),
  );
  return { source, patch: { name, columns } };
}

function lookOf({ kind, length, tags, annotations }: GuestNewField): {
  kind: PatchColumn['kind'];
  length: number;
  tags: readonly string[];
  annotations: Annotations;
} {
  return { kind: kindOf(kind), length, tags, annotations: Object.fromEntries(annotations) };
}

function patchColumn({ name, kind, length }: GuestNewField, column: number): PatchColumn {
  return { name, column, kind: kindOf(kind), length };
}
