import { describe, expect, it } from 'vitest';
import { Batch, OFFSETS_SIZE_BYTES } from '../data/batch.js';
import { HOLD_MS, HoldQueue } from './hold.js';

interface Moment {
  readonly mntns: number;
  readonly bootNs: number;
}

/** A batch of records of 8 bytes, each holding its number. */
function batchOf(count: number): Batch {
  const batch = new Batch(count * 8);
  for (let row = 0; row <= count; row++) batch.offsets[row] = OFFSETS_SIZE_BYTES + row * 8;
  batch.reset(count);
  for (let row = 0; row < count; row++) batch.view.setUint32(batch.offsets[row]!, row, true);
  return batch;
}

const numbers = (batch: Batch | undefined): number[] =>
  batch === undefined
    ? []
    : [...batch.offsets.subarray(0, batch.count)].map((at) => batch.view.getUint32(at, true));

describe('events that wait for the name of their container', () => {
  it('go on when their mount namespace is known, in the order they came', () => {
    const queue = new HoldQueue<Moment>();
    const batch = batchOf(4);
    [7, 8, 7, 7].forEach((mntns, row) => expect(queue.add(batch, row, { mntns, bootNs: row }, 0)).toBe(true));
    batch.bytes.fill(0xff, OFFSETS_SIZE_BYTES);
    expect(queue.release(() => false, 10)).toBeUndefined();
    const released = queue.release(({ mntns }) => mntns === 7, 10);
    expect(numbers(released)).toEqual([0, 2, 3]);
    expect([...released!.keep.subarray(0, 3)]).toEqual([1, 1, 1]);
    expect(queue.size).toBe(1);
  });

  it('wait on when the mount namespace is known, but not for the time they come from', () => {
    const queue = new HoldQueue<Moment>();
    const batch = batchOf(2);
    queue.add(batch, 0, { mntns: 7, bootNs: 1000 }, 0);
    queue.add(batch, 1, { mntns: 7, bootNs: 2000 }, 0);
    // Namespace numbers are used again: 7 was another container's until 1500.
    expect(numbers(queue.release(({ bootNs }) => bootNs < 1500, 10))).toEqual([0]);
    expect(queue.size).toBe(1);
  });

  it('go on without a name when they have waited long enough', () => {
    const queue = new HoldQueue<Moment>();
    queue.add(batchOf(1), 0, { mntns: 7, bootNs: 0 }, 100);
    expect(queue.release(() => false, 100 + HOLD_MS - 1)).toBeUndefined();
    expect(numbers(queue.release(() => false, 100 + HOLD_MS))).toEqual([0]);
    expect(queue.size).toBe(0);
  });

  it('are refused when there is no room, and taken again once there is', () => {
    const queue = new HoldQueue<Moment>();
    const batch = batchOf(1);
    let taken = 0;
    while (queue.add(batch, 0, { mntns: 7, bootNs: 0 }, 0)) taken++;
    expect(taken).toBeGreaterThan(100);
    expect(queue.size).toBe(taken);
    queue.release(() => true, 0);
    expect(queue.add(batch, 0, { mntns: 7, bootNs: 0 }, 0)).toBe(true);
  });
});
