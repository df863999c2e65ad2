// Fields that the module adds or emits: one value per event, kept until the patch is made of them.

import { Bytes, copyBytes, copyJoined } from './bytes';
import { kindOf } from './kind';
import { Table } from './table';

export abstract class Column {
  /** Whether anything reads this field. If not, what is written is dropped; spare the work. */
  wanted: bool = true;
  /** Address of one byte per event: whether it has a value. */
  defined: usize = 0;
  readonly tags: string[] = [];
  /** Keys and values by turns. */
  readonly annotations: string[] = [];

  constructor(
    readonly table: Table,
    readonly name: string,
    readonly kind: u8,
    readonly length: u32,
  ) {}

  /** Says what the field is, for the help. */
  describe(description: string): void {
    this.annotate('description', description);
  }

  /** Adds an annotation, as in gadget.yaml: `columns.width`, `5`. */
  annotate(key: string, value: string): void {
    this.annotations.push(key);
    this.annotations.push(value);
  }

  /** Adds a tag: `type:gadget_mntns_id`. */
  tag(tag: string): void {
    this.tags.push(tag);
  }

  /** Makes room for so many events. */
  grow(rows: u32): void {
    this.defined = resized(this.defined, rows);
  }

  /** Makes the events from `first` on have no value. */
  clear(first: u32, count: u32): void {
    memory.fill(this.defined + first, 0, count);
  }

  /** Size of the values of some events as the patch has them. */
  abstract sizeOf(first: u32, count: u32): usize;

  /** Writes them there. */
  abstract copyTo(target: usize, first: u32, count: u32): void;
}

function resized(buffer: usize, size: usize): usize {
  return buffer == 0 ? heap.alloc(size) : heap.realloc(buffer, size);
}

/** Numbers or truth values, `length` for each event. */
abstract class FixedColumn extends Column {
  /** Address of the values. */
  protected values: usize = 0;

  /** Size of an event's value. */
  protected abstract get width(): u32;

  grow(rows: u32): void {
    super.grow(rows);
    this.values = resized(this.values, <usize>rows * this.width);
  }

  clear(first: u32, count: u32): void {
    super.clear(first, count);
    memory.fill(this.values + <usize>first * this.width, 0, <usize>count * this.width);
  }

  sizeOf(_first: u32, count: u32): usize {
    return <usize>count * this.width;
  }

  copyTo(target: usize, first: u32, count: u32): void {
    memory.copy(target, this.values + <usize>first * this.width, <usize>count * this.width);
  }
}

/** A number or truth value. An event for which it is not set has none. */
@final
export class NumberColumn<T extends number> extends FixedColumn {
  constructor(table: Table, name: string) {
    super(table, name, kindOf<T>(), 1);
  }

  protected get width(): u32 {
    return sizeof<T>();
  }

  /** Sets the current event's value. */
  @inline
  set value(value: T) {
    if (!this.wanted) return;
    const row = this.table.row;
    store<T>(this.values + <usize>row * sizeof<T>(), value);
    store<u8>(this.defined + row, 1);
  }
}

/** An array of numbers. An event for which none is set has no array; those not set are 0. */
@final
export class ArrayColumn<T extends number> extends FixedColumn {
  constructor(table: Table, name: string, length: u32) {
    super(table, name, kindOf<T>(), length);
  }

  protected get width(): u32 {
    return sizeof<T>() * this.length;
  }

  /** Number `index` of the current event as it was set, else 0; traps beyond the end. */
  @operator('[]')
  get(index: u32): T {
    if (index >= this.length) unreachable();
    return load<T>(this.values + (<usize>this.table.row * this.length + index) * sizeof<T>());
  }

  /** Sets number `index` of the current event; traps beyond the end. */
  @operator('[]=') @inline
  set(index: u32, value: T): void {
    if (!this.wanted) return;
    if (index >= this.length) unreachable();
    const row = this.table.row;
    store<T>(this.values + (<usize>row * this.length + index) * sizeof<T>(), value);
    store<u8>(this.defined + row, 1);
  }
}

/**
 * Text, bytes, or a list of strings (each ended by a NUL byte). What is written for an event goes one behind the
 * other; an event for which nothing is written has no value.
 */
