// A data source of the gadget: which of its fields the program reads, which it adds, and what it does per event.

import { Columns } from './columns';
import {
  BooleanField,
  BytesField,
  type Field,
  ListField,
  NumberField,
  type NumberKind,
  enterBatch,
  forEachEvent,
} from './field';
import { fail, requireDeclaring } from './program';
import type { Kind, WitField, WitSource } from './wit';

export interface ReadOptions {
  /** Whether the program can do without the field; see `exists`. */
  readonly optional?: boolean;
}

/** Those there are, and those the program declared. */
export const available: WitSource[] = [];
export const sources: Source[] = [];

export class Source extends Columns {
  /** Its number. */
  readonly id: number;
  /** Numbers of the fields that its batches have as columns. */
  readonly reads: number[] = [];
  private readonly fields: readonly WitField[];
  /** The fields of `reads`, each with its place there. */
  private readonly inColumns: (readonly [field: Field, column: number])[] = [];
  private handler: (() => boolean | void) | undefined;
  private keep = new Uint8Array(0);

  /** The data source of this name, or with `*` the first there is. Throws if there is none. */
  constructor(name: string) {
    requireDeclaring(`data source ${name}`);
    const found = name === '*' ? available[0] : available.find((source) => source.name === name);
    if (found === undefined) fail(`there is no data source ${name}, which the module needs`);
    super(found.name);
    if (sources.some(({ id }) => id === found.id)) fail(`data source ${found.name} is declared twice`);
    this.id = found.id;
    this.fields = found.fields;
    sources.push(this);
  }

  bool(name: string, options?: ReadOptions): BooleanField {
    const field = this.find(name, ['boolean'], 'boolean', options);
    return this.reading(new BooleanField(name, field), field);
  }
  u8(name: string, options?: ReadOptions): NumberField {
    return this.number(name, 'u8', options);
  }
  u16(name: string, options?: ReadOptions): NumberField {
    return this.number(name, 'u16', options);
  }
  u32(name: string, options?: ReadOptions): NumberField {
    return this.number(name, 'u32', options);
  }
  u64(name: string, options?: ReadOptions): NumberField<bigint> {
    return this.number(name, 'u64', options);
  }
  s8(name: string, options?: ReadOptions): NumberField {
    return this.number(name, 's8', options);
  }
  s16(name: string, options?: ReadOptions): NumberField {
    return this.number(name, 's16', options);
  }
  s32(name: string, options?: ReadOptions): NumberField {
    return this.number(name, 's32', options);
  }
  s64(name: string, options?: ReadOptions): NumberField<bigint> {
    return this.number(name, 's64', options);
  }
  f32(name: string, options?: ReadOptions): NumberField {
    return this.number(name, 'f32', options);
  }
  f64(name: string, options?: ReadOptions): NumberField {
    return this.number(name, 'f64', options);
  }

  /** Text, also in a fixed array of characters, where it ends at its first NUL. */
  text(name: string, options?: ReadOptions): BytesField {
    const field = this.find(name, ['text', 'cstring'], 'text', options);
    return this.reading(new BytesField(name, field), field);
  }
  /** Bytes, also those of text. */
  bytes(name: string, options?: ReadOptions): BytesField {
    const field = this.find(name, ['bytes', 'text', 'cstring'], 'bytes', options);
    return this.reading(new BytesField(name, field), field);
  }
  /** A list of texts. */
  list(name: string, options?: ReadOptions): ListField {
    const field = this.find(name, ['text-list'], 'text-list', options);
    return this.reading(new ListField(name, field), field);
  }

  /** What to do for each event, with the fields declared here; false drops the event. */
  onEvent(handler: () => boolean | void): void {
    requireDeclaring('onEvent');
    if (this.handler !== undefined) fail(`onEvent of data source ${this.name} is called twice`);
    this.handler = handler;
  }

  /**
   * Runs the handler for every event of a batch. Returns one byte per event, 0 for those that are dropped; undefined
   * if none is.
   */
  run(count: number, batch: Uint8Array): Uint8Array | undefined {
    for (const column of this.columns) if (column.wanted) column.begin(count);
    if (this.handler === undefined) return undefined;
    const trailer = enterBatch(batch, count);
    for (const [field, column] of this.inColumns) field.enter(trailer, column);
    if (this.keep.length < count) this.keep = new Uint8Array(count);
    this.keep.fill(1);
    const dropped = forEachEvent(this.handler, this, this.keep, trailer);
    return dropped ? this.keep.subarray(0, count) : undefined;
  }

  private number<T extends number | bigint>(
    name: string,
    kind: NumberKind,
    options: ReadOptions | undefined,
  ): NumberField<T> {
    const field = this.find(name, [kind], kind, options);
    return this.reading(new NumberField<T>(name, kind, field), field);
  }

  /** The field of this name, if it is of one of these kinds; undefined if it may be missing, and is. */
  private find(
    name: string,
    kinds: readonly Kind[],
    expected: string,
    options: ReadOptions | undefined,
  ): WitField | undefined {
    requireDeclaring(`field ${name}`);
    const field = this.fields.find((other) => other.name === name);
    const what = `field ${name} of data source ${this.name}`;
    if (field === undefined) {
      if (options?.optional === true) return undefined;
      fail(`${what} does not exist, but the module needs it`);
    }
    if (!kinds.includes(field.kind)) fail(`${what} is ${field.kind}, but the module reads it as ${expected}`);
    return field;
  }

  /** Sees to it that batches have a field that does not stand in records. */
  private reading<F extends Field>(field: F, found: WitField | undefined): F {
    if (found?.place !== 'column') return field;
    const number = this.fields.indexOf(found);
    if (!this.reads.includes(number)) this.reads.push(number);
    this.inColumns.push([field, this.reads.indexOf(number)]);
    return field;
  }
}
