/** What `ig` says of a run itself: the summary at the end of the output, and the statistics. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ExecEvent, Ig, parseAccount, parseLines } from '../ig.js';
import { type Programs, buildPrograms, runProgram } from './programs.js';

const COMM = 'ig-stats-tiny';
/** More than the ring buffer holds. */
const EXECS = 20_000;

interface Summary {
  readonly 'ig.summary': {
    readonly gadget: string;
    readonly emitted: number;
    readonly read: number;
    readonly delivered: number;
    readonly filtered: number;
    readonly lost: Readonly<Record<string, number>>;
  };
}

interface Statistics {
  readonly last: boolean;
  readonly events: Pick<Summary['ig.summary'], 'read' | 'delivered' | 'filtered' | 'lost'>;
  readonly latency_ms: Readonly<Record<'p50' | 'p95' | 'p99' | 'max', number>>;
  readonly cpu_seconds: Readonly<Record<'user' | 'system', number>>;
  readonly memory_bytes: Readonly<Record<'resident' | 'resident_peak' | 'worker_heap' | 'wasm', number>>;
  readonly batches: { readonly count: number; readonly largest: number };
  readonly worker_seconds: Readonly<Record<string, number>>;
  readonly rings: readonly {
    readonly name: string;
    readonly size_bytes: number;
    readonly filled_most_bytes: number;
  }[];
  readonly programs: readonly { readonly name: string; readonly runs: number; readonly seconds: number }[];
}

let programs: Programs;
let tiny: string;
beforeAll(() => {
  programs = buildPrograms();
  tiny = programs.tinyAs(COMM);
});
afterAll(() => programs.remove());

async function burst(count: number): Promise<number> {
  return Number((await runProgram(programs.burst, [`${count}`, tiny])).stdout);
}

describe('a run with filtered and lost events', () => {
  it('says the same of them in the summary, on stderr and in the statistics', async () => {
    const file = join(programs.directory, 'stats');
    const shown = ['-o', 'json', '--comm', COMM, '--filter', 'args~[05]$', '--summary'];
    const measured = ['--stats-output', file, '--stats-interval', '0.2'];
    const ig = await Ig.tracing(['run', 'trace_exec', '--host', ...shown, ...measured]);
    const lines = (): Statistics[] => parseLines<Statistics>(readFileSync(file, 'utf8'));
    const first = await burst(1000);
    await ig.until(() => lines().some(({ events }) => events.read === first), 'the events in the statistics');
    process.kill(ig.pid, 'SIGSTOP');
    const executed = first + (await burst(EXECS));
    process.kill(ig.pid, 'SIGCONT');
    const { stdout, stderr } = await ig.stop();

    const records = parseLines<ExecEvent | Summary>(stdout);
    const { 'ig.summary': summary } = records.pop() as Summary;
    const { delivered, filtered, lost, causes } = parseAccount(stderr);
    expect(records).toHaveLength(delivered);
    expect(summary).toMatchObject({ gadget: 'trace_exec', emitted: executed, delivered, filtered });
    expect(summary.read).toBe(delivered + filtered);
    expect(summary.lost).toMatchObject({ total: lost, ring_buffer_full: causes.get('ring buffer full') });
    expect(delivered + filtered + lost).toBe(executed);

    expect(stderr).not.toContain('Statistics');
    const last = lines().at(-1)!;
    expect(lines().map((line) => line.last)).toEqual([
      ...lines()
        .slice(1)
        .map(() => false),
      true,
    ]);
    expect(last.events).toEqual({ read: summary.read, delivered, filtered, lost: summary.lost });
    expectSound(last, executed);
  });
});

/** What must hold of the statistics of any run with so many execs. */
function expectSound(stats: Statistics, executed: number): void {
  const { p50, p95, p99, max } = stats.latency_ms;
  expect([p50, p95, p99, max]).toEqual([p50, p95, p99, max].sort((a, b) => a - b));
  expect(p50).toBeGreaterThan(0);
  const { resident, resident_peak: peak, worker_heap: heap, wasm } = stats.memory_bytes;
  expect(peak).toBeGreaterThanOrEqual(resident);
  expect(resident).toBeGreaterThan(heap);
  expect(wasm).toBeGreaterThan(0);
  expect(stats.cpu_seconds.user).toBeGreaterThan(0);
  expect(stats.batches.largest).toBeGreaterThan(stats.events.read / stats.batches.count);
  for (const stage of ['read', 'containers', 'wasm', 'filter', 'format', 'write'])
    expect(stats.worker_seconds[stage], stage).toBeGreaterThan(0);
  const [ring] = stats.rings;
  // No record fitted any more.
  expect(ring!.filled_most_bytes).toBeGreaterThan(ring!.size_bytes * 0.99);
  expect(ring!.filled_most_bytes).toBeLessThanOrEqual(ring!.size_bytes);
  const tracer = stats.programs.find(({ name }) => name === 'ig_sched_exec');
  expect(tracer!.runs).toBeGreaterThanOrEqual(executed);
  expect(tracer!.seconds).toBeGreaterThan(0);
}
