// `--exits` as users see it: whose end is shown, in tables, in recordings, and that nothing of it is there without.

import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ExitEvent, Ig, parseLines, runIg } from '../ig.js';
import { type Programs, buildPrograms, runProgram } from './programs.js';

const COMM = 'ig-ending';

let programs: Programs;
/** A shell of that name. */
let shell: string;
let recording: string;

beforeAll(() => {
  programs = buildPrograms();
  shell = join(programs.directory, COMM);
  copyFileSync('/bin/sh', shell);
  recording = join(programs.directory, 'recording');
});
afterAll(() => programs.remove());

/** The words of each line. */
const words = (stdout: string): string[][] =>
  stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => line.trim().split(/ +/));

describe('--exits', () => {
  it('shows in a table of their own how the processes end that were shown', async () => {
    const flags = ['--comm', COMM, '--record', recording];
    const fields = ['--fields', 'exec:comm;exit:comm,exit_code,signal,core_dumped'];
    const ig = await Ig.tracing(['run', 'trace_exec', '--host', '--exits', ...flags, ...fields]);
    for (const script of ['exit 3', 'kill -9 $$', 'exec true', 'sh -c "exit 4"; exit 5'])
      await runProgram(shell, ['-c', script]);
    await ig.until(() => / 5 .*\n$/.test(ig.stdout), 'the last exit');
    const lines = words((await ig.stop()).stdout);
    const header = ['COMM', 'EXIT_CODE', 'SIGNAL', 'CORE_DUMPED'];
    expect(lines.slice(0, 2)).toEqual([['exec:'], ['COMM']]);
    expect(lines[lines.findIndex(([word]) => word === 'exit:') + 1]).toEqual(header);
    expect(lines.filter((line) => line.length > 1 && line[0] !== 'COMM')).toEqual([
      [COMM, '3', 'false'],
      [COMM, 'SIGKILL', 'false'],
      // What it executed then was not to be shown.
      ['true', '0', 'false'],
      [COMM, '5', 'false'],
    ]);
    expect(lines.filter((line) => line.length === 1 && line[0] === COMM)).toHaveLength(4);
  });

  it('is part of a recording', async () => {
    const { stdout } = await runIg(['replay', recording, '-o', 'exec:none,exit:json']);
    const exits = parseLines<ExitEvent>(stdout);
    expect(exits.map(({ exit_code, signal }) => exit_code ?? signal)).toEqual([3, 'SIGKILL', 0, 5]);
    expect(exits.map(({ filename }) => filename)).toEqual(Array(4).fill(shell));
    const both = parseLines<object>((await runIg(['replay', recording, '-o', 'json'])).stdout);
    expect(both).toHaveLength(8);
  });

  it('is described where it is asked for only', async () => {
    const help = async (...flags: string[]): Promise<string> =>
      (await runIg(['run', 'trace_exec', ...flags, '-h'])).stdout;
    expect(await help()).not.toMatch(/exit_code|^ [ *] exec: /m);
    expect(await help('--exits')).toMatch(/^ \* exit: exit_code /m);
    const { stderr } = await runIg(['run', 'trace_exec', '--host', '-F', 'exit_code==1']);
    expect(stderr).toMatch(/^Error: .*exit_code/);
  });
});
