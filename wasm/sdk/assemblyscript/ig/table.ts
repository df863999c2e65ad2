// What has columns that the module writes: a data source of the gadget, and one that the module makes.

import { ArrayColumn, BytesColumn, Column, NumberColumn } from './column';
import { Kind } from './kind';

export abstract class Table {
  /** Number of the current event: what is set, is set for it. */
  row: u32 = 0;
  readonly columns: Column[] = [];
  /** Those of `columns` whose values differ in size. */
  private readonly variable: BytesColumn[] = [];
  private capacity: u32 = 0;

  constructor(readonly name: string) {}

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

  /** Adds a field of `length` numbers: `addArray<u32>('address', 4)`. */
  addArray<T extends number>(name: string, length: u32): ArrayColumn<T> {
    const column = new ArrayColumn<T>(this, name, length);
    this.columns.push(column);
    return column;
  }

  private addNumber<T extends number>(name: string): NumberColumn<T> {
    const column = new NumberColumn<T>(this, name);
    this.columns.push(column);
    return column;
  }

  private addVariable(name: string, kind: u8): BytesColumn {
    const column = new BytesColumn(this, name, kind);
    this.columns.push(column);
    this.variable.push(column);
    return column;
  }

  /** Makes `count` events from `first` on have no values. */
  clear(first: u32, count: u32): void {
    const columns = this.columns;
    if (first + count > this.capacity) {
      this.capacity = max(first + count, 2 * this.capacity);
      for (let i = 0; i < columns.length; i++) unchecked(columns[i]).grow(this.capacity);
    }
    for (let i = 0; i < columns.length; i++) unchecked(columns[i]).clear(first, count);
  }

  /** Ends the current event, or takes back what was written for it. */
  @inline
  end(keep: bool): void {
    const variable = this.variable;
    for (let i = 0; i < variable.length; i++) {
      const column = unchecked(variable[i]);
      if (column.wanted) column.end(this.row, keep);
    }
  }
}
