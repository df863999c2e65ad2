// Holds events whose container has no name yet, for a short and bounded time.

import { Batch, OFFSETS_SIZE_BYTES } from '../data/batch.js';

/** How long an event may wait for the name of its container. */
export const HOLD_MS = 3000;
const HOLD_BYTES = 1 << 20;
const HOLD_RECORDS = 1024;

interface Held {
  readonly mntns: number;
  /** When it happened. */
  readonly bootNs: number;
  readonly deadlineMs: number;
  readonly bytes: Uint8Array;
}

/** Records in the order they came, each with the mount namespace it waits for. */
export class HoldQueue {
  private held: Held[] = [];
  private sizeBytes = 0;

  get size(): number {
    return this.held.length;
  }

  /** Copies record `row` of `batch` away; false when there is no room. */
  add(batch: Batch, row: number, mntns: number, bootNs: number, nowMs: number): boolean {
    const start = batch.offsets[row]!;
    const end = batch.offsets[row + 1]!;
    if (this.held.length >= HOLD_RECORDS || this.sizeBytes + end - start > HOLD_BYTES) return false;
    // The one place that allocates per event: it happens only in the first moments of a container.
    this.held.push({
      mntns,
      bootNs,
      deadlineMs: nowMs + HOLD_MS,
      bytes: batch.bytes.slice(start, end),
    });
    this.sizeBytes += end - start;
    return true;
  }

  /** Takes out every record that waits no longer, as a batch; undefined when all wait on. */
  release(isKnown: (mntns: number, bootNs: number) => boolean, nowMs: number): Batch | undefined {
    const ready = this.held.filter((held) => held.deadlineMs <= nowMs || isKnown(held.mntns, held.bootNs));
    if (ready.length === 0) return undefined;
    const taken = new Set(ready);
    this.held = this.held.filter((held) => !taken.has(held));
    const size = ready.reduce((sum, held) => sum + held.bytes.length, 0);
    this.sizeBytes -= size;
    return batchOf(ready, size);
  }
}

function batchOf(records: Held[], sizeBytes: number): Batch {
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
