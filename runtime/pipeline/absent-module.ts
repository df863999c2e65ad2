// What stands in for a Wasm module that is disabled: its fields, without values, so that all that names them goes on.
// None of the module's own code runs for it.

import { DataSource, type DataSourceType, type FieldSpec } from '../data/data-source.js';
import type { Field } from '../data/field.js';
import type { GuestModule } from './guest-module.js';

/** What a module has made of the data sources; can be cloned to another thread. */
export interface ModuleTraces {
  /** Fields that it added or replaced; `source` is the data source's number. */
  readonly fields: readonly { readonly source: number; readonly spec: TracedField }[];
  readonly sources: readonly TracedSource[];
  /** Numbers of data sources that it hides. */
  readonly hidden: readonly number[];
}

type TracedField = Omit<FieldSpec, 'location'>;

interface TracedSource {
  readonly name: string;
  readonly type: DataSourceType;
  readonly fields: readonly TracedField[];
}

/** The fields of data sources before a module starts, for `tracesOf`. */
export function fieldsBefore(sources: readonly DataSource[]): readonly (readonly Field[])[] {
  return sources.map(({ fields }) => [...fields]);
}

/** What `module` has made of `sources`, whose fields were `before`. */
export function tracesOf(
  module: GuestModule,
  sources: readonly DataSource[],
  before: readonly (readonly Field[])[],
): Omit<ModuleTraces, 'hidden'> {
  return {
    fields: sources.flatMap((source, i) =>
      source.fields
        // A field that it can write besides the kernel's value is as good as the kernel's alone.
        .filter((field) => field !== before[i]![field.index] && field.location.in !== 'derived')
        .map((field) => ({ source: i, spec: traced(field) })),
    ),
    sources: (module.madeSources ?? []).map(({ name, type, fields }) => ({
      name,
      type,
      fields: fields.map(traced),
    })),
  };
}

function traced({ fullName, kind, length, tags, annotations }: Field): TracedField {
  return { fullName, kind, length, tags, annotations };
}

export class AbsentModule implements GuestModule {
  readonly madeSources: readonly DataSource[];
  private readonly hidden: readonly number[];

  /** Gives `sources` the fields that the module gave them. */
  constructor({ fields, sources: made, hidden }: ModuleTraces, sources: readonly DataSource[]) {
    for (const { source, spec } of fields) addAgain(sources[source]!, spec);
    this.madeSources = made.map(({ name, type, fields }) => {
      const source = new DataSource(name, type, 0);
      for (const spec of fields) addAgain(source, spec);
      return source;
    });
    this.hidden = hidden;
  }

  isShown(source: number): boolean {
    return !this.hidden.includes(source);
  }

  select(): void {}

  process(): void {}

  finish(): void {}
}

function addAgain(source: DataSource, spec: TracedField): void {
  const old = source.fields.find(({ fullName }) => fullName === spec.fullName);
  if (old !== undefined)
    source.replaceField(old, { ...spec, location: { in: 'column', column: source.newColumn() } });
  else if (spec.kind === 'none') source.addField({ ...spec, location: { in: 'nowhere' } });
  else source.addColumn(spec);
}