@final
export class BytesColumn extends Column {
  private buffer: usize = 0;
  private capacity: usize = 0;
  /** Size of what is in `buffer`. */
  private used: usize = 0;
  /** Whether the current event has a value. */
  private written: bool = false;
  /** Address of where each event's bytes end, u32. */
  private ends: usize = 0;

  constructor(table: Table, name: string, kind: u8) {
    super(table, name, kind, 1);
  }

  /** Writes one byte. */
  @inline
  byte(value: u8): void {
    if (!this.wanted) return;
    const used = this.used;
    if (used == this.capacity) this.reserve(1);
    store<u8>(this.buffer + used, value);
    this.used = used + 1;
    this.written = true;
  }

  /** Writes `size` bytes from `start`. */
  copy(start: usize, size: u32): void {
    if (!this.wanted) return;
    this.reserve(size);
    copyBytes(this.buffer + this.used, start, size);
    this.used += size;
    this.written = true;
  }

  /** Writes what the view shows. */
  @inline
  bytes(view: Bytes): void {
    this.copy(view.start, view.size);
  }

  /** Writes the strings of a list, each with its NUL but perhaps the last, with `separator` between them. */
  join(list: Bytes, separator: u8): void {
    if (!this.wanted) return;
    let size = list.size;
    if (size > 0 && load<u8>(list.start + size - 1) == 0) size--;
    this.reserve(size);
    copyJoined(this.buffer + this.used, list.start, size, separator);
    this.used += size;
    this.written = true;
  }

  /** Writes one string of a list. */
  item(view: Bytes): void {
    this.copy(view.start, view.size);
    this.byte(0);
  }

  /** Writes text as UTF-8; an empty one gives the event an empty value. */
  text(text: string): void {
    if (!this.wanted) return;
    this.reserve(3 * text.length);
    this.used += String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, this.buffer + this.used);
    this.written = true;
  }

  /** Writes a whole number in decimal digits. */
  integer(value: i64): void {
    if (value < 0) this.byte(0x2d);
    this.unsigned(value < 0 ? -(<u64>value) : <u64>value);
  }

  /** The same for one that is never negative. */
  unsigned(value: u64): void {
    let unit: u64 = 1;
    while (value / unit >= 10) unit *= 10;
    for (; unit > 0; unit /= 10) {
      this.byte(0x30 + <u8>(value / unit));
      value %= unit;
    }
  }

  /** Makes room for `size` bytes more. */
  private reserve(size: usize): void {
    const needed = this.used + size;
    if (needed <= this.capacity) return;
    this.capacity = max(needed, 2 * this.capacity);
    this.buffer = resized(this.buffer, this.capacity);
  }

  grow(rows: u32): void {
    super.grow(rows);
    this.ends = resized(this.ends, 4 * <usize>rows);
  }

  clear(first: u32, count: u32): void {
    super.clear(first, count);
    if (first == 0) this.used = 0;
  }

  /** Ends the value of event `row`, or takes it back. */
  end(row: u32, keep: bool): void {
    if (!keep) this.used = this.startOf(row);
    store<u8>(this.defined + row, <u8>(keep && this.written));
    this.written = false;
    store<u32>(this.ends + (<usize>row << 2), <u32>this.used);
  }

  sizeOf(first: u32, count: u32): usize {
    return 4 * (<usize>count + 1) + this.startOf(first + count) - this.startOf(first);
  }

  copyTo(target: usize, first: u32, count: u32): void {
    const start = this.startOf(first);
    store<u32>(target, 0);
    const offsets = target + 4;
    memory.copy(offsets, this.ends + (<usize>first << 2), <usize>count << 2);
    if (start > 0) {
      for (let at = offsets; at < offsets + (<usize>count << 2); at += 4) store<u32>(at, load<u32>(at) - <u32>start);
    }
    memory.copy(offsets + (<usize>count << 2), this.buffer + start, this.startOf(first + count) - start);
  }

  /** Where the bytes of an event start, and those of the one before end. */
  @inline
  private startOf(row: u32): usize {
    return row == 0 ? 0 : <usize>load<u32>(this.ends + (<usize>(row - 1) << 2));
  }
}
