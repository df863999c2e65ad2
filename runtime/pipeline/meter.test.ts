import { describe, expect, it } from 'vitest';
import { Batch, Span } from '../data/batch.js';
import { Meter } from './meter.js';

const NOW_NS = 5_000_000_000;
const STAMP_BYTES = 8;

/** Counts events that happened so many microseconds ago. */
function measure(meter: Meter, agoUs: readonly number[]): void {
  for (let start = 0; start < agoUs.length; start += 2000) {
    const part = agoUs.slice(start, start + 2000);
    const batch = new Batch(part.length * STAMP_BYTES);
    batch.reset(part.length);
    part.forEach((us, i) => batch.view.setBigUint64(i * STAMP_BYTES, BigInt(NOW_NS - us * 1000), true));
    const stamps = (of: Batch, row: number, span: Span): boolean => {
      span.set(of.bytes, of.view, row * STAMP_BYTES, (row + 1) * STAMP_BYTES);
      return true;
    };
    meter.addLatencies(batch, stamps, NOW_NS, new Span());
  }
}

describe('a meter', () => {
  it('tells latencies to within a sixteenth, and the longest exactly', () => {
    const meter = new Meter();
    measure(
      meter,
      Array.from({ length: 10_000 }, (_, i) => i + 1),
    );
    const { latencies } = new Meter(meter.memory).read();
    expect(latencies.total).toBe(10_000);
    for (const [share, ms] of [
      [0.5, 5],
      [0.95, 9.5],
      [0.99, 9.9],
    ] as const) {
      expect(latencies.quantileMs(share)).toBeGreaterThanOrEqual(ms);
      expect(latencies.quantileMs(share)).toBeLessThanOrEqual(ms * (1 + 1 / 16));
    }
    expect(latencies.quantileMs(1)).toBe(10);
  });

  it('tells what came since it was read before', () => {
    const meter = new Meter();
    measure(meter, [1_000_000, 1_000_000, 1_000_000]);
    const before = meter.read().latencies;
    measure(meter, [10]);
    const since = meter.read().latencies.since(before);
    expect(since.total).toBe(1);
    expect(since.quantileMs(1)).toBeCloseTo(0.011, 5);
  });

  it('takes any latency, and knows none without events', () => {
    const meter = new Meter();
    expect(meter.read().latencies.quantileMs(0.5)).toBeUndefined();
    // The clock of the kernel side may be ahead; an event may have waited for hours.
    measure(meter, [-5, 0, 15, 16, 4_999_999]);
    const batch = new Batch(STAMP_BYTES);
    batch.reset(1);
    meter.addLatencies(batch, () => false, NOW_NS, new Span());
    expect(meter.read().latencies.total).toBe(5);
    expect(meter.read().latencies.quantileMs(1)).toBeCloseTo(4999.999, 3);
  });

  it('adds up what workers took that followed one another', () => {
    const first = new Meter();
    first.lookAt(() => ({ heapBytes: 1, wasmBytes: 2, cpuSeconds: 100 }));
    first.lookAt(() => ({ heapBytes: 10, wasmBytes: 20, cpuSeconds: 103 }), true);
    const second = new Meter(first.memory);
    second.lookAt(() => ({ heapBytes: 3, wasmBytes: 4, cpuSeconds: 1 }));
    second.lookAt(() => ({ heapBytes: 5, wasmBytes: 6, cpuSeconds: 1.5 }), true);
    expect(second.read()).toMatchObject({ heapBytes: 5, wasmBytes: 6, cpuSeconds: 3.5 });
  });
});
