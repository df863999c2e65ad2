// What --stats prints: how ig itself does, for people on stderr, or for machines into a file.

import { closeSync, constants, openSync, writeSync } from 'node:fs';
import type { Latencies } from '../pipeline/meter.js';
import type { RunStats } from '../stats.js';
import { lossesByKey, lossesOf } from './account.js';
import { UsageError, say } from './fail.js';

const { O_CREAT, O_NONBLOCK, O_TRUNC, O_WRONLY } = constants;
const MIB = 1 << 20;

export interface StatsFlags {
  readonly stats?: boolean;
  readonly statsInterval?: number;
  readonly statsOutput?: string;
}

/** Prints how it goes every so often, and at the end. */
export class StatsReporter {
  private readonly intervalSeconds: number | undefined;
  private readonly path: string | undefined;
  private readonly fd: number | undefined;
  private last: RunStats | undefined;
  private timer: NodeJS.Timeout | undefined;

  /** `path`: a file for machines, instead of stderr. Throws UsageError when it cannot be written. */
  constructor(intervalSeconds: number | undefined, path: string | undefined) {
    this.intervalSeconds = intervalSeconds;
    this.path = path;
    this.fd = path === undefined ? undefined : open(path);
  }

  begin(read: () => RunStats): void {
    if (this.intervalSeconds === undefined) return;
    this.timer = setInterval(() => this.report(read()), this.intervalSeconds * 1000).unref();
  }

  /** No more lines come. */
  stop(): void {
    clearInterval(this.timer);
  }

  end(stats: RunStats): void {
    if (this.fd === undefined) for (const line of tableOf(stats)) say(line);
    else this.writeLine(stats, true);
    if (this.fd !== undefined) closeSync(this.fd);
  }

  private report(stats: RunStats): void {
    if (this.fd === undefined) say(lineOf(stats, this.last));
    else this.writeLine(stats, false);
    this.last = stats;
  }

  private writeLine(stats: RunStats, isLast: boolean): void {
    try {
      writeSync(this.fd!, `${JSON.stringify(recordOf(stats, this.last, isLast))}\n`);
    } catch (error) {
      say(`Warning: the statistics cannot be written to ${this.path ?? ''}: ${(error as Error).message}`);
      this.stop();
    }
  }
}

/** A named pipe without a reader is an error, and one whose reader is slow does not hold the run up. */
function open(path: string): number {
  try {
    return openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0o644);
  } catch (error) {
    throw new UsageError(`the statistics cannot be written to ${path}: ${(error as Error).message}`);
  }
}

/** What happened since `before`, or since the beginning. */
function between(stats: RunStats, before: RunStats | undefined): Interval {
  const seconds = stats.seconds - (before?.seconds ?? 0);
  const rate = (of: (stats: RunStats) => number): number =>
    (of(stats) - (before === undefined ? 0 : of(before))) / seconds;
  return {
    seconds,
    read: rate(({ counts }) => counts.read),
    delivered: rate(({ counts }) => counts.delivered),
    filtered: rate(({ counts }) => counts.filtered),
    lost: rate(lostOf),
    latencies: before === undefined ? stats.latencies : stats.latencies.since(before.latencies),
    cpuPercent: 100 * rate(cpuOf),
  };
}

interface Interval {
  readonly seconds: number;
  /** Events per second, as are the next. */
  readonly read: number;
  readonly delivered: number;
  readonly filtered: number;
  readonly lost: number;
  readonly latencies: Latencies;
  /** Of one CPU. */
  readonly cpuPercent: number;
}

function lostOf(stats: RunStats): number {
  return lossesOf(stats).reduce((sum, [, count]) => sum + count, 0);
}

function cpuOf({ cpu }: RunStats): number {
  return cpu.user + cpu.system;
}

/** One line: how it went since the one before. */
export function lineOf(stats: RunStats, before: RunStats | undefined): string {
  const { read, delivered, filtered, lost, latencies, cpuPercent } = between(stats, before);
  const [p50, p99] = [latencies.quantileMs(0.5), latencies.quantileMs(0.99)].map(milliseconds);
  const fullest = Math.max(0, ...stats.rings.map(fillOf));
  return [
    `Stats at ${fixed(stats.seconds)} s: ${whole(read)} events/s read`,
    `${whole(delivered)} delivered`,
    `${whole(filtered)} filtered`,
    `${whole(lost)} lost`,
    `latency p50 ${p50}, p99 ${p99}`,
    `CPU ${fixed(cpuPercent)} %`,
    `${mib(stats.memoryBytes.resident)} MiB`,
    `ring at most ${percent(fullest)} filled`,
  ].join(', ');
}

