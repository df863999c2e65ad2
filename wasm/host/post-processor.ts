// The pipeline's step that runs a gadget's Wasm component: adds its fields, then patches every batch.

import type { Batch } from '../../runtime/data/batch.js';
import type { DataSource } from '../../runtime/data/data-source.js';
import type { Field } from '../../runtime/data/field.js';
import type { Kind } from '../../runtime/data/kind.js';
import type { PreparedGuest } from './component.js';
import { GuestError, quoted } from './errors.js';
import {
  type Guest,
  type GuestColumn,
  type GuestField,
  type GuestSource,
  type WitKind,
  instantiateGuest,
} from './guest.js';
import { type PatchColumn, applyPatch } from './patch.js';

const WIT_KINDS: Record<Kind, WitKind> = {
  none: 'none',
  bool: 'boolean',
  int8: 's8',
  int16: 's16',
  int32: 's32',
  int64: 's64',
  uint8: 'u8',
  uint16: 'u16',
  uint32: 'u32',
  uint64: 'u64',
  float32: 'f32',
  float64: 'f64',
  string: 'text',
  cstring: 'cstring',
  bytes: 'bytes',
  strings: 'text-list',
};
const KINDS = new Map(Object.entries(WIT_KINDS).map(([kind, wit]) => [wit, kind as Kind]));

/** Size in bytes of what stands in the record for a value in its tail: u32 offset, u32 size. */
const TAIL_REFERENCE_SIZE = 8;
const MAX_COLUMNS = 256;
const COLUMN_NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/;

export class PostProcessor {
  private readonly prepared: PreparedGuest;
  private readonly params: readonly (readonly [string, string])[];
  private readonly sources: readonly DataSource[];
  private readonly guestSources: readonly GuestSource[];
  private readonly declared: readonly GuestColumn[];
  /** For each data source, all declared columns; undefined are those of other data sources. */
  private readonly columns: readonly (PatchColumn | undefined)[][];
  /** Which declared columns anything reads; undefined = not said yet. */
  private used: readonly boolean[] | undefined;
  /** Undefined after a failure, until the next batch. */
  private guest: Guest | undefined;

  /**
   * Starts the module and gives `sources` the fields it declares. Throws GuestError when it refuses, or declares
   * what cannot be.
   */
  constructor(
    prepared: PreparedGuest,
    params: readonly (readonly [string, string])[],
    sources: readonly DataSource[],
  ) {
    this.prepared = prepared;
    this.params = params;
    this.sources = sources;
    this.guestSources = sources.map(describe);
    this.guest = instantiateGuest(prepared);
    this.declared = this.guest.init(params, this.guestSources);
    checkColumns(this.declared, sources);
    this.columns = addColumns(this.declared, sources);
  }

  /**
   * Tells the module which of its fields anything reads, so that it can spare the others. `fields`: for each data
   * source what is read, with the fields that derived ones are computed from.
   */
  select(fields: readonly ReadonlySet<Field>[]): void {
    const columns = fields.map(
      (set) =>
        new Set([...set].flatMap(({ location }) => (location.in === 'column' ? [location.column] : []))),
    );
    this.used = this.declared.map((_, i) =>
      this.columns.some((source, s) => source[i] !== undefined && columns[s]!.has(source[i].column)),
    );
    this.withGuest((guest) => guest.select(this.used!));
  }

  /**
   * Runs the module over a batch of data source number `source`. Throws GuestError or PatchError when the batch is
   * lost to the module's failure; the next call starts a new instance.
   */
  process(source: number, batch: Batch): void {
    this.withGuest((guest) => {
      applyPatch(guest.process(source, batch.count, batch.used), batch, this.columns[source]!);
    });
  }

  /** Ends the module. Throws GuestError with its last words. */
  finish(): void {
    this.guest?.finish();
    this.guest = undefined;
  }

  /** Runs a step; whatever it throws costs the instance. */
  private withGuest(step: (guest: Guest) => void): void {
    const guest = this.guest ?? this.restart();
    this.guest = undefined;
    step(guest);
    this.guest = guest;
  }

  private restart(): Guest {
    const guest = instantiateGuest(this.prepared);
    const declared = guest.init(this.params, this.guestSources);
    if (JSON.stringify(declared) !== JSON.stringify(this.declared)) {
      throw new GuestError("the gadget's Wasm module declared other fields when it was restarted");
    }
    if (this.used !== undefined) guest.select(this.used);
    return guest;
  }
}

/** What a module gets to know of a data source: the fields that the kernel side sends. */
function describe(source: DataSource, id: number): GuestSource {
  return { id, name: source.name, fields: source.fields.flatMap(describeField) };
}

function describeField({ fullName, kind, location }: Field): GuestField[] {
  if (kind === 'none' || (location.in !== 'record' && location.in !== 'tail')) return [];
  const inTail = location.in === 'tail';
  const size = inTail ? TAIL_REFERENCE_SIZE : location.size;
  return [
    {
      name: fullName,
      kind: WIT_KINDS[kind],
      place: inTail ? 'tail' : 'fixed',
      offset: location.offset,
      size,
    },
  ];
}

function checkColumns(declared: readonly GuestColumn[], sources: readonly DataSource[]): void {
  if (declared.length > MAX_COLUMNS) {
    throw new GuestError(
      `the gadget's Wasm module declares ${declared.length} fields, but at most ${MAX_COLUMNS} are allowed`,
    );
  }
  const seen = new Set<string>();
  for (const { source, name, kind } of declared) {
    const what = `the gadget's Wasm module declares a field ${quoted(JSON.stringify(name))}`;
    if (sources[source] === undefined)
      throw new GuestError(`${what} of data source number ${source}, which does not exist`);
    if (!COLUMN_NAME.test(name)) throw new GuestError(`${what}, which is not a field name`);
    if (kind === 'none' || kind === 'cstring')
      throw new GuestError(`${what} of kind ${kind}, which a column cannot have`);
    const key = `${source} ${name}`;
    if (seen.has(key)) throw new GuestError(`${what} twice`);
    seen.add(key);
  }
}

function addColumns(
  declared: readonly GuestColumn[],
  sources: readonly DataSource[],
): (PatchColumn | undefined)[][] {
  const columns = sources.map(() => new Array<PatchColumn | undefined>(declared.length).fill(undefined));
  declared.forEach((column, i) => {
    const kind = KINDS.get(column.kind)!;
    columns[column.source]![i] = {
      name: column.name,
      kind,
      column: addColumn(sources[column.source]!, column.name, kind),
    };
  });
  return columns;
}

/** Adds a field, or replaces the one of that name. Returns its column number. */
function addColumn(source: DataSource, name: string, kind: Kind): number {
  const old = source.fields.find((field) => field.fullName === name);
  if (old === undefined) return source.addColumn({ fullName: name, kind }).column;
  const column = source.newColumn();
  source.replaceField(old, { kind, location: { in: 'column', column } });
  return column;
}
