// How processes end, as `ig run trace_exec --exits` shows it: equal to what wait() says, once for each.

import { constants } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ExecEvent, type ExitEvent, Ig, isExit, parseAccount, parseLines } from '../ig.js';
import { type Programs, buildPrograms, runProgram } from '../live/programs.js';

const SHORT = 'ig-short';
/** An emulator takes minutes for thousands. */
const SHORT_LIVES = process.env['IG_TEST_PATIENCE'] === undefined ? 5_000 : 500;
const MS = 1e6;

/** What the program tells of a process: test/live/programs/endings.c. */
interface Told {
  readonly name: string;
  readonly pid: number;
  /** As wait() has it. */
  readonly status: number;
  /** In nanoseconds, from before its fork to after its end. */
  readonly lifetime: number;
}

const NAMES = [
  ...['code_0', 'code_1', 'code_255', 'killed', 'terminated', 'real_time', 'faulted', 'dumped', 'strict'],
  ...['filtered', 'by_thread', 'leader_first', 'leader_first_killed', 'exec_by_thread', 'exec_twice'],
  ...['sleeper', 'parent', 'killed_in_exec', 'all_at_once', 'vforked'],
];

let programs: Programs;
beforeAll(() => {
  programs = buildPrograms();
});
afterAll(() => programs.remove());

function parseTold(stdout: string): Told[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [name, ...numbers] = line.split(' ');
      const [pid, status, lifetime] = numbers.map(Number);
      return { name: name!, pid: pid!, status: status!, lifetime: lifetime! };
    });
}

/** What an event must say of a process that ended with this status. */
function expected(status: number): Partial<ExitEvent> {
  const signal = status & 0x7f;
  if (signal === 0) return { exit_code: status >> 8, core_dumped: false };
  const name = Object.entries(constants.signals).find(([, number]) => number === signal)?.[0];
  return { signal: name ?? `signal#${signal}`, signal_raw: signal, core_dumped: (status & 0x80) !== 0 };
}

describe('exits', () => {
  let events: readonly (ExecEvent | ExitEvent)[] = [];
  let told: readonly Told[] = [];
  /** The process that the others are children of. */
  let parent = 0;
  const execsOf = (pid: number): ExecEvent[] =>
    events.filter((event): event is ExecEvent => !isExit(event) && event.proc.pid === pid);
  const exitsOf = (pid: number): ExitEvent[] =>
    events.filter((event): event is ExitEvent => isExit(event) && event.proc.pid === pid);
  const the = (name: string): Told => told.find((one) => one.name === name)!;

  it('are traced, none lost', async () => {
    const ig = await Ig.tracing(['run', 'trace_exec', '--host', '--exits', '-o', 'json']);
    const endings = await runProgram(programs.endings, [], { cwd: programs.directory });
    parent = endings.pid;
    told = parseTold(endings.stdout);
    await runProgram(programs.burst, [`${SHORT_LIVES}`, programs.tinyAs(SHORT)]);
    const { stdout, stderr, status } = await ig.stop();
    events = parseLines<ExecEvent | ExitEvent>(stdout);
    expect(status).toBe(0);
    expect(parseAccount(stderr).lost).toBe(0);
    expect(new Set(told.map(({ name }) => name))).toEqual(new Set(NAMES));
  });

  it.each(NAMES)('are told as wait() tells them: %s', (name) => {
    for (const { pid, status } of told.filter((one) => one.name === name)) {
      const exits = exitsOf(pid);
      expect(exits).toEqual([expect.objectContaining(expected(status))]);
      for (const field of ['exit_code', 'signal', 'signal_raw'] as const)
        expect(field in exits[0]!).toBe(field in expected(status));
    }
  });

  it('tell who it was', () => {
    for (const name of ['code_0', 'leader_first', 'exec_by_thread']) {
      const { pid } = the(name);
      expect(exitsOf(pid)[0]).toMatchObject({
        proc: {
          comm: 'endings',
          pid,
          tid: pid,
          parent: { comm: 'endings', pid: parent },
          mntns_id: execsOf(pid)[0]!.proc.mntns_id,
        },
        filename: programs.endings,
      });
    }
  });

  it('tell how long the process ran', () => {
    for (const { pid, lifetime } of told) {
      const { duration_raw: duration } = exitsOf(pid)[0]!;
      expect(duration).toBeGreaterThan(0);
      expect(duration).toBeLessThan(lifetime);
    }
    expect(exitsOf(the('sleeper').pid)[0]!.duration_raw).toBeGreaterThan(100 * MS);
  });

  it('tell how long it ran since its last exec', () => {
    const { pid, lifetime } = the('exec_twice');
    expect(execsOf(pid)).toHaveLength(2);
    expect(exitsOf(pid)[0]!.duration_raw).toBeLessThan(lifetime - 200 * MS);
  });

  it('are not shown of processes that executed nothing', () => {
    const { pid } = the('parent');
    expect(events.filter(({ proc }) => proc.parent.pid === pid)).toEqual([]);
  });

  it('are as many as processes, and each comes after its exec', () => {
    const short = events.filter(({ proc }) => proc.comm === SHORT);
    const seen = new Map<number, number>();
    for (const event of short) {
      const before = seen.get(event.proc.pid) ?? 0;
      expect(before).toBe(isExit(event) ? 1 : 0);
      seen.set(event.proc.pid, before + 1);
    }
    expect(short).toHaveLength(2 * SHORT_LIVES);
    expect(seen.size).toBe(SHORT_LIVES);
  });
});
