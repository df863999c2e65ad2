/** Events of several data sources in one run: a filter that counts adds its own to those of trace_exec. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build } from '../../wasm/sdk/c/build.js';
import { Ig, parseEvents, runIg } from '../ig.js';
import { createTemporaryDirectory, removeDirectory } from '../registry/images.js';
import { Launcher, type Programs, buildPrograms } from './programs.js';

const COMM = 'ig-several';
const COUNT = fileURLToPath(new URL('../../wasm/sdk/c/examples/count.c', import.meta.url));

let programs: Programs;
let program: string;
let directory: string;
/** Adds the data source `exec_counts`, with an event every second in which there were some. */
let filter: string;
/** The run of the first test. */
let recording: string;

beforeAll(async () => {
  programs = buildPrograms();
  program = programs.tinyAs(COMM);
  directory = createTemporaryDirectory();
  filter = join(directory, 'count.wasm');
  recording = join(directory, 'recording');
  writeFileSync(filter, await build(COUNT));
});
afterAll(() => {
  programs.remove();
  removeDirectory(directory);
});

const exec = (word: string): Promise<unknown> => new Launcher(programs, 'path', program).go([COMM, word]);

/** The words of each line. */
const words = (stdout: string): string[][] =>
  stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(/ +/));

describe('several data sources', () => {
  it('have tables that take turns, each under its name and with its own columns', async () => {
    const fields = 'exec:comm,args;exec_counts:count';
    const more = ['--comm', COMM, '--wasm', filter, '--record', recording, '--fields', fields];
    const ig = await Ig.tracing(['run', 'trace_exec', '--host', ...more]);
    await exec('first');
    await ig.until(() => /^COUNT\n1/m.test(ig.stdout), 'the first count');
    await exec('second');
    const { stdout } = await ig.stop();
    const table = (word: string): string[][] => [
      ...[['exec:'], ['COMM', 'ARGS'], [COMM, COMM, word], ['']],
      ...[['exec_counts:'], ['COUNT'], ['1']],
    ];
    expect(words(stdout)).toEqual([...table('first'), [''], ...table('second')]);
  });

  it('can be shown, filtered and hidden on their own', async () => {
    const replay = async (...flags: string[]): Promise<string> =>
      (await runIg(['replay', recording, '--wasm', filter, ...flags])).stdout;
    const counts = parseEvents(await replay('-o', 'exec:none,exec_counts:json')) as unknown as Counts[];
    expect(counts.reduce((sum, { count }) => sum + count, 0)).toBe(2);
    const some = await replay('-F', 'args~second', '-F', 'count<1', '--fields', 'args,count');
    expect(words(some)).toEqual([['exec:'], ['ARGS'], [COMM, 'second']]);
    const alone = await replay('-o', 'exec_counts:none', '--fields', 'args');
    expect(words(alone)).toEqual([['ARGS'], [COMM, 'first'], [COMM, 'second']]);
  });

  it.each([
    [
      ['--fields', 'args,cout'],
      'none of the data sources exec, exec_counts has a field cout; did you mean count?',
    ],
    [['-o', 'counts:none'], '-o names a data source counts, which is not there; there are exec, exec_counts'],
  ])('are told when %j does not fit them', async (flags, sentence) => {
    const { status, stderr } = await runIg(['replay', recording, '--wasm', filter, ...flags]);
    expect({ status, stderr }).toEqual({ status: 2, stderr: `Error: ${sentence}\n` });
  });

  it('leave the classic view its columns', async () => {
    const ig = await Ig.tracing(['trace', 'exec', '--host', '--comm', COMM, '--wasm', filter]);
    await exec('classic');
    const [, header, event, , , counts] = words((await ig.stop()).stdout);
    expect(header).toEqual(['RUNTIME.CONTAINERNAME', 'PID', 'PPID', 'COMM', 'RET', 'ARGS']);
    expect(event).toEqual(expect.arrayContaining([COMM, 'classic']));
    expect(counts).toEqual(['RUNTIME.CONTAINERNAME', 'MNTNS_ID', 'CONTAINER', 'COUNT']);
  });
});

interface Counts {
  readonly count: number;
}
