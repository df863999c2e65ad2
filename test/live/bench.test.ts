// That the benchmark can be built, and that what it measures ig against writes what ig writes.

import { execFileSync, spawn } from 'node:child_process';
import { expect, it, onTestFinished } from 'vitest';
import { type ExecEvent, parseEvents, trace } from '../ig.js';
import { until } from '../until.js';

/** Each instance has looked at the clock by itself. */
const CLOCKS = ['timestamp', 'timestamp_raw', 'start_time'];

interface Programs {
  readonly floor: string;
  readonly traceExecObject: string;
}

/** Builds all that the benchmark runs. */
function buildBench(): Programs {
  const url = new URL('../bench/build.js', import.meta.url).href;
  const script = `import { PROGRAMS, build } from '${url}'; await build(); console.log(JSON.stringify(PROGRAMS))`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  return JSON.parse(output) as Programs;
}

/** The same exec, as two programs saw it, is the same text. */
function texts(events: readonly ExecEvent[]): string[] {
  return events
    .filter(({ filename }) => filename === '/bin/echo')
    .map((event) => JSON.stringify(event, (key, value: unknown) => (CLOCKS.includes(key) ? '' : value)));
}

it('the C floor writes the JSON of ig', { timeout: 120_000 }, async () => {
  const programs = buildBench();
  const floor = spawn(programs.floor, [programs.traceExecObject]);
  onTestFinished(() => void floor.kill('SIGKILL'));
  let [written, said] = ['', ''];
  floor.stdout.on('data', (bytes) => (written += String(bytes)));
  floor.stderr.on('data', (bytes) => (said += String(bytes)));
  await until(() => said === 'attached\n', 'the floor to be attached');

  const { events } = await trace([], () => {
    execFileSync('/bin/echo', ['-n', 'plain', 'two words', '"quoted"', '']);
    execFileSync('/bin/echo', ['-n'], { uid: 1, gid: 1 });
    return Promise.resolve();
  });
  floor.kill('SIGINT');
  await until(() => said === 'attached\n0 lost\n', 'the floor to end');

  const expected = texts(events);
  expect(expected).toHaveLength(2);
  expect(texts(parseEvents(written))).toEqual(expected);
});
