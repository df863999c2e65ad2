// trace_exec while the clock is set and a processor goes and comes back. Only in guests: nobody sets a shared machine's clock.

import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ExecEvent, Ig, parseAccount, parseEvents } from '../ig.js';
import { type Programs, buildPrograms, runProgram } from '../live/programs.js';

const SWITCH = '/sys/devices/system/cpu/cpu1/online';
const COMM = 'ig-clock-tiny';
const HOUR_MS = 3_600_000;

let programs: Programs;
beforeAll(() => {
  programs = buildPrograms();
});
afterAll(() => programs.remove());

function setClock(byMs: number): void {
  execFileSync('date', ['-s', `@${(Date.now() + byMs) / 1000}`], { stdio: 'ignore' });
}

/** Why not here; undefined where it may be done. */
function reasonAgainst(): string | undefined {
  if (!existsSync('/ig-share')) return 'not in a guest: nobody sets a shared machine’s clock';
  return existsSync(SWITCH) ? undefined : 'this machine has one processor, or none that can be taken away';
}

describe('a run goes on', () => {
  beforeEach(({ skip }) => {
    const reason = reasonAgainst();
    if (reason !== undefined) skip(reason);
  });

  let events: readonly ExecEvent[] = [];
  const [begin, tick] = [Date.now(), performance.now()];
  let elapsedMs = 0;
  const deeds = ['first', 'ahead', 'behind', 'back', 'alone', 'both'];

  it('while the clock is set and a processor is away, with nothing lost', async () => {
    const tiny = programs.tinyAs(COMM);
    const act = async (name: string): Promise<void> => void (await runProgram(tiny, [name]));
    const ig = await Ig.tracing(['run', 'trace_exec', '--host', '--comm', COMM, '-o', 'json']);
    await act('first');
    setClock(2 * HOUR_MS);
    await act('ahead');
    setClock(-4 * HOUR_MS);
    await act('behind');
    setClock(2 * HOUR_MS);
    await act('back');
    writeFileSync(SWITCH, '0');
    await act('alone');
    writeFileSync(SWITCH, '1');
    for (const cpu of ['0', '1']) await runProgram('taskset', ['-c', cpu, tiny, 'both']);
    elapsedMs = performance.now() - tick;
    const { stdout, stderr, status } = await ig.stop();
    events = parseEvents(stdout);
    expect(status).toBe(0);
    expect(parseAccount(stderr)).toMatchObject({ delivered: deeds.length + 1, lost: 0 });
  });

  it('shows all in their order', () => {
    expect(events.map(({ args }) => args.split(' ').at(-1))).toEqual([...deeds, 'both']);
  });

  it('dates events by the clock as it was when the run began, and never back', () => {
    const times = events.map(({ timestamp }) => Date.parse(timestamp));
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(times[0]).toBeGreaterThan(begin - 1000);
    expect(times.at(-1)).toBeLessThan(begin + elapsedMs + 1000);
  });
});
