// A column that a core module fills value by value, while others may already read it.

import { Column, type Span } from '../../../runtime/data/batch.js';
import { type Kind, isFixed, widthOf } from '../../../runtime/data/kind.js';

const FIRST_HEAP_SIZE = 4096;
/** What a module may write into one column of one batch, in bytes. */
const MAX_HEAP_SIZE = 16 * 1024 * 1024;
/** A larger heap is not kept for the next batch. */
const MAX_KEPT_HEAP_SIZE = 128 * 1024;
/** What it may write into all columns of one batch. */
const MAX_ROOM = 32 * 1024 * 1024;

/** What the columns of one batch have left between them. */
export class Room {
  private left = MAX_ROOM;

  /** False when that is more than there is. */
  take(size: number): boolean {
    if (size > this.left) return false;
    this.left -= size;
    return true;
  }

  /** For the next batch. */
  renew(): void {
    this.left = MAX_ROOM;
  }
}

export class GuestColumn extends Column {
  private readonly isSet: Uint8Array;
  /** Where the values of kinds that are not fixed start and end in `heap`. */
  private readonly starts: Uint32Array;
  private readonly ends: Uint32Array;
  private heap: Uint8Array;
  private heapView: DataView;
  private used = 0;
  private readonly room: Room;

  /** A column for up to `rows` records, all of their values undefined; `room`: of all columns of the batch. */
  constructor(kind: Kind, rows: number, room: Room, isSet = new Uint8Array(rows)) {
    super(kind, new Uint8Array(isFixed(kind) ? rows * widthOf(kind) : 0), undefined, isSet);
    this.isSet = isSet;
    this.room = room;
    this.starts = new Uint32Array(isFixed(kind) ? 0 : rows);
    this.ends = new Uint32Array(isFixed(kind) ? 0 : rows);
    this.heap = new Uint8Array(isFixed(kind) ? 0 : FIRST_HEAP_SIZE);
    this.heapView = new DataView(this.heap.buffer);
  }

  /** Makes all values undefined. */
  reset(): void {
    this.isSet.fill(0);
    this.used = 0;
    if (this.heap.length > MAX_KEPT_HEAP_SIZE) this.useHeap(new Uint8Array(FIRST_HEAP_SIZE));
  }

  /** Sets a value; false when it has not the kind's size, or there is no room for it. */
  put(row: number, value: Uint8Array): boolean {
    if (this.width > 0) {
      if (value.length !== this.width) return false;
      this.bytes.set(value, row * this.width);
    } else {
      if (!this.reserve(value.length)) return false;
      this.heap.set(value, this.used);
      this.starts[row] = this.used;
      this.used += value.length;
      this.ends[row] = this.used;
    }
    this.isSet[row] = 1;
    return true;
  }

  override locate(row: number, span: Span): boolean {
    if (this.width > 0) return super.locate(row, span);
    if (this.isSet[row] !== 1) return false;
    span.set(this.heap, this.heapView, this.starts[row]!, this.ends[row]!);
    return true;
  }

  private reserve(size: number): boolean {
    const needed = this.used + size;
    if (needed > MAX_HEAP_SIZE || !this.room.take(size)) return false;
    if (needed <= this.heap.length) return true;
    const heap = new Uint8Array(Math.min(MAX_HEAP_SIZE, Math.max(needed, this.heap.length * 2)));
    heap.set(this.heap.subarray(0, this.used));
    this.useHeap(heap);
    return true;
  }

  private useHeap(heap: Uint8Array): void {
    this.heap = heap;
    this.heapView = new DataView(heap.buffer);
  }
}
