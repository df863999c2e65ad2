// Fields of the current event: declared by name, found once, read in place.

import { decodeWide, encodeBytes, isAscii } from './text';
import type { WitField } from './wit';

// The current batch, and the event in it that is being handled. They stand beside what reads them, and not in
// objects, because QuickJS is an interpreter: every step on the way to a value counts.
let bytes: Uint8Array = new Uint8Array(0);
let words: Uint32Array = new Uint32Array(0);
let view: DataView = new DataView(bytes.buffer);
let count = 0;
let start = 0;
let end = 0;
let row = 0;

/** Where the value is that VariableField.find found. */
let from = 0;
let to = 0;

/** How DataView reads a number, and its size in bytes. */
const NUMBERS = {
  u8: ['getUint8', 1],
  u16: ['getUint16', 2],
  u32: ['getUint32', 4],
  u64: ['getBigUint64', 8],
  s8: ['getInt8', 1],
  s16: ['getInt16', 2],
  s32: ['getInt32', 4],
  s64: ['getBigInt64', 8],
  f32: ['getFloat32', 4],
  f64: ['getFloat64', 8],
} as const;
export type NumberKind = keyof typeof NUMBERS;

/** In the trailer of a batch: what is before the first column, and for each column. */
const COLUMNS_AT = 8;
const COLUMN_ENTRY_SIZE = 12;

export abstract class Field {
  readonly name: string;
  /** Whether the data source has the field at all; only optional ones may not. */
  readonly exists: boolean;
  protected readonly inColumn: boolean;
  /** From the start of the record; of a column, from the start of the batch, 0 = no value in this batch. */
  protected position: number;
  /** Of a column: its `defined` bytes, from the start of the batch; 0 = all are defined. */
  private definedAt = 0;

  constructor(name: string, field: WitField | undefined) {
    this.name = name;
    this.exists = field !== undefined;
    this.inColumn = field === undefined || field.place === 'column';
    this.position = field?.offset ?? 0;
  }

  /** Takes where the field's values are in this batch, for one that the batch has as column `number`. */
  enter(trailer: number, number: number): void {
    const entry = trailer + COLUMNS_AT + COLUMN_ENTRY_SIZE * number;
    this.position = view.getUint32(entry, true);
    this.definedAt = view.getUint32(entry + 8, true);
  }

  protected get definedInColumn(): boolean {
    return this.position !== 0 && (this.definedAt === 0 || bytes[this.definedAt + row] !== 0);
  }
}

/** The value that means that there is none, given as the number that its bits are. */
function noneOf(field: WitField | undefined, getter: string): number | bigint | undefined {
  const bits = field?.annotations.find(([key]) => key === 'value.undefined')?.[1] ?? '';
  if (!/^\d+$/.test(bits)) return undefined;
  const value = new DataView(new ArrayBuffer(8));
  value.setBigUint64(0, BigInt(bits), true);
  return value[getter as 'getInt16'](0, true);
}

/** A number, or a fixed array of numbers. */
export class NumberField<T extends number | bigint = number> extends Field {
  /** Number of values; 1 unless it is an array. */
  readonly length: number;
  private readonly getter: 'getInt16'; // or another one of the same type
  private readonly width: number;
  private readonly stride: number;
  private readonly zero: T;
  private readonly none: T | undefined;

  constructor(name: string, kind: NumberKind, field: WitField | undefined) {
    super(name, field);
    const [getter, width] = NUMBERS[kind];
    const wide = kind === 'u64' || kind === 's64';
    this.length = field?.length ?? 1;
    this.getter = getter as 'getInt16';
    this.width = width;
    this.stride = width * this.length;
    this.zero = (wide ? 0n : 0) as T;
    this.none = noneOf(field, getter) as T | undefined;
  }

  /** The current event's value; of an array, the first. Means nothing unless `defined`. */
  get value(): T {
    let at = start + this.position;
    if (this.inColumn) {
      if (this.position === 0) return this.zero;
      at = this.position + row * this.stride;
    }
    return view[this.getter](at, true) as T;
  }

  /** Value `index` of an array. Throws a RangeError beyond its end. */
  at(index: number): T {
    if (index < 0 || index >= this.length) throw new RangeError(`field ${this.name} has no value ${index}`);
    if (this.inColumn && this.position === 0) return this.zero;
    const first = this.inColumn ? this.position + row * this.stride : start + this.position;
    return view[this.getter](first + index * this.width, true) as T;
  }

  /** All values of an array. */
  get values(): T[] {
    return Array.from({ length: this.length }, (_, i) => this.at(i));
  }

  /** Whether the event has a value. */
  get defined(): boolean {
    if (this.inColumn && !this.definedInColumn) return false;
    return this.none === undefined || this.value !== this.none;
  }
}

