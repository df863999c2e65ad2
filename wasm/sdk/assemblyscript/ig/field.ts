// Fields of the current event: declared by name, found once, read in place.

import { Bytes, zeroBytes } from './bytes';
import { Kind, Place, kindName, kindOf } from './kind';

/** Address of the current event's record, its size in bytes, and its number. Set by the loop over a batch. */
let record: usize = 0;
let recordSize: u32 = 0;
let row: u32 = 0;

@inline
export function setRecord(start: usize, size: u32, index: u32): void {
  record = start;
  recordSize = size;
  row = index;
}

/** What the host says of a field. */
@unmanaged
export class FieldFacts {
  kind: u8;
  length: u32;
  place: u8;
  offset: u32;
  size: u32;
  hasMarker: bool;
  /** The bits that mean that there is no value. */
  marker: u64;
}

export abstract class Field {
  /** Whether the gadget has the field; without `optional()`, it always does. */
  exists: bool = false;
  /** Whether the module does without. */
  isOptional: bool = false;
  place: u8 = Place.NOWHERE;
  /** Place among the data source's fields. */
  number: u32 = 0;
  protected kind: u8 = 0;
  protected offset: usize = 0;
  protected size: u32 = 0;
  private hasMarker: bool = false;
  private marker: u64 = 0;
  /** Of a column: address of the batch's values, 0 = there are none, and of their mask, 0 = all are defined. */
  protected values: usize = 0;
  private mask: usize = 0;

  constructor(readonly name: string) {}

  /** The kinds this can read, for the error text. */
  protected abstract get expected(): string;
  protected abstract accepts(facts: FieldFacts): bool;

  /** Whether the current event has a value. */
  get defined(): bool {
    if (this.place == Place.FIXED) return !this.hasMarker || this.bits() != this.marker;
    if (this.place == Place.COLUMN) {
      return this.values != 0 && (this.mask == 0 || load<u8>(this.mask + row) != 0);
    }
    if (this.place != Place.TAIL) return false;
    const start = load<u32>(record + this.offset);
    return start != 0 && <u64>start + load<u32>(record + this.offset, 4) <= <u64>recordSize;
  }

  /** Takes what the host says about the field. Returns what is wrong with it, or nothing. */
  resolve(facts: FieldFacts): string {
    if (!this.accepts(facts)) {
      const length = facts.length > 1 ? `[${facts.length.toString()}]` : '';
      return `is ${kindName(facts.kind)}${length}, but the module reads it as ${this.expected}`;
    }
    this.exists = true;
    this.kind = facts.kind;
    this.place = facts.place;
    this.offset = facts.offset;
    this.size = facts.size;
    this.hasMarker = facts.hasMarker && facts.place == Place.FIXED && facts.length == 1 && facts.size <= 8;
    this.marker = facts.size < 8 ? facts.marker & ((<u64>1 << (8 * facts.size)) - 1) : facts.marker;
    return '';
  }

  /** Where the column is in this batch. */
  setColumn(values: usize, mask: usize): void {
    this.values = values;
    this.mask = mask;
  }

  /** Finds where the value's bytes stand, into `view`: nothing where there is no value. */
  @inline
  protected locate(view: Bytes): void {
    if (this.place != Place.TAIL) {
      this.locateElsewhere(view);
      return;
    }
    const start = load<u32>(record + this.offset);
    const size = load<u32>(record + this.offset, 4);
    const inside = start != 0 && <u64>start + size <= <u64>recordSize;
    view.start = inside ? record + start : record;
    view.size = inside ? size : 0;
  }

  /** The same for a value that is not in the tail. */
  private locateElsewhere(view: Bytes): void {
    view.start = record + this.offset;
    view.size = this.place == Place.FIXED ? this.size : 0;
    if (this.values == 0) return;
    // Offsets, one more than events, then the bytes; `size` is that of the offsets.
    const offsets = this.values + (<usize>row << 2);
    view.start = this.values + this.size + load<u32>(offsets);
    view.size = load<u32>(offsets, 4) - load<u32>(offsets);
  }

  /** Address of a number, or of the first of an array; 0 where there is none. */
  @inline
  protected numbersAt(width: u32): usize {
    if (this.place == Place.FIXED) return record + this.offset;
    return this.values == 0 ? 0 : this.values + <usize>row * width;
  }

  /** A column's size of offsets. */
  setCount(count: u32): void {
    if (this.place == Place.COLUMN) this.size = 4 * (count + 1);
  }

  private bits(): u64 {
    const at = record + this.offset;
    if (this.size == 1) return load<u8>(at);
    if (this.size == 2) return load<u16>(at);
    if (this.size == 4) return load<u32>(at);
    return load<u64>(at);
  }
}

