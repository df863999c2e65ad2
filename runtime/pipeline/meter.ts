// What a worker measures of itself for --stats, in memory that the main thread reads: time by stage, latencies, sizes.

import { readFileSync } from 'node:fs';
import type { Batch, Span } from '../data/batch.js';
import type { Locator } from '../data/field.js';

/** What a worker does with a batch, but for running Wasm modules, which count one by one. */
export const STAGES = ['read', 'containers', 'filter', 'format', 'write', 'other'] as const;

export type Stage = (typeof STAGES)[number];

/** Modules and rings beyond are counted with the last. */
const MAX_MODULES = 16;
const MAX_RINGS = 16;
/** Latencies in microseconds: one by one up to 15, then 16 buckets for each power of two, up to half an hour. */
const SUB_BITS = 4;
const SUB_BUCKETS = 1 << SUB_BITS;
const LONGEST_US = 2 ** 31 - 1;
const BUCKETS = bucketOf(LONGEST_US) + 1;

/** USER_HZ, the unit of times in /proc/PID/stat, of all architectures that ig runs on. */
const TICKS_PER_SECOND = 100;

// Places in the memory, in Float64.
const BATCHES = 0;
const LARGEST = 1;
const HEAP = 2;
const WASM = 3;
const CPU = 4;
const SLOWEST = 5;
const STAGE_MS = 6;
const MODULE_MS = STAGE_MS + STAGES.length;
const RING_BYTES = MODULE_MS + MAX_MODULES;
const LATENCIES = RING_BYTES + MAX_RINGS;
const PLACES = LATENCIES + BUCKETS;

/** How often sizes of memories are looked up. */
const LOOK_EVERY_MS = 1000;

/** Written by one worker at a time, and read by the main thread. Numbers only grow, but for sizes of memories. */
export class Meter {
  readonly memory: SharedArrayBuffer;
  private readonly places: Float64Array;
  private since = performance.now();
  private lookMs = 0;
  private cpuSeconds: number | undefined;

  constructor(memory = new SharedArrayBuffer(PLACES * 8)) {
    this.memory = memory;
    this.places = new Float64Array(memory);
  }

  /** What begins now counts for the next `lap`. */
  mark(): void {
    this.since = performance.now();
  }

  /** Counts the time since the last `mark` or `lap` for a stage. */
  lap(stage: Stage): void {
    this.addTime(STAGE_MS + STAGES.indexOf(stage));
  }

  /** The same for Wasm module number `module`. */
  lapModule(module: number): void {
    this.addTime(MODULE_MS + Math.min(module, MAX_MODULES - 1));
  }

  private addTime(place: number): void {
    const now = performance.now();
    this.places[place] = this.places[place]! + now - this.since;
    this.since = now;
  }

  addBatch(records: number): void {
    this.places[BATCHES] = this.places[BATCHES]! + 1;
    this.places[LARGEST] = Math.max(this.places[LARGEST]!, records);
  }

  /** Tells how much of ring number `ring` waits to be read. */
  sawRing(ring: number, bytes: number): void {
    const place = RING_BYTES + Math.min(ring, MAX_RINGS - 1);
    this.places[place] = Math.max(this.places[place]!, bytes);
  }

  /** Counts how long before `nowNs` (CLOCK_BOOTTIME) the kept events of a batch happened. Allocates nothing. */
  addLatencies(batch: Batch, timestamp: Locator, nowNs: number, span: Span): void {
    const { places } = this;
    for (let row = 0; row < batch.count; row++) {
      if (batch.keep[row] === 0 || !timestamp(batch, row, span)) continue;
      const ns =
        span.view.getUint32(span.start, true) + span.view.getUint32(span.start + 4, true) * 0x1_0000_0000;
      const us = Math.min(Math.max((nowNs - ns) / 1000, 0), LONGEST_US);
      const place = LATENCIES + bucketOf(us);
      places[place] = places[place]! + 1;
      if (us > places[SLOWEST]!) places[SLOWEST] = us;
    }
  }

