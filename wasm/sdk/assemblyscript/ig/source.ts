// Data sources of the gadget: which of their fields the module reads, which it adds, and what to do per event.

import { ArrayField, BytesField, Field, NumberField, StringsField } from './field';
import { Table } from './table';

/** All that the module declared, in order. */
export const sources: Source[] = [];

@final
export class Source extends Table {
  /** The host's number for it. */
  id: u32 = 0;
  readonly fields: Field[] = [];
  handler: () => bool = () => true;

  /**
   * Declares, at the top level of the module, that the gadget has a data source of this name; `*` is its first, whatever
   * its name.
   */
  constructor(name: string) {
    super(name);
    sources.push(this);
  }

  /** What to do for each event, with the fields and columns declared here; false drops the event. */
  onEvent(handler: () => bool): void {
    this.handler = handler;
  }

  bool(name: string): NumberField<bool> { return this.number<bool>(name); }
  u8(name: string): NumberField<u8> { return this.number<u8>(name); }
  u16(name: string): NumberField<u16> { return this.number<u16>(name); }
  u32(name: string): NumberField<u32> { return this.number<u32>(name); }
  u64(name: string): NumberField<u64> { return this.number<u64>(name); }
  s8(name: string): NumberField<i8> { return this.number<i8>(name); }
  s16(name: string): NumberField<i16> { return this.number<i16>(name); }
  s32(name: string): NumberField<i32> { return this.number<i32>(name); }
  s64(name: string): NumberField<i64> { return this.number<i64>(name); }
  f32(name: string): NumberField<f32> { return this.number<f32>(name); }
  f64(name: string): NumberField<f64> { return this.number<f64>(name); }

  /** Reads an array of numbers: `array<u32>('address')`. */
  array<T extends number>(name: string): ArrayField<T> {
    const field = new ArrayField<T>(name);
    this.fields.push(field);
    return field;
  }

  /** Reads a field of text, of fixed size or not. */
  text(name: string): BytesField { return this.bytes(name); }

  /** Reads a field of text or bytes, of fixed size or not. */
  bytes(name: string): BytesField {
    const field = new BytesField(name);
    this.fields.push(field);
    return field;
  }

  /** Reads a list of strings. */
  list(name: string): StringsField {
    const field = new StringsField(name);
    this.fields.push(field);
    return field;
  }

  private number<T extends number>(name: string): NumberField<T> {
    const field = new NumberField<T>(name);
    this.fields.push(field);
    return field;
  }
}
