// Execs that others race with, kill, answer or outlive: how many events there are, and whose.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Account, type ExecEvent, Ig, parseAccount, parseEvents } from '../ig.js';
import { type Ended, type Programs, buildPrograms, runProgram } from '../live/programs.js';

const ECHO = '/bin/echo';
/** In flight at once. */
const CROWD = 5_000;
const TIMES = 100;
const MISSING = '/nothing/here';

let programs: Programs;
beforeAll(() => {
  programs = buildPrograms();
});
afterAll(() => programs.remove());

/** See programs/races.c. */
function races(...words: (string | number)[]): Promise<Ended> {
  return runProgram(programs.races, words.map(String));
}

/** What is done, by name. */
const deeds: Readonly<Record<string, () => Promise<Ended>>> = {
  two: () => races('race', 2, ECHO),
  twenty: () => races('race', 20, ECHO),
  killed: () => races('killed', programs.tiny, programs.tinyAs('blocked')),
  interrupted: () => races('interrupted', programs.tinyAs('blocked')),
  crowd: () => races('crowd', CROWD, programs.tiny, broken()),
  seccomp: () => races('seccomp', programs.tiny),
  traced: () => races('traced', programs.tiny),
  again: () => races('again', TIMES),
  orphan: () => races('orphan', programs.tiny),
  vfork: () => runProgram(programs.burst, ['3', programs.tiny]),
  'failed vfork': () => runProgram(programs.burst, ['3', MISSING]),
};

/** A file that cannot be executed: ENOEXEC. */
function broken(): string {
  const path = join(programs.directory, 'broken');
  writeFileSync(path, 'no program\n', { mode: 0o755 });
  return path;
}

describe('trace_exec', () => {
  const did = new Map<string, Ended>();
  let events: readonly ExecEvent[] = [];
  let account: Account;
  let passedOver: (program: string) => number;
  /** What was there before ig read anything. */
  let gone: Ended;

  it('traces execs in all kinds of trouble and ends well', async () => {
    const ig = await Ig.tracing('run trace_exec --host -o json --paths --ignore-failed=false'.split(' '));
    for (const [name, act] of Object.entries(deeds)) did.set(name, await act());
    process.kill(ig.pid, 'SIGSTOP');
    gone = await runProgram(programs.burst, ['1', programs.tiny]);
    process.kill(ig.pid, 'SIGCONT');
    const { stdout, stderr, status } = await ig.stop();
    events = parseEvents(stdout);
    account = parseAccount(stderr);
    passedOver = (program) =>
      Number(new RegExp(`passed over .*${program} (\\d+) times`).exec(stderr)?.[1] ?? 0);
    expect(status).toBe(0);
  });

  function of(name: string): Ended {
    const ended = did.get(name)!;
    expect(ended.status).toBe(0);
    return ended;
  }

  const ofPid = (pid: number): ExecEvent[] => events.filter(({ proc }) => proc.pid === pid);
  const summary = ({ error, argv }: ExecEvent): string => [error || 'done', ...argv].join(' ');

  it.each(['two', 'twenty'])('shows of threads that race the exec of the winner alone: %s', (name) => {
    const { pid, stdout } = of(name);
    expect(ofPid(pid).slice(1).map(summary)).toEqual([`done racer ${stdout.trim()}`]);
  });

  it('shows nothing of execs that are killed, and the next ones of the same ids as they are', () => {
    const { pid, stdout } = of('killed');
    const [process, thread] = stdout.split(' ').map(Number) as [number, number];
    expect(ofPid(process).map(summary)).toEqual(['ENOENT next', 'done next but one']);
    expect(ofPid(process)[0]).toMatchObject({ filename: MISSING, proc: { tid: process, parent: { pid } } });
    expect(ofPid(pid).slice(1).map(summary)).toEqual([
      `done races reuse_thread ${thread} ${programs.tiny}`,
      'ENOENT next',
      'done next but one',
    ]);
    expect(ofPid(pid).map(({ proc }) => proc.tid)).toEqual([pid, pid, thread, pid]);
  });

  it('shows that a signal interrupts an exec', () => {
    expect(ofPid(Number(of('interrupted').stdout)).map(summary)).toEqual([
      `EINTR ${join(programs.directory, 'blocked')}`,
    ]);
  });

  it(`loses none of ${CROWD} in flight at once`, () => {
    const [succeeded, failed] = of('crowd').stdout.split(' ').map(Number) as [number, number];
    expect(succeeded + failed).toBe(CROWD);
    const found = events.filter(({ argv }) => argv[0] === 'one of many');
    const numbers = found.map(({ argv }) => Number(argv[1])).sort((a, b) => a - b);
    expect(account.lost).toBe(0);
    expect(new Set(numbers).size).toBe(numbers.length);
    // Kernels that preempt a program pass it over meanwhile, and that is said.
    for (const [error, count, program] of [
      ['', succeeded, 'ig_sched_exec'],
      ['ENOEXEC', failed, 'ig_sys_exit'],
    ] as const) {
      const missing = count - found.filter((event) => event.error === error).length;
      expect(missing).toBeGreaterThanOrEqual(0);
      expect(missing).toBeLessThanOrEqual(passedOver(program));
    }
  });

  it('shows an exec that a seccomp filter refuses, and none where it only says that it succeeded', () => {
    const [, ...mine] = ofPid(of('seccomp').pid);
    expect(mine.map(summary)).toEqual(['EPERM refused']);
    expect(mine[0]).toMatchObject({ filename: programs.tiny, ret: -1 });
  });

  it('shows what the kernel did, whatever a tracer tells the program', () => {
    expect(ofPid(Number(of('traced').stdout)).map(summary)).toEqual(['ENOENT turned', 'done turned too']);
  });

  it('shows each exec of a process, in order', () => {
    const mine = ofPid(of('again').pid);
    expect(mine.map(({ argv }) => Number(argv[2]))).toEqual(
      Array.from({ length: TIMES + 1 }, (_, i) => TIMES - i),
    );
    expect(new Set(mine.map(({ proc }) => proc.tid))).toEqual(new Set([mine[0]!.proc.pid]));
  });

  it('names the parent that there was at the exec', () => {
    const orphan = events.find(({ argv }) => argv[0] === 'orphan')!;
    expect(orphan.proc.parent.pid).toBe(Number(orphan.argv[1]));
    expect(orphan.proc.parent.comm).toBe(readFileSync(`/proc/${orphan.argv[1]}/comm`, 'utf8').trimEnd());
  });

  it.each(['vfork', 'failed vfork'])('shows the child as a process of its own: %s', (name) => {
    const { pid } = of(name);
    const children = events.filter(({ proc }) => proc.parent.pid === pid);
    expect(children.map(({ error }) => error)).toEqual(Array(3).fill(name === 'vfork' ? '' : 'ENOENT'));
    for (const { proc } of children) expect([proc.pid === pid, proc.tid === proc.pid]).toEqual([false, true]);
    expect(new Set(children.map(({ proc }) => proc.pid)).size).toBe(3);
  });

  it('knows the parent although all were gone before anything was read', () => {
    const mine = events.filter(({ proc }) => proc.parent.pid === gone.pid);
    expect(mine).toMatchObject([
      {
        proc: { comm: 'tiny', parent: { comm: 'burst' } },
        parent_exepath: programs.burst,
        exepath: programs.tiny,
      },
    ]);
    expect(ofPid(gone.pid)).toMatchObject([{ proc: { comm: 'burst', parent: { pid: process.pid } } }]);
  });
});
