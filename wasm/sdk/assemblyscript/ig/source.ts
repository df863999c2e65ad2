// A data source of the gadget: which of its fields the module reads, which it adds, and what to do per event.

import { BytesColumn, Column, NumberColumn } from './column';
import { BytesField, Field, NumberField, StringsField } from './field';
import { Kind } from './kind';

/** Everything the module declared, in order. */
export const sources: Source[] = [];
export const columns: Column[] = [];
/** The source of each of `columns`. */
export const columnSources: Source[] = [];

@final
export class Source {
  /** The host's number for it. */
  id: u32 = 0;
  readonly fields: Field[] = [];
  readonly columns: Column[] = [];
  /** Those of `columns` whose values differ in size. */
  readonly bytesColumns: BytesColumn[] = [];
  handler: () => bool = () => true;

  /** Declares, at the top level of the module, that the gadget has a data source of this name. */
  constructor(readonly name: string) {
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

  /** Reads a field of text or bytes, of fixed size or not. */
  bytes(name: string): BytesField {
    const field = new BytesField(name);
    this.fields.push(field);
    return field;
  }

  /** Reads a list of strings. */
  strings(name: string): StringsField {
    const field = new StringsField(name);
    this.fields.push(field);
    return field;
  }

  addBool(name: string): NumberColumn<bool> { return this.addNumber<bool>(name); }
  addU8(name: string): NumberColumn<u8> { return this.addNumber<u8>(name); }
  addU16(name: string): NumberColumn<u16> { return this.addNumber<u16>(name); }
  addU32(name: string): NumberColumn<u32> { return this.addNumber<u32>(name); }
  addU64(name: string): NumberColumn<u64> { return this.addNumber<u64>(name); }
  addS8(name: string): NumberColumn<i8> { return this.addNumber<i8>(name); }
  addS16(name: string): NumberColumn<i16> { return this.addNumber<i16>(name); }
  addS32(name: string): NumberColumn<i32> { return this.addNumber<i32>(name); }
  addS64(name: string): NumberColumn<i64> { return this.addNumber<i64>(name); }
  addF32(name: string): NumberColumn<f32> { return this.addNumber<f32>(name); }
  addF64(name: string): NumberColumn<f64> { return this.addNumber<f64>(name); }
  addText(name: string): BytesColumn { return this.addVariable(name, Kind.TEXT); }
  addBytes(name: string): BytesColumn { return this.addVariable(name, Kind.BYTES); }
  addStrings(name: string): BytesColumn { return this.addVariable(name, Kind.TEXT_LIST); }

  private number<T extends number>(name: string): NumberField<T> {
    const field = new NumberField<T>(name);
    this.fields.push(field);
    return field;
  }

  private addNumber<T extends number>(name: string): NumberColumn<T> {
    const column = new NumberColumn<T>(name);
    this.register(column);
    return column;
  }

  private addVariable(name: string, kind: u8): BytesColumn {
    const column = new BytesColumn(name, kind);
    this.bytesColumns.push(column);
    this.register(column);
    return column;
  }

  private register(column: Column): void {
    column.index = columns.length;
    columns.push(column);
    columnSources.push(this);
    this.columns.push(column);
  }
}