/** A truth value. */
export class BooleanField extends Field {
  /** The current event's value. Means nothing unless `defined`. */
  get value(): boolean {
    if (!this.inColumn) return bytes[start + this.position] !== 0;
    return this.position !== 0 && bytes[this.position + row] !== 0;
  }

  /** Whether the event has a value. */
  get defined(): boolean {
    return !this.inColumn || this.definedInColumn;
  }
}

/** A value that has a size of its own in each event. */
abstract class VariableField extends Field {
  private readonly inTail: boolean;
  private readonly fixedSize: number;
  private readonly endsAtNul: boolean;

  constructor(name: string, field: WitField | undefined) {
    super(name, field);
    this.inTail = field?.place === 'tail';
    this.fixedSize = field?.size ?? 0;
    this.endsAtNul = field?.kind === 'cstring';
  }

  /** Finds the current event's value, from `from` to `to`. False when there is none. */
  protected find(): boolean {
    if (this.inTail) return this.findInTail();
    if (this.inColumn) return this.findInColumn();
    from = start + this.position;
    to = from + this.fixedSize;
    if (this.endsAtNul) {
      const nul = bytes.indexOf(0, from);
      if (nul >= 0 && nul < to) to = nul;
    }
    return true;
  }

  /** What a tail says is the kernel side's, and not trusted: a value outside its record is none. */
  private findInTail(): boolean {
    const offset = view.getUint32(start + this.position, true);
    from = start + offset;
    to = from + view.getUint32(start + this.position + 4, true);
    if (offset !== 0 && to <= end) return true;
    from = to = start;
    return false;
  }

  private findInColumn(): boolean {
    from = to = 0;
    if (!this.definedInColumn) return false;
    const values = this.position + 4 * (count + 1);
    from = values + view.getUint32(this.position + 4 * row, true);
    to = values + view.getUint32(this.position + 4 * row + 4, true);
    return true;
  }

  /** Whether the event has a value. */
  get defined(): boolean {
    return this.find();
  }

  /** Size of the value in bytes; 0 if there is none. */
  get size(): number {
    this.find();
    return to - from;
  }

  /** The value's bytes as they stand in the batch, which is gone when the handler returns; empty if there is none. */
  get bytes(): Uint8Array {
    this.find();
    return bytes.subarray(from, to);
  }

  protected decode(): string {
    this.find();
    if (from === to) return '';
    const value = bytes.subarray(from, to);
    return isAscii(words, from, to) ? atob(value.toBase64()) : decodeWide(value);
  }
}

/** Text or bytes. */
export class BytesField extends VariableField {
  private sought = '';
  private soughtBytes: Uint8Array = new Uint8Array(0);

  /** The value as UTF-8, bytes that are not as U+FFFD; empty if there is none. Makes a string: see also `startsWith`. */
  get text(): string {
    return this.decode();
  }

  /** Whether the value starts with `text`. Makes nothing. */
  startsWith(text: string): boolean {
    if (text !== this.sought) {
      this.sought = text;
      this.soughtBytes = encodeBytes(text);
    }
    this.find();
    const sought = this.soughtBytes;
    const size = sought.length;
    if (to - from < size) return false;
    for (let i = 0, at = from; i < size; i++, at++) if (bytes[at] !== sought[i]) return false;
    return true;
  }

  /** Whether the value is `text`. Makes nothing. */
  equals(text: string): boolean {
    return this.startsWith(text) && to - from === this.soughtBytes.length;
  }
}

/** A list of texts, such as the arguments of a program. */
export class ListField extends VariableField {
  /** The texts; none if there is no value. */
  get values(): string[] {
    const texts = this.decode().split('\0');
    if (texts.at(-1) === '') texts.pop(); // behind the last NUL; a text that was cut off has none
    return texts;
  }
}

/** Makes a batch the current one. Returns where its trailer is. */
export function enterBatch(batch: Uint8Array, events: number): number {
  bytes = batch;
  if (batch.byteOffset !== 0 || batch.length % 4 !== 0) {
    bytes = new Uint8Array((batch.length + 3) & ~3);
    bytes.set(batch);
  }
  words = new Uint32Array(bytes.buffer, 0, bytes.length >> 2);
  view = new DataView(bytes.buffer);
  count = events;
  return words[events]!;
}

/**
 * Calls `handler` for every event of the batch that is still there. Clears the byte in `keep` of those it drops;
 * returns whether there are any. `owner` gets the number of the event.
 */
export function forEachEvent(
  handler: () => boolean | void,
  owner: { row: number },
  keep: Uint8Array,
  trailer: number,
): boolean {
  const offsets = words;
  const kept = words[trailer >> 2]!;
  let dropped = false;
  for (let i = 0; i < count; i++) {
    if (kept !== 0 && bytes[kept + i] === 0) continue;
    start = offsets[i]!;
    end = offsets[i + 1]!;
    owner.row = row = i;
    if (handler() === false) {
      keep[i] = 0;
      dropped = true;
    }
  }
  return dropped;
}
