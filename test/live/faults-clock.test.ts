// Timestamps of `ig`, as built, where this process's clocks are not the machine's. Of clocks that are set: test/kernels/clock-and-cpus.test.ts.

import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { Ig } from '../ig.js';
import { buildPrograms, runProgram } from './programs.js';

const IN_ANOTHER_TIME = ['unshare', '-T', '--boottime', '86400', '--fork', '--kill-child'];
const COMM = 'ig-time-tiny';

it.skipIf(spawnSync('unshare', [...IN_ANOTHER_TIME.slice(1), 'true']).status !== 0)(
  'in a time namespace events are dated as everywhere',
  async () => {
    const programs = buildPrograms();
    const flags = ['run', 'trace_exec', '--host', '--comm', COMM, '-o', 'json', '--timeout', '30'];
    const ig = await Ig.tracing(flags, { inside: IN_ANOTHER_TIME });
    const before = Date.now();
    await runProgram(programs.tinyAs(COMM), []);
    await ig.until(() => ig.events().length > 0);
    programs.remove();
    expect(Math.abs(Date.parse(ig.events()[0]!.timestamp) - before)).toBeLessThan(10_000);
  },
);