/** The end of a run, as lines of `name  what`. */
export function tableOf(stats: RunStats): string[] {
  const losses = lossesOf(stats).filter(([, count]) => count > 0);
  const rows: [string, string][] = [
    ['events', eventsOf(stats)],
    ...(losses.length === 0
      ? []
      : [['lost', losses.map(([cause, count]) => `${count} ${cause}`).join(', ')] as [string, string]]),
    ['latency', latencyOf(stats.latencies)],
    ['CPU', cpuText(stats)],
    ['memory', memoryOf(stats)],
    ['batches', batchesOf(stats)],
    ['worker', stagesOf(stats)],
    ...stats.rings.map((ring): [string, string] => [
      `ring ${ring.name}`,
      `${mib(ring.sizeBytes)} MiB, at most ${percent(fillOf(ring))} filled`,
    ]),
    ...stats.programs.map((program): [string, string] => [`program ${program.name}`, programOf(program)]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    `Statistics of ${fixed(stats.seconds)} s:`,
    ...rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`),
  ];
}

function eventsOf(stats: RunStats): string {
  const { counts, seconds } = stats;
  const each = {
    read: counts.read,
    delivered: counts.delivered,
    filtered: counts.filtered,
    lost: lostOf(stats),
  };
  return Object.entries(each)
    .map(([what, count]) => `${count} ${what} (${whole(count / seconds)}/s)`)
    .join(', ');
}

function latencyOf(latencies: Latencies): string {
  if (latencies.total === 0) return 'not known';
  const each = { p50: 0.5, p95: 0.95, p99: 0.99, max: 1 };
  const texts = Object.entries(each).map(
    ([name, share]) => `${name} ${milliseconds(latencies.quantileMs(share))}`,
  );
  return `${texts.join(', ')}, from the kernel to the output`;
}

function cpuText(stats: RunStats): string {
  const { cpu, seconds, counts } = stats;
  const all = cpuOf(stats);
  const others = Math.max(0, all - cpu.main - cpu.worker);
  const perEvent = counts.read === 0 ? '' : `, ${fixed((all * 1e6) / counts.read)} µs per event`;
  return (
    `${fixed(cpu.user, 2)} s user, ${fixed(cpu.system, 2)} s system: ${fixed((100 * all) / seconds)} % of one CPU${perEvent}; ` +
    `worker ${fixed(cpu.worker, 2)} s, main ${fixed(cpu.main, 2)} s, others ${fixed(others, 2)} s`
  );
}

function memoryOf({ memoryBytes: { resident, residentPeak, mainHeap, workerHeap, wasm } }: RunStats): string {
  return (
    `${mib(resident)} MiB resident, at most ${mib(residentPeak)}; ` +
    `heaps ${mib(mainHeap)} main, ${mib(workerHeap)} worker; Wasm ${mib(wasm)}`
  );
}

function batchesOf({ batches: { count, largest }, counts }: RunStats): string {
  const mean = count === 0 ? 0 : counts.read / count;
  return `${count} of ${fixed(mean)} events, the largest of ${largest}`;
}

function stagesOf({ stages, seconds }: RunStats): string {
  const busy = stages.reduce((sum, stage) => sum + stage.seconds, 0);
  const shares = stages.map(({ name, seconds: spent }) => `${name} ${fixed((100 * spent) / seconds)} %`);
  return `busy ${fixed((100 * busy) / seconds)} % of the time: ${shares.join(', ')}`;
}

function programOf({ count, ns, misses }: RunStats['programs'][number]): string {
  const mean = count === 0 ? 0 : ns / count / 1000;
  const passedOver = misses === 0 ? '' : `, passed over ${misses} times`;
  return `${count} runs of ${fixed(mean, 2)} µs, ${fixed(ns / 1e9, 2)} s${passedOver}`;
}

/** A line for machines. Counts are since the beginning; `interval` is since the line before. */
export function recordOf(stats: RunStats, before: RunStats | undefined, isLast: boolean): object {
  const { counts, cpu, memoryBytes, batches, stages, rings, programs } = stats;
  const { read, delivered, filtered } = counts;
  const interval = between(stats, before);
  return {
    time: new Date().toISOString(),
    seconds: rounded(stats.seconds),
    last: isLast,
    events: { read, delivered, filtered, lost: { total: lostOf(stats), ...lossesByKey(stats) } },
    latency_ms: latencyRecord(stats.latencies),
    interval: {
      seconds: rounded(interval.seconds),
      read_per_second: rounded(interval.read),
      delivered_per_second: rounded(interval.delivered),
      filtered_per_second: rounded(interval.filtered),
      lost_per_second: rounded(interval.lost),
      latency_ms: latencyRecord(interval.latencies),
      cpu_percent: rounded(interval.cpuPercent),
    },
    cpu_seconds: { user: cpu.user, system: cpu.system, main: cpu.main, worker: cpu.worker },
    memory_bytes: {
      resident: memoryBytes.resident,
      resident_peak: memoryBytes.residentPeak,
      main_heap: memoryBytes.mainHeap,
      worker_heap: memoryBytes.workerHeap,
      wasm: memoryBytes.wasm,
    },
    batches,
    worker_seconds: Object.fromEntries(stages.map(({ name, seconds }) => [name, rounded(seconds)])),
    rings: rings.map(({ name, sizeBytes, filledMostBytes }) => ({
      name,
      size_bytes: sizeBytes,
      filled_most_bytes: filledMostBytes,
    })),
    programs: programs.map(({ name, count, ns, misses }) => ({
      name,
      runs: count,
      seconds: ns / 1e9,
      passed_over: misses,
    })),
  };
}

function latencyRecord(latencies: Latencies): object {
  const at = (share: number): number | undefined => latencies.quantileMs(share);
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

function fillOf({ sizeBytes, filledMostBytes }: RunStats['rings'][number]): number {
  return filledMostBytes / sizeBytes;
}

function milliseconds(ms: number | undefined): string {
  return ms === undefined ? '-' : `${ms < 10 ? ms.toFixed(2) : ms.toFixed(0)} ms`;
}

function percent(share: number): string {
  return `${fixed(100 * share)} %`;
}

function mib(bytes: number): string {
  return fixed(bytes / MIB);
}

function whole(value: number): string {
  return value.toFixed(0);
}

function fixed(value: number, digits = 1): string {
  return value.toFixed(digits);
}

function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
