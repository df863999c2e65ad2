// Fields that the program makes: one value for each event, written where the patch takes it from.

import { encodeBytes, isAscii } from './text';
import type { NumberKind } from './field';
import type { WitNewField } from './wit';

/** What a field says about itself. */
export interface FieldOptions {
  /** What it is, for people. */
  readonly description?: string;
  /** As in gadget.yaml: `{ 'columns.width': '5' }`. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Such as `type:gadget_mntns_id`. */
  readonly tags?: readonly string[];
}

export interface NumberOptions extends FieldOptions {
  /** Number of values, for a fixed array of them. */
  readonly length?: number;
}

/** What has columns: a data source. */
export interface Owner {
  /** The event that values are set for. */
  row: number;
}

type NumberArray =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

const ARRAYS: Readonly<Record<NumberKind | 'boolean', new (length: number) => NumberArray>> = {
  boolean: Uint8Array,
  u8: Uint8Array,
  u16: Uint16Array,
  u32: Uint32Array,
  u64: BigUint64Array,
  s8: Int8Array,
  s16: Int16Array,
  s32: Int32Array,
  s64: BigInt64Array,
  f32: Float32Array,
  f64: Float64Array,
};

/** A column as a patch has it; without `defined`, all events have a value. */
export interface ColumnData {
  readonly values: Uint8Array;
  readonly defined: Uint8Array | undefined;
}

export abstract class Column {
  readonly field: WitNewField;
  /** Whether anything reads this field. If not, what is set is dropped; spare the work. */
  wanted = true;
  /** One byte for each event: whether it has a value. */
  protected given = new Uint8Array(0);
  protected readonly owner: Owner;

  constructor(owner: Owner, field: WitNewField) {
    this.owner = owner;
    this.field = field;
  }

  /** Makes room for `count` events, and forgets all values. */
  begin(count: number): void {
    if (this.given.length < count) this.given = new Uint8Array(count);
    else this.given.fill(0);
  }

  /** What a patch has of the first `count` events; null if none of them has a value. */
  data(count: number): ColumnData | null {
    const given = this.given.subarray(0, count);
    if (!this.wanted || !given.includes(1)) return null;
    return { values: this.valuesOf(count), defined: given.includes(0) ? given : undefined };
  }

  protected abstract valuesOf(count: number): Uint8Array;
}

/** A column of numbers, of fixed arrays of numbers, or of truth values. */
export class NumberColumn<T extends number | bigint | boolean = number> extends Column {
  private readonly length: number;
  private numbers: NumberArray;

  constructor(owner: Owner, field: WitNewField) {
    super(owner, field);
    this.length = field.length;
    this.numbers = this.make(0);
  }

  private make(count: number): NumberArray {
    return new ARRAYS[this.field.kind as NumberKind](count * this.length);
  }

  override begin(count: number): void {
    super.begin(count);
    if (this.numbers.length < count * this.length) this.numbers = this.make(count);
  }

  /** Sets the current event's value; numbers wrap around as in a typed array. An event without one has no value. */
  set value(value: T) {
    if (!this.wanted) return;
    const { row } = this.owner;
    this.numbers[row * this.length] = value as number;
    this.given[row] = 1;
  }

  /** Sets the current event's array; what is missing at its end is 0. */
  set values(values: ArrayLike<T>) {
    if (!this.wanted) return;
    const { row } = this.owner;
    const first = row * this.length;
    const zero = (typeof values[0] === 'bigint' ? 0n : 0) as T;
    for (let i = 0; i < this.length; i++) this.numbers[first + i] = (values[i] ?? zero) as number;
    this.given[row] = 1;
  }

  protected valuesOf(count: number): Uint8Array {
    const { buffer, BYTES_PER_ELEMENT } = this.numbers;
    return new Uint8Array(buffer, 0, count * this.length * BYTES_PER_ELEMENT);
  }
}

/** A column of text, bytes or lists, set as `T` or as the very bytes. */
export class VariableColumn<T extends string | readonly string[]> extends Column {
  private rows: (string | Uint8Array)[] = [];
  /** Whether all of `rows` are text. */
  private textOnly = true;

  override begin(count: number): void {
    super.begin(count);
    this.rows.length = count;
    this.rows.fill('');
    this.textOnly = true;
  }

  /** Sets the current event's value; text becomes UTF-8. An event without one has no value. */
  set value(value: T | Uint8Array) {
    if (!this.wanted) return;
    const { row } = this.owner;
    if (typeof value === 'string') {
      this.rows[row] = value;
    } else if (value instanceof Uint8Array) {
      this.rows[row] = value.slice();
      this.textOnly = false;
    } else {
      this.rows[row] = value.map((text) => `${text}\0`).join('');
    }
    this.given[row] = 1;
  }

  protected valuesOf(count: number): Uint8Array {
    const rows = this.rows.slice(0, count);
    return (this.textOnly ? asciiValues(rows as string[]) : undefined) ?? anyValues(rows);
  }
}

/** u32 offsets, one more than values, then the values' bytes: `size` of them, still to be written. */
function layOut(count: number, size: number): { all: Uint8Array; offsets: Uint32Array; values: Uint8Array } {
  const head = 4 * (count + 1);
  const offsets = new Uint32Array((head + size + 3) >> 2);
  const all = new Uint8Array(offsets.buffer, 0, head + size);
  return { all, offsets, values: all.subarray(head) };
}

/** Texts as a column has them, by native calls for all of them at once; undefined unless they are all ASCII. */
function asciiValues(rows: readonly string[]): Uint8Array | undefined {
  const joined = rows.join('');
  const { all, offsets, values } = layOut(rows.length, joined.length);
  try {
    values.setFromBase64(btoa(joined));
  } catch {
    return undefined; // a character above U+00FF
  }
  if (!isAscii(offsets, all.length - joined.length, all.length)) return undefined;
  let end = 0;
  for (let i = 0; i < rows.length; i++) offsets[i + 1] = end += rows[i]!.length;
  return all;
}

function anyValues(rows: readonly (string | Uint8Array)[]): Uint8Array {
  const encoded = rows.map((row) => (typeof row === 'string' ? encodeBytes(row) : row));
  const size = encoded.reduce((sum, row) => sum + row.length, 0);
  const { all, offsets, values } = layOut(rows.length, size);
  let end = 0;
  encoded.forEach((row, i) => {
    values.set(row, end);
    offsets[i + 1] = end += row.length;
  });
  return all;
}
