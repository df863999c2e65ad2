// Holds events that something is not known of yet, for a short and bounded time.

import { Batch, OFFSETS_SIZE_BYTES } from '../data/batch.js';

/** How long an event may wait for the name of its container, or the hash of its file. */
export const HOLD_MS = 3000;
const HOLD_BYTES = 1 << 20;
const HOLD_RECORDS = 1024;

interface Held<W> {
  readonly waitsFor: W;
  readonly deadlineMs: number;
  readonly bytes: Uint8Array;
}

/** Records in the order they came, each with what it waits for. */
export class HoldQueue<W> {
  private held: Held<W>[] = [];
  private sizeBytes = 0;

  get size(): number {
    return this.held.length;
  }

  /** Copies record `row` of `batch` away; false when there is no room. */
  add(batch: Batch, row: number, waitsFor: W, nowMs: number): boolean {
    const start = batch.offsets[row]!;
    const end = batch.offsets[row + 1]!;
    const isFull = this.sizeBytes + end - start > HOLD_BYTES && this.held.length > 0;
    if (this.held.length >= HOLD_RECORDS || isFull) return false;
    // This allocates per event, in the first moments of a container, or of a file that is to be hashed.
    this.held.push({
      waitsFor,
      deadlineMs: nowMs + HOLD_MS,
      bytes: batch.bytes.slice(start, end),
    });
    this.sizeBytes += end - start;
    return true;
  }

  /**
   * Takes out every record that waits no longer, as a batch; undefined when all wait on. Records are asked about in
   * their order.
   */
  release(isKnown: (waitsFor: W) => boolean, nowMs: number): Batch | undefined {
    const ready = this.held.filter((held) => held.deadlineMs <= nowMs || isKnown(held.waitsFor));
    if (ready.length === 0) return undefined;
    const taken = new Set(ready);
    this.held = this.held.filter((held) => !taken.has(held));
    const size = ready.reduce((sum, held) => sum + held.bytes.length, 0);
    this.sizeBytes -= size;
    return batchOf(ready, size);
  }
}

function batchOf(records: readonly Held<unknown>[], sizeBytes: number): Batch {
  const batch = new Batch(sizeBytes);
  let at = OFFSETS_SIZE_BYTES;
  records.forEach((held, row) => {
    batch.bytes.set(held.bytes, at);
    batch.offsets[row] = at;
    at += held.bytes.length;
  });
  batch.offsets[records.length] = at;
  batch.reset(records.length);
  return batch;
}
