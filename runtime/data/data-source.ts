// A data source: a named stream of records and its fields.

import type { Annotations, Field, Location } from './field.js';
import type { Kind } from './kind.js';

/** `single`: each record is an event. `array`: a batch is one snapshot of many records. */
export type DataSourceType = 'single' | 'array';

export interface FieldSpec {
  readonly fullName: string;
  readonly kind: Kind;
  readonly location: Location;
  readonly length?: number;
  readonly tags?: readonly string[];
  readonly annotations?: Annotations;
  /** Default: behind all fields there are. */
  readonly order?: number;
  readonly hidden?: boolean;
}

/** Distance between the orders of two neighbouring fields, so that others can be put between them. */
const ORDER_STEP = 100;

export class DataSource {
  readonly name: string;
  readonly type: DataSourceType;
  readonly fields: Field[] = [];
  annotations: Annotations;
  /** Size in bytes of the fixed part of a record. */
  readonly recordSize: number;
  /** What gadget.yaml says of fields; by lower-cased full name. */
  readonly fieldAnnotations: Readonly<Record<string, Annotations>>;
  private columns = 0;
  private readonly byName = new Map<string, Field>();

  /** `fieldAnnotations`: by lower-cased full name; they go before those that `addField` is given. */
  constructor(
    name: string,
    type: DataSourceType,
    recordSize: number,
    annotations: Annotations = {},
    fieldAnnotations: Readonly<Record<string, Annotations>> = {},
  ) {
    this.fieldAnnotations = fieldAnnotations;
    this.name = name;
    this.type = type;
    this.recordSize = recordSize;
    this.annotations = annotations;
  }

  /** Adds a field. Throws when the data source has one of that name. */
  addField(spec: FieldSpec): Field {
    if (this.byName.has(spec.fullName)) {
      throw new Error(`data source ${this.name} has two fields named ${spec.fullName}`);
    }
    const annotations = { ...spec.annotations, ...this.fieldAnnotations[spec.fullName.toLowerCase()] };
    const hidden = annotations['columns.hidden'];
    const field: Field = {
      index: this.fields.length,
      name: spec.fullName.slice(spec.fullName.lastIndexOf('.') + 1),
      fullName: spec.fullName,
      kind: spec.kind,
      length: spec.length ?? 1,
      location: spec.location,
      tags: spec.tags ?? [],
      annotations,
      order: spec.order ?? this.fields.length * ORDER_STEP,
      hidden: hidden === undefined ? (spec.hidden ?? false) : hidden === 'true',
    };
    this.fields.push(field);
    this.byName.set(field.fullName, field);
    return field;
  }

  /** Adds a field that an operator fills per batch, in `batch.columns[column]`. */
  addColumn(spec: Omit<FieldSpec, 'location'>): { field: Field; column: number } {
    const column = this.columns++;
    return { field: this.addField({ ...spec, location: { in: 'column', column } }), column };
  }

  /** Replaces a field by one of the same name and place; what reads the name reads the new one. */
  replaceField(old: Field, spec: Omit<FieldSpec, 'fullName'>): Field {
    const field: Field = {
      ...old,
      kind: spec.kind,
      length: spec.length ?? 1,
      location: spec.location,
      tags: spec.tags ?? old.tags,
      annotations: spec.annotations ?? old.annotations,
    };
    this.fields[old.index] = field;
    this.byName.set(field.fullName, field);
    return field;
  }

  /** A new column number, for a field made by `replaceField`. */
  newColumn(): number {
    return this.columns++;
  }

  /** A field by its full name: exact, else regardless of case. */
  field(fullName: string): Field | undefined {
    const exact = this.byName.get(fullName);
    if (exact !== undefined) return exact;
    const folded = fullName.toLowerCase();
    return this.fields.find((field) => field.fullName.toLowerCase() === folded);
  }

  /**
   * The fields a user may mean by `name`: that of the full name, else those of that short name (annotation
   * `columns.alias`), else those whose name ends so; of several, the one that is shown by default.
   */
  fieldsMeant(name: string): Field[] {
    const exact = this.field(name);
    if (exact !== undefined && exact.kind !== 'none') return [exact];
    const folded = name.toLowerCase();
    const values = this.valueFields();
    const byAlias = values.filter((field) => field.annotations['columns.alias']?.toLowerCase() === folded);
    const meant =
      byAlias.length > 0 ? byAlias : values.filter((field) => field.name.toLowerCase() === folded);
    const shown = meant.filter((field) => !field.hidden);
    return shown.length === 1 ? shown : meant;
  }

  /** Fields that hold values, in output order. */
  valueFields(): Field[] {
    return this.fields.filter((field) => field.kind !== 'none').sort((a, b) => a.order - b.order);
  }
}