/** A number or truth value. */
@final
export class NumberField<T extends number> extends Field {
  /** Says that the module also works without this field: look at `exists`, or `defined`. */
  optional(): NumberField<T> {
    this.isOptional = true;
    return this;
  }

  protected get expected(): string {
    return kindName(kindOf<T>());
  }

  protected accepts(facts: FieldFacts): bool {
    if (facts.kind != kindOf<T>() || facts.length != 1 || facts.place == Place.TAIL) return false;
    return facts.place == Place.COLUMN || facts.size == sizeof<T>();
  }

  /** The current event's value; 0 where the field or its column is missing. */
  @inline
  get value(): T {
    const at = this.numbersAt(sizeof<T>());
    if (at == 0) return <T>0;
    if (isBoolean<T>()) return <T>(load<u8>(at) != 0);
    return load<T>(at);
  }
}

/** An array of numbers. */
@final
export class ArrayField<T extends number> extends Field {
  /** How many numbers. */
  length: u32 = 0;

  /** Says that the module also works without this field: look at `exists`, or `defined`. */
  optional(): ArrayField<T> {
    this.isOptional = true;
    return this;
  }

  protected get expected(): string {
    return `an array of ${kindName(kindOf<T>())}`;
  }

  protected accepts(facts: FieldFacts): bool {
    this.length = facts.length;
    if (facts.kind != kindOf<T>() || facts.place == Place.TAIL) return false;
    return facts.place == Place.COLUMN || facts.size == sizeof<T>() * facts.length;
  }

  /** Number `index` of the current event; traps beyond the end. */
  @operator('[]') @inline
  at(index: u32): T {
    if (index >= this.length) unreachable();
    const start = this.numbersAt(sizeof<T>() * this.length);
    return start == 0 ? <T>0 : load<T>(start + <usize>index * sizeof<T>());
  }
}

/** Where the string at `at` ends: its NUL, or `end`. */
function endOfString(at: usize, end: usize): usize {
  for (; at + 8 <= end; at += 8) {
    const zeros = zeroBytes(load<u64>(at));
    if (zeros != 0) return at + (<usize>ctz(zeros) >> 3);
  }
  while (at < end && load<u8>(at) != 0) at++;
  return at;
}

/** Text or bytes. */
@final
export class BytesField extends Field {
  private view: Bytes = new Bytes();

  /** Says that the module also works without this field: look at `exists`, or `defined`. */
  optional(): BytesField {
    this.isOptional = true;
    return this;
  }

  protected get expected(): string {
    return 'text or bytes';
  }

  protected accepts(facts: FieldFacts): bool {
    return facts.kind == Kind.TEXT || facts.kind == Kind.CSTRING || facts.kind == Kind.BYTES;
  }

  /** The current event's value; the view is the field's own and moves with the next read. Empty if undefined. */
  read(): Bytes {
    const view = this.view;
    this.locate(view);
    if (this.kind == Kind.CSTRING) {
      view.size = <u32>(endOfString(view.start, view.start + view.size) - view.start);
    }
    return view;
  }
}

/** A list of strings, such as the arguments of a program. */
@final
export class StringsField extends Field {
  /** The string that `next` found. */
  readonly current: Bytes = new Bytes();
  private all: Bytes = new Bytes();
  private position: usize = 0;
  private end: usize = 0;

  /** Says that the module also works without this field: look at `exists`, or `defined`. */
  optional(): StringsField {
    this.isOptional = true;
    return this;
  }

  protected get expected(): string {
    return 'text-list';
  }

  protected accepts(facts: FieldFacts): bool {
    return facts.kind == Kind.TEXT_LIST;
  }

  /** The current event's list as it is, each string with its NUL. */
  read(): Bytes {
    this.locate(this.all);
    return this.all;
  }

  /** What `next` has not come to, each string with its NUL; of the same view as `read`. */
  rest(): Bytes {
    const all = this.all;
    all.start = min(this.position, this.end);
    all.size = <u32>(this.end - all.start);
    return all;
  }

  /** Starts with the current event's list, before its first string. */
  rewind(): void {
    this.locate(this.all);
    this.position = this.all.start;
    this.end = this.all.start + this.all.size;
  }

  /** Goes to the next string, in `current`. False at the end. A last one that was cut off counts. */
  next(): bool {
    const start = this.position;
    const end = this.end;
    if (start >= end) return false;
    const stop = endOfString(start, end);
    this.current.start = start;
    this.current.size = <u32>(stop - start);
    this.position = stop + 1;
    return true;
  }
}