  /** Takes in what the worker takes as a whole, but not at every call unless it is the last. */
  lookAt(taken: () => Taken, isLast = false): void {
    if (this.since < this.lookMs && !isLast) return;
    this.lookMs = this.since + LOOK_EVERY_MS;
    const { heapBytes, wasmBytes, cpuSeconds } = taken();
    this.places[HEAP] = heapBytes;
    this.places[WASM] = wasmBytes;
    // A worker before this one has counted its own; what this one took to start does not count.
    this.places[CPU] = this.places[CPU]! + cpuSeconds - (this.cpuSeconds ?? cpuSeconds);
    this.cpuSeconds = cpuSeconds;
  }

  read(): Measured {
    const { places } = this;
    return {
      batches: places[BATCHES]!,
      largestBatch: places[LARGEST]!,
      heapBytes: places[HEAP]!,
      wasmBytes: places[WASM]!,
      cpuSeconds: places[CPU]!,
      stageMs: STAGES.map((_, i) => places[STAGE_MS + i]!),
      moduleMs: Array.from(places.subarray(MODULE_MS, MODULE_MS + MAX_MODULES)),
      ringBytes: Array.from(places.subarray(RING_BYTES, RING_BYTES + MAX_RINGS)),
      latencies: new Latencies(places.slice(LATENCIES, LATENCIES + BUCKETS), places[SLOWEST]!),
    };
  }
}

/** What a worker takes. */
export interface Taken {
  /** Of its JavaScript. */
  readonly heapBytes: number;
  readonly wasmBytes: number;
  readonly cpuSeconds: number;
}

export interface Measured extends Taken {
  readonly batches: number;
  readonly largestBatch: number;
  /** In the order of `STAGES`. */
  readonly stageMs: readonly number[];
  readonly moduleMs: readonly number[];
  /** Of each ring, the most that waited to be read. */
  readonly ringBytes: readonly number[];
  readonly latencies: Latencies;
}

/** How long events took, in microseconds; buckets are a sixteenth wide. */
export class Latencies {
  private readonly counts: Float64Array;
  private readonly slowestUs: number;

  constructor(counts: Float64Array, slowestUs: number) {
    this.counts = counts;
    this.slowestUs = slowestUs;
  }

  get total(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** Those that came since `before` was read. */
  since(before: Latencies): Latencies {
    return new Latencies(
      this.counts.map((count, i) => count - before.counts[i]!),
      this.slowestUs,
    );
  }

  /** At most as long, in milliseconds, took this share (0 … 1) of the events; undefined without any. */
  quantileMs(share: number): number | undefined {
    const wanted = Math.max(1, Math.ceil(this.total * share));
    let sum = 0;
    for (let bucket = 0; bucket < this.counts.length; bucket++) {
      sum += this.counts[bucket]!;
      if (sum >= wanted) return Math.min(endOfUs(bucket), this.slowestUs) / 1000;
    }
    return undefined;
  }
}

/** CPU time of the calling thread, or of thread `id` of the process; 0 when it is gone. */
export function threadSeconds(id?: number): number {
  try {
    // Behind the command in parentheses, which may have any character: state, …, utime and stime as 12th and 13th.
    const stat = readFileSync(`/proc/${id === undefined ? 'thread-self' : `self/task/${id}`}/stat`, 'latin1');
    const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(words[11]) + Number(words[12])) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}

function bucketOf(us: number): number {
  const whole = us | 0;
  if (whole < SUB_BUCKETS) return whole;
  const power = 31 - Math.clz32(whole);
  return (power - SUB_BITS + 1) * SUB_BUCKETS + ((whole >>> (power - SUB_BITS)) & (SUB_BUCKETS - 1));
}

/** Where a bucket ends. */
function endOfUs(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket + 1;
  const power = Math.floor(bucket / SUB_BUCKETS) + SUB_BITS - 1;
  return (SUB_BUCKETS + (bucket % SUB_BUCKETS) + 1) * 2 ** (power - SUB_BITS);
}
