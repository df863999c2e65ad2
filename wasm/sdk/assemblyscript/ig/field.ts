// Fields of the current event, as the kernel side sent them: declared by name, found once, read in place.

import { Bytes } from './bytes';
import { Kind, kindName, kindOf } from './kind';

/** Address of the current event's record, and its size in bytes. Set by the loop over a batch. */
export let record: usize = 0;
export let recordSize: u32 = 0;

@inline
export function setRecord(start: usize, size: u32): void {
  record = start;
  recordSize = size;
}

export abstract class Field {
  protected offset: usize = 0;
  protected size: u32 = 0;
  protected inTail: bool = false;
  protected kind: u8 = 0;

  constructor(readonly name: string) {}

  /** The kinds this can read, for the error text. */
  protected abstract get expected(): string;
  protected abstract accepts(kind: u8, inTail: bool, size: u32): bool;

  /** Takes what the host says about the field. Returns what is wrong with it, or nothing. */
  resolve(kind: u8, inTail: bool, offset: u32, size: u32): string {
    this.kind = kind;
    this.inTail = inTail;
    this.offset = offset;
    this.size = size;
    if (this.accepts(kind, inTail, size)) return '';
    return `is ${kindName(kind)} of ${size.toString()} bytes, but the module reads it as ${this.expected}`;
  }
}

/** A number or truth value. */
@final
export class NumberField<T extends number> extends Field {
  protected get expected(): string {
    return kindName(kindOf<T>());
  }

  protected accepts(kind: u8, inTail: bool, size: u32): bool {
    return kind == kindOf<T>() && !inTail && size == sizeof<T>();
  }

  /** The current event's value. */
  @inline
  get value(): T {
    if (isBoolean<T>()) return <T>(load<u8>(record + this.offset) != 0);
    return load<T>(record + this.offset);
  }
}

/** Finds where a field's bytes stand in the current record, into `view`. False when they are not inside it. */
// @ts-ignore: decorator
@inline
function locate(offset: usize, size: u32, inTail: bool, view: Bytes): bool {
  if (!inTail) {
    view.start = record + offset;
    view.size = size;
    return true;
  }
  const start = load<u32>(record + offset);
  const length = load<u32>(record + offset, 4);
  const inside = <u64>start + length <= <u64>recordSize;
  view.start = inside ? record + start : record;
  view.size = inside ? length : 0;
  return inside;
}

/** Text or bytes. */
@final
export class BytesField extends Field {
  private view: Bytes = new Bytes();

  protected get expected(): string {
    return 'text or bytes';
  }

  protected accepts(kind: u8, _inTail: bool, _size: u32): bool {
    return kind == Kind.TEXT || kind == Kind.CSTRING || kind == Kind.BYTES;
  }

  /** The current event's value; the view is the field's own and moves with the next read. Empty if undefined. */
  read(): Bytes {
    const view = this.view;
    locate(this.offset, this.size, this.inTail, view);
    if (this.kind == Kind.CSTRING) {
      const limit = view.size;
      let size: u32 = 0;
      while (size < limit && load<u8>(view.start + size) != 0) size++;
      view.size = size;
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

  protected get expected(): string {
    return 'text-list';
  }

  protected accepts(kind: u8, _inTail: bool, _size: u32): bool {
    return kind == Kind.TEXT_LIST;
  }

  /** Starts with the current event's list, before its first string. */
  rewind(): void {
    locate(this.offset, this.size, this.inTail, this.all);
    this.position = this.all.start;
    this.end = this.all.start + this.all.size;
  }

  /** Goes to the next string, in `current`. False at the end. A last one that was cut off counts. */
  next(): bool {
    const start = this.position;
    const end = this.end;
    if (start >= end) return false;
    let stop = start;
    while (stop < end && load<u8>(stop) != 0) stop++;
    this.current.start = start;
    this.current.size = <u32>(stop - start);
    this.position = stop + 1;
    return true;
  }
}
