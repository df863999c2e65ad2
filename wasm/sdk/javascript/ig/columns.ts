// What both kinds of data source have: fields that the program makes for them.

import { Column, type FieldOptions, NumberColumn, type NumberOptions, VariableColumn } from './column';
import { requireDeclaring } from './program';
import type { Kind, WitNewField } from './wit';

/** A data source, as far as fields are added to it; `columns` are in the order of a patch. */
export abstract class Columns {
  /** The event that values are set for. */
  row = 0;
  readonly columns: Column[] = [];
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  addBool(name: string, options?: FieldOptions): NumberColumn<boolean> {
    return this.add(NumberColumn<boolean>, name, 'boolean', options);
  }
  addU8(name: string, options?: NumberOptions): NumberColumn {
    return this.add(NumberColumn<number>, name, 'u8', options);
  }
  addU16(name: string, options?: NumberOptions): NumberColumn {
    return this.add(NumberColumn<number>, name, 'u16', options);
  }
  addU32(name: string, options?: NumberOptions): NumberColumn {
    return this.add(NumberColumn<number>, name, 'u32', options);
  }
  addU64(name: string, options?: NumberOptions): NumberColumn<bigint> {
    return this.add(NumberColumn<bigint>, name, 'u64', options);
  }
  addS8(name: string, options?: NumberOptions): NumberColumn {
    return this.add(NumberColumn<number>, name, 's8', options);
  }
  addS16(name: string, options?: NumberOptions): NumberColumn {
    return this.add(NumberColumn<number>, name, 's16', options);
  }
  addS32(name: string, options?: NumberOptions): NumberColumn {
    return this.add(NumberColumn<number>, name, 's32', options);
  }
  addS64(name: string, options?: NumberOptions): NumberColumn<bigint> {
    return this.add(NumberColumn<bigint>, name, 's64', options);
  }
  addF32(name: string, options?: NumberOptions): NumberColumn {
    return this.add(NumberColumn<number>, name, 'f32', options);
  }
  addF64(name: string, options?: NumberOptions): NumberColumn {
    return this.add(NumberColumn<number>, name, 'f64', options);
  }
  addText(name: string, options?: FieldOptions): VariableColumn<string> {
    return this.add(VariableColumn<string>, name, 'text', options);
  }
  addBytes(name: string, options?: FieldOptions): VariableColumn<string> {
    return this.add(VariableColumn<string>, name, 'bytes', options);
  }
  addList(name: string, options?: FieldOptions): VariableColumn<readonly string[]> {
    return this.add(VariableColumn<readonly string[]>, name, 'text-list', options);
  }

  private add<C extends Column>(
    make: new (owner: Columns, field: WitNewField) => C,
    name: string,
    kind: Kind,
    options: NumberOptions = {},
  ): C {
    requireDeclaring(`a field of ${this.name}`);
    const { description, annotations = {}, tags = [], length = 1 } = options;
    const described = description === undefined ? annotations : { description, ...annotations };
    const column = new make(this, { name, kind, length, tags, annotations: Object.entries(described) });
    this.columns.push(column);
    return column;
  }
}
