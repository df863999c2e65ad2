/** trace_exec at full speed, and how it ends: every exec is delivered, filtered out or counted as lost. */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Account, IG, Ig, parseAccount, parseEvents, trace } from '../ig.js';
import { type Programs, buildPrograms, ended, runProgram } from './programs.js';

const EXECS = 20_000;
/** A name of their own: the filter for it keeps the rest of the machine out. */
const COMM = 'ig-burst-tiny';
const RUN = ['run', 'trace_exec', '--host', '--comm', COMM];

let programs: Programs;
let tiny: string;
beforeAll(() => {
  programs = buildPrograms();
  tiny = programs.tinyAs(COMM);
});
afterAll(() => programs.remove());

/** Returns how many execs there were. */
async function burst(count = EXECS): Promise<number> {
  const { stdout } = await runProgram(programs.burst, [`${count}`, tiny]);
  return Number(stdout);
}

function expectComplete(account: Account, executed: number): void {
  expect(account.delivered + account.filtered + account.lost).toBe(executed);
  const causes = [...account.causes.values()].reduce((sum, count) => sum + count, 0);
  expect(causes).toBe(account.lost);
}

/** Numbers of the execs, which must come in order and once. */
function expectInOrder(numbers: readonly number[]): void {
  numbers.forEach((number, i) => {
    if (i > 0 && number <= numbers[i - 1]!) throw new Error(`exec ${number} after ${numbers[i - 1]}`);
  });
}

describe(`${EXECS} execs at full speed`, () => {
  it('are all delivered as JSON or counted', async () => {
    const { events, did, stderr } = await trace(['--comm', COMM], () => burst());
    expect(did).toBe(EXECS);
    const account = parseAccount(stderr);
    expectComplete(account, did);
    expect(events).toHaveLength(account.delivered);
    expect(account.delivered).toBeGreaterThan(EXECS / 2);
    expectInOrder(events.map(({ argv }) => Number(argv[1])));
  });

  it('are all delivered as columns or counted', async () => {
    const ig = await Ig.tracing(RUN);
    const executed = await burst();
    const { stdout, stderr } = await ig.stop();
    const account = parseAccount(stderr);
    expectComplete(account, executed);
    const lines = stdout.split('\n').slice(1, -1);
    expect(lines).toHaveLength(account.delivered);
    expect(lines.filter((line) => !line.includes(COMM))).toEqual([]);
  });

  it('are delivered, filtered out or counted with filters', async () => {
    const { events, did, stderr } = await trace(['--comm', COMM, '--filter', 'args~[05]$'], () => burst());
    const account = parseAccount(stderr);
    expectComplete(account, did);
    expect(events).toHaveLength(account.delivered);
    expect(events.filter(({ args }) => !/[05]$/.test(args))).toEqual([]);
  });

  it('that fail are all delivered or counted', async () => {
    const { events, stderr } = await trace(['--comm', 'burst', '--ignore-failed=false'], () =>
      runProgram(programs.burst, [`${EXECS}`, '/nothing/here']),
    );
    const account = parseAccount(stderr);
    // The first is that of the program that tries.
    expectComplete(account, 1 + EXECS);
    expect(events).toHaveLength(account.delivered);
    const [first, ...attempts] = events;
    expect(first).toMatchObject({ ret: 0, filename: programs.burst });
    expect(attempts.filter(({ error }) => error !== 'ENOENT')).toEqual([]);
    expectInOrder(attempts.map(({ argv }) => Number(argv[1])));
  });

  it('are counted where they do not fit into the ring buffer', async () => {
    const ig = await Ig.tracing([...RUN, '-o', 'json']);
    process.kill(ig.pid, 'SIGSTOP');
    const executed = await burst();
    process.kill(ig.pid, 'SIGCONT');
    const { stdout, stderr } = await ig.stop();
    const account = parseAccount(stderr);
    expectComplete(account, executed);
    expect(account.lost).toBeGreaterThan(0);
    const events = parseEvents(stdout);
    expect(events).toHaveLength(account.delivered);
    // What came first is kept: nothing is overwritten.
    expect(events.map(({ argv }) => Number(argv[1]))).toEqual(Array.from(events, (_, i) => i));
  });

  it('are counted, too, when nobody reads the output', async () => {
    const fifo = join(programs.directory, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const reader = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    const writer = openSync(fifo, constants.O_WRONLY);
    const ig = await Ig.tracing([...RUN, '-o', 'json'], { stdout: writer });
    closeSync(writer);
    const executed = await burst();
    const { status, stderr } = await ig.stop();
    expect(status).toBe(0);
    const account = parseAccount(stderr);
    expectComplete(account, executed);
    expect(account.lost).toBeGreaterThan(0);
    const lines = readAll(reader).split('\n').slice(0, -1);
    expect(lines).toHaveLength(account.delivered);
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ proc: { comm: COMM } });
    closeSync(reader);
  });
});

/** What a pipe holds, without waiting for more. */
function readAll(fd: number): string {
  const bytes = Buffer.alloc(1 << 20);
  let size = 0;
  try {
    for (let got = 1; got > 0; size += got) got = readSync(fd, bytes, size, bytes.length - size, null);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
  return bytes.toString('utf8', 0, size);
}

describe('the end of a run', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('by %s writes what was seen before', async (signal) => {
    const ig = await Ig.tracingQuietly([...RUN, '-o', 'json']);
    const executed = await burst(200);
    const { status, stdout, stderr } = await ig.stop(signal);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(parseEvents(stdout)).toHaveLength(executed);
  });

  it('by --timeout is no failure', async () => {
    const ig = await Ig.tracingQuietly([...RUN, '-o', 'json', '--timeout', '5']);
    const executed = await burst(200);
    const { status, stdout, stderr } = await ig.end();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(parseEvents(stdout)).toHaveLength(executed);
  });

  it('because the reader has enough is quiet', async () => {
    const errors = join(programs.directory, 'errors');
    const line = `"$1" "$2" run trace_exec --host --comm ${COMM} 2>"$3" | head -3; echo "\${PIPESTATUS[0]}"`;
    const pipeline = spawn('bash', ['-c', line, 'bash', process.execPath, IG, errors], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const result = ended(pipeline);
    let open = true;
    void result.then(() => (open = false));
    while (open) await burst(50);
    const { stdout } = await result;
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(4);
    expect(lines[0]).toMatch(/^RUNTIME.CONTAINERNAME +COMM +PID/);
    expect(lines.slice(1, 3).every((text) => text.includes(COMM))).toBe(true);
    expect(lines[3]).toBe('0');
    expect(readFileSync(errors, 'utf8')).toBe('');
  });
});

describe('two runs at the same time', () => {
  it('both see everything', async () => {
    const args = [...RUN, '-o', 'json'];
    const [first, second] = [await Ig.tracing(args), await Ig.tracing(args)];
    const executed = await burst(500);
    const one = parseEvents((await first.stop()).stdout);
    const more = await burst(500);
    const two = parseEvents((await second.stop()).stdout);
    expect([one.length, two.length]).toEqual([executed, executed + more]);
  });
});
