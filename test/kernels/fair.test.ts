// --fair: who floods the buffer of trace_exec takes no room from others, and is told what was not shown.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Account, type ExecEvent, Ig, parseAccount, parseEvents } from '../ig.js';
import { type Programs, buildPrograms, ended } from '../live/programs.js';
import { until } from '../until.js';

/** A name of their own: the filter for it keeps the rest of the machine out. */
const COMM = 'ig-fair-tiny';
/** Alone, the v2 tree is here, beside v1 hierarchies in a folder. */
const TREE = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].find((path) =>
  existsSync(join(path, 'cgroup.procs')),
);
/** Nearly the most that a record holds: a few fill the buffer of 4 MiB. */
const LARGE_BYTES = 30_000;
/** Less than half of the buffer, and many times a share. */
const HARMLESS = 40;
/** More than fit into it, of each of two that flood. */
const FLOOD = 160;
/** Less than a share; and more than fits where one of the large has found no room. */
const QUIET = 50;
const SMALL_BYTES = 600;
const HELD_BACK = 'held back by --fair';

describe.skipIf(TREE === undefined)('--fair', () => {
  let programs: Programs;
  let tiny: string;
  const cgroups = ['flood', 'quiet'].map((name) => `ig-fair-${name}-${process.pid}`);
  const [flooding, quiet] = cgroups as [string, string];

  beforeAll(() => {
    programs = buildPrograms();
    tiny = programs.tinyAs(COMM);
    for (const cgroup of cgroups) mkdirSync(join(TREE!, cgroup));
  });
  afterAll(async () => {
    programs.remove();
    for (const cgroup of cgroups) await until(() => isRemoved(join(TREE!, cgroup)), 'an empty cgroup');
  });

  /** Executes as fast as it can, in a cgroup; without one, in a mount namespace of its own. */
  async function burst(cgroup: string | undefined, count: number, bytes: number): Promise<number> {
    const enter = cgroup === undefined ? 'exec unshare -m "$@"' : 'echo $$ >"$0" && exec "$@"';
    const procs = join(TREE!, cgroup ?? '', 'cgroup.procs');
    const words = ['-c', enter, procs, programs.burst, `${count}`, tiny, `${bytes}`];
    const { stdout } = await ended(spawn('sh', words, { stdio: ['ignore', 'pipe', 'inherit'] }));
    return Number(stdout);
  }

  interface Run {
    readonly events: readonly ExecEvent[];
    readonly account: Account;
    readonly stderr: string;
  }
  let without: Run;
  let fair: Run;

  it('is tried on a buffer that nobody reads for a while', async () => {
    const run = ['run', 'trace_exec', '--host', '-o', 'json', '--comm', COMM];
    const both = await Promise.all([Ig.tracing(run), Ig.tracing([...run, '--fair'])]);
    expect(await burst(flooding, HARMLESS, LARGE_BYTES)).toBe(HARMLESS);
    for (const ig of both) await ig.until(() => ig.events().length === HARMLESS, 'what is no flood');
    for (const { pid } of both) process.kill(pid, 'SIGSTOP');
    const floods = [burst(flooding, FLOOD, LARGE_BYTES), burst(undefined, FLOOD, LARGE_BYTES)];
    expect(await Promise.all(floods)).toEqual([FLOOD, FLOOD]);
    expect(await burst(quiet, QUIET, SMALL_BYTES)).toBe(QUIET);
    for (const { pid } of both) process.kill(pid, 'SIGCONT');
    [without, fair] = await Promise.all([resultOf(both[0]), resultOf(both[1])]);
  });

  const idOf = (cgroup: string): number => statSync(join(TREE!, cgroup)).ino;
  const of = ({ events }: Run, cgroup: string): ExecEvent[] =>
    events.filter(({ cgroup_id }) => cgroup_id === idOf(cgroup));
  const executed = HARMLESS + 2 * FLOOD + QUIET;

  it('is needed: without it, a flood pushes out the events of others', () => {
    expect(of(without, quiet).length).toBeLessThan(QUIET);
    expect(without.account.causes.get('ring buffer full')).toBe(executed - without.events.length);
    expect(without.stderr).not.toContain('--fair');
  });

  it('delivers every exec of those that do not flood', () => {
    expect(of(fair, quiet)).toHaveLength(QUIET);
    expect(fair.account.causes.get('ring buffer full')).toBeUndefined();
  });

  it('holds nothing back as long as there is room', () => {
    // The first ones, which were many at once; then, of the flood, what half of the buffer takes.
    const shown = of(fair, flooding).length;
    expect(shown).toBeGreaterThan(HARMLESS);
    expect(shown).toBeLessThan(HARMLESS + FLOOD);
  });

  it('counts what it holds back, and says of whom', () => {
    const heldBack = executed - fair.events.length;
    expect(fair.account).toMatchObject({ delivered: fair.events.length, lost: heldBack });
    expect([...fair.account.causes]).toEqual([[HELD_BACK, heldBack]]);
    const ofCgroup = HARMLESS + FLOOD - of(fair, flooding).length;
    expect(fair.stderr).toMatch(/^Not shown by --fair: \d+ events of /m);
    expect(fair.stderr).toMatch(new RegExp(`[ :]${ofCgroup} (events )?of /${flooding}[,.]`));
    expect(fair.stderr).toMatch(
      new RegExp(`[ :]${heldBack - ofCgroup} (events )?of mount namespace \\d+[,.]`),
    );
    expect(fair.stderr).not.toContain(quiet);
  });
});

async function resultOf(ig: Ig): Promise<{ events: ExecEvent[]; account: Account; stderr: string }> {
  const { stdout, stderr } = await ig.stop();
  return { events: parseEvents(stdout), account: parseAccount(stderr), stderr };
}

function isRemoved(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}
