// How a run does itself: what its threads, its pipeline and its programs in the kernel take.

import { readFileSync } from 'node:fs';
import { type ProgramRuns, measureRuns } from '../bpf/index.js';
import type { Counts } from './pipeline/control.js';
import { type Latencies, Meter, STAGES, threadSeconds } from './pipeline/meter.js';

export interface RunStats {
  /** Since the programs were attached. */
  readonly seconds: number;
  readonly counts: Counts;
  /** Events the kernel side could not send, by cause. */
  readonly kernelLosses: ReadonlyMap<string, number>;
  /** From the kernel's timestamp of an event to the end of the write that it is in. */
  readonly latencies: Latencies;
  /** In seconds, since the programs were attached; `main` and `worker` are threads, V8's helpers are beside them. */
  readonly cpu: {
    readonly user: number;
    readonly system: number;
    readonly main: number;
    readonly worker: number;
  };
  readonly memoryBytes: {
    readonly resident: number;
    readonly residentPeak: number;
    /** JavaScript heaps of the two threads. */
    readonly mainHeap: number;
    readonly workerHeap: number;
    readonly wasm: number;
  };
  readonly batches: { readonly count: number; readonly largest: number };
  /** How long the worker was busy with what. */
  readonly stages: readonly { readonly name: string; readonly seconds: number }[];
  readonly rings: readonly {
    readonly name: string;
    readonly sizeBytes: number;
    readonly filledMostBytes: number;
  }[];
  readonly programs: readonly ({ readonly name: string } & ProgramRuns)[];
}

/** Where the numbers come from. */
export interface StatsSources {
  readonly counts: () => Counts;
  readonly kernelLosses: () => ReadonlyMap<string, number>;
  /** Of the gadget, and of the tracker of containers. */
  readonly runs: () => ReadonlyMap<string, ProgramRuns>;
  /** Names of the Wasm modules, in their order. */
  readonly modules: () => readonly string[];
  readonly rings: readonly { readonly name: string; readonly sizeBytes: number }[];
}

export class StatsKeeper {
  /** For the pipeline's worker. */
  readonly meter = new Meter();
  private readonly stopMeasuring: (() => void) | undefined;
  private beganMs = 0;
  private cpuBefore: NodeJS.CpuUsage = { user: 0, system: 0 };
  private mainBefore = 0;
  private lastMemory: NodeJS.MemoryUsage | undefined;

  /** Has the kernel measure programs from now on. `warn` hears why it does not. */
  constructor(warn: (sentence: string) => void) {
    try {
      this.stopMeasuring = measureRuns();
    } catch (error) {
      warn(`The kernel does not measure how long eBPF programs run: ${(error as Error).message}.`);
    }
  }

  /** Events come from now on: what the start took does not count. */
  begin(): void {
    this.beganMs = performance.now();
    this.cpuBefore = process.cpuUsage();
    this.mainBefore = threadSeconds(process.pid);
  }

  /** The worker is about to end: memory is told as it is now. */
  settle(): void {
    this.lastMemory = process.memoryUsage();
  }

  read({ counts, kernelLosses, runs, modules, rings }: StatsSources): RunStats {
    const { batches, largestBatch, latencies, ...measured } = this.meter.read();
    const { heapBytes, wasmBytes, cpuSeconds, stageMs, moduleMs, ringBytes } = measured;
    const { user, system } = process.cpuUsage(this.cpuBefore);
    const memory = this.lastMemory ?? process.memoryUsage();
    const [beforeModules, behind] = [stageMs.slice(0, 2), stageMs.slice(2)];
    return {
      seconds: (performance.now() - this.beganMs) / 1000,
      counts: counts(),
      kernelLosses: kernelLosses(),
      latencies,
      cpu: {
        user: user / 1e6,
        system: system / 1e6,
        main: threadSeconds(process.pid) - this.mainBefore,
        worker: cpuSeconds,
      },
      memoryBytes: {
        resident: memory.rss,
        residentPeak: Math.max(memory.rss, peakBytes()),
        mainHeap: memory.heapUsed,
        workerHeap: heapBytes,
        wasm: wasmBytes,
      },
      batches: { count: batches, largest: largestBatch },
      stages: [
        ...beforeModules.map((ms, i) => ({ name: STAGES[i]!, seconds: ms / 1000 })),
        ...modules().map((name, i) => ({ name, seconds: (moduleMs[i] ?? 0) / 1000 })),
        ...behind.map((ms, i) => ({ name: STAGES[beforeModules.length + i]!, seconds: ms / 1000 })),
      ],
      rings: rings.map(({ name, sizeBytes }, i) => ({
        name,
        sizeBytes,
        filledMostBytes: ringBytes[i] ?? 0,
      })),
      programs: [...runs()].map(([name, program]) => ({ name, ...program })),
    };
  }

  close(): void {
    this.stopMeasuring?.();
  }
}

function peakBytes(): number {
  const status = readFileSync('/proc/self/status', 'latin1');
  return Number(/^VmHWM:\s*(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}
