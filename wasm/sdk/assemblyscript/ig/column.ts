// Fields that the module adds: one value per event, written where the patch will have it.

import { Bytes } from './bytes';
import { kindOf } from './kind';

/** Index of the current event in its batch. Set by the loop over a batch. */
let row: u32 = 0;

@inline
export function setRow(index: u32): void {
  row = index;
}

export abstract class Column {
  /** Whether anything reads this field. If not, what is written is dropped; spare the work. */
  wanted: bool = true;
  /** Address of one byte per event: whether it has a value. Set for each batch. */
  defined: usize = 0;
  /** Address of the values of a fixed size. Set for each batch. */
  values: usize = 0;
  /** Place among all columns of the module. */
  index: u32 = 0;

  constructor(
    readonly name: string,
    readonly kind: u8,
  ) {}

  /** Size of a value in bytes; 0 if values differ. */
  get width(): u32 {
    return 0;
  }
}

/** A number or truth value. An event for which it is not set has none. */
@final
export class NumberColumn<T extends number> extends Column {
  constructor(name: string) {
    super(name, kindOf<T>());
  }

  get width(): u32 {
    return sizeof<T>();
  }

  /** Sets the current event's value. */
  @inline
  set value(value: T) {
    if (!this.wanted) return;
    store<T>(this.values + row * sizeof<T>(), value);
    store<u8>(this.defined + row, 1);
  }
}

/**
 * Text, bytes, or a list of strings (each ended by a NUL byte). What is written for an event goes one behind the
 * other; an event for which nothing is written has no value.
 */
@final
export class BytesColumn extends Column {
  /** Offsets, one more than events, then the values' bytes: as the patch has it. */
  private buffer: usize = 0;
  private capacity: usize = 0;
  /** Size of the offsets. */
  private head: usize = 0;
  /** Size of offsets and bytes so far. */
  private used: usize = 0;

  /** Writes one byte. */
  @inline
  byte(value: u8): void {
    if (!this.wanted) return;
    const used = this.used;
    if (used == this.capacity) this.reserve(1);
    store<u8>(this.buffer + used, value);
    this.used = used + 1;
    store<u8>(this.defined + row, 1);
  }

  /** Writes `size` bytes from `start`. */
  copy(start: usize, size: u32): void {
    if (!this.wanted) return;
    this.reserve(size);
    memory.copy(this.buffer + this.used, start, size);
    this.used += size;
    store<u8>(this.defined + row, 1);
  }

  /** Writes what the view shows. */
  @inline
  bytes(view: Bytes): void {
    this.copy(view.start, view.size);
  }

  /** Writes text as UTF-8; an empty one gives the event an empty value. */
  text(text: string): void {
    if (!this.wanted) return;
    this.reserve(3 * text.length);
    this.used += String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, this.buffer + this.used);
    store<u8>(this.defined + row, 1);
  }

  /** Writes a whole number in decimal digits. */
  integer(value: i64): void {
    if (value < 0) this.byte(0x2d);
    let rest: u64 = value < 0 ? -(<u64>value) : <u64>value;
    let unit: u64 = 1;
    while (rest / unit >= 10) unit *= 10;
    for (; unit > 0; unit /= 10) {
      this.byte(0x30 + <u8>(rest / unit));
      rest %= unit;
    }
  }

  /** Makes room for `size` bytes more. */
  private reserve(size: usize): void {
    const needed = this.used + size;
    if (needed <= this.capacity) return;
    this.capacity = max(needed, 2 * this.capacity);
    this.buffer = this.buffer == 0 ? heap.alloc(this.capacity) : heap.realloc(this.buffer, this.capacity);
  }

  /** Starts a batch. */
  begin(count: u32): void {
    this.used = 0;
    this.head = 4 * (<usize>count + 1);
    this.reserve(this.head);
    this.used = this.head;
    store<u32>(this.buffer, 0);
  }

  /** Ends the current event's value, or takes it back. */
  end(keep: bool): void {
    const end = this.buffer + (<usize>row << 2);
    if (!keep) {
      this.used = this.head + load<u32>(end);
      store<u8>(this.defined + row, 0);
    }
    store<u32>(end, <u32>(this.used - this.head), 4);
  }

  /** Size of the batch's values as the patch has them. */
  get size(): usize {
    return this.used;
  }

  /** Copies the batch's values to where the patch has them. */
  copyTo(target: usize): void {
    memory.copy(target, this.buffer, this.used);
  }
}
