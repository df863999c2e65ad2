import { describe, expect, it } from 'vitest';
import { Control } from '../pipeline/control.js';
import { Meter } from '../pipeline/meter.js';
import type { RunStats } from '../stats.js';
import { lineOf, recordOf, tableOf } from './stats.js';

const STATS: RunStats = {
  seconds: 10,
  counts: { ...new Control().counts(), read: 1000, delivered: 900, filtered: 90, lostGuest: 10 },
  kernelLosses: new Map([['ring buffer full', 40]]),
  latencies: new Meter().read().latencies,
  cpu: { user: 0.3, system: 0.1, main: 0.05, worker: 0.25 },
  memoryBytes: {
    resident: 100 << 20,
    residentPeak: 110 << 20,
    mainHeap: 10 << 20,
    workerHeap: 8 << 20,
    wasm: 1 << 20,
  },
  batches: { count: 50, largest: 70 },
  stages: [
    { name: 'read', seconds: 0.1 },
    { name: 'wasm', seconds: 0.2 },
  ],
  rings: [{ name: 'events', sizeBytes: 4 << 20, filledMostBytes: 1 << 20 }],
  programs: [{ name: 'ig_sched_exec', count: 1040, ns: 2_080_000, misses: 3 }],
};
/** Five seconds before, with 400 events less. */
const BEFORE: RunStats = {
  ...STATS,
  seconds: 5,
  counts: { ...STATS.counts, read: 600, delivered: 500 },
  kernelLosses: new Map([['ring buffer full', 30]]),
  cpu: { ...STATS.cpu, user: 0.2 },
};

describe('statistics', () => {
  it('are a table in the end', () => {
    expect(tableOf(STATS)).toEqual([
      'Statistics of 10.0 s:',
      '  events                 1000 read (100/s), 900 delivered (90/s), 90 filtered (9/s), 50 lost (5/s)',
      '  lost                   40 ring buffer full, 10 Wasm module failed',
      '  latency                not known',
      '  CPU                    0.30 s user, 0.10 s system: 4.0 % of one CPU, 400.0 µs per event; worker 0.25 s, main 0.05 s, others 0.10 s',
      '  memory                 100.0 MiB resident, at most 110.0; heaps 10.0 main, 8.0 worker; Wasm 1.0',
      '  batches                50 of 20.0 events, the largest of 70',
      '  worker                 busy 3.0 % of the time: read 1.0 %, wasm 2.0 %',
      '  ring events            4.0 MiB, at most 25.0 % filled',
      '  program ig_sched_exec  1040 runs of 2.00 µs, 0.00 s, passed over 3 times',
    ]);
  });

  it('are a line of what happened since the one before', () => {
    expect(lineOf(STATS, BEFORE)).toBe(
      'Stats at 10.0 s: 80 events/s read, 80 delivered, 0 filtered, 2 lost, latency p50 -, p99 -, CPU 2.0 %, ' +
        '100.0 MiB, ring at most 25.0 % filled',
    );
  });

  it('are numbers for machines', () => {
    const record = JSON.parse(JSON.stringify(recordOf(STATS, BEFORE, true))) as object;
    expect(record).toMatchObject({
      seconds: 10,
      last: true,
      events: {
        ...{ read: 1000, delivered: 900, filtered: 90 },
        lost: { total: 50, ring_buffer_full: 40, wasm_module_failed: 10, output_not_read: 0 },
      },
      interval: { seconds: 5, read_per_second: 80, lost_per_second: 2, cpu_percent: 2 },
      worker_seconds: { read: 0.1, wasm: 0.2 },
      rings: [{ name: 'events', size_bytes: 4 << 20, filled_most_bytes: 1 << 20 }],
      programs: [{ name: 'ig_sched_exec', runs: 1040, seconds: 0.00208, passed_over: 3 }],
    });
  });
});
