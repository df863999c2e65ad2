/** What of an exec is not collected because nobody reads it, and that whoever reads anything gets it. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ExecEvent, Ig, parseEvents, runIg } from '../ig.js';
import { createTemporaryDirectory, removeDirectory } from '../registry/images.js';
import { Launcher, type Programs, buildPrograms } from './programs.js';

const BUILD = fileURLToPath(new URL('../../dist/wasm/sdk/c/build.js', import.meta.url));
const ADD = fileURLToPath(new URL('../../wasm/sdk/c/examples/add.c', import.meta.url));
/** In the arguments of what is executed. */
const MARK = 'ig-wanted-mark';
const TRACE = ['run', 'trace_exec', '--host', '--ignore-failed=false', '--paths'];

let programs: Programs;
let directory: string;

beforeAll(async () => {
  programs = buildPrograms();
  directory = createTemporaryDirectory();
  const compiler = spawn(process.execPath, [BUILD, ADD, join(directory, 'add.wasm')], { stdio: 'inherit' });
  expect((await once(compiler, 'exit'))[0]).toBe(0);
});
afterAll(() => {
  programs.remove();
  removeDirectory(directory);
});

/** The cells of the table that `ig` has printed, without its header. */
function rows({ stdout }: Ig): string[][] {
  const lines = stdout.split('\n').slice(1, -1);
  return lines.map((line) => line.trim().split(/ {2,}/));
}

/** Which switches of a running gadget are on, as the kernel has them. */
function switchesOn({ pid }: Ig): string[] {
  const ids = new Set(
    readdirSync(`/proc/${pid}/fdinfo`).flatMap(
      (fd) => /^map_id:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1] ?? [],
    ),
  );
  const dumps = [...ids].map((id) => ['-j', 'map', 'dump', 'id', id]).map((words) => dump(words));
  return [...dumps.join('').matchAll(/"gadget_wanted_(\w+)":\s*(\w+)/g)]
    .filter(([, , value]) => value === 'true')
    .map(([, name]) => name!)
    .sort();
}

function dump(words: readonly string[]): string {
  try {
    return execFileSync('bpftool', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return ''; // Gone, or a ring.
  }
}

it('shows the same of an exec whatever else is shown, and collects no more than that', async () => {
  const recording = join(directory, 'recording');
  const fields = 'filename,cwd,argv,error,tty_major,euid,ns_pid';
  const [all, few, json, filtered, recorded] = await Promise.all([
    Ig.tracing([...TRACE, '-o', 'json', '-F', `args~${MARK}`]),
    Ig.tracing([...TRACE, '--fields', fields, '-F', `args~${MARK}`]),
    Ig.tracing([...TRACE, '-o', 'json', '--fields', 'filename,proc.pid', '-F', `args~${MARK}`]),
    Ig.tracing([
      ...[...TRACE, '--fields', 'filename,directory', '--wasm', join(directory, 'add.wasm')],
      ...['-F', `args~${MARK}`, '-F', 'inode>0,file_deleted==false'],
    ]),
    Ig.tracing([...TRACE, '--fields', 'comm', '-F', `args~${MARK}`, '--record', recording]),
  ]);
  const everything = switchesOn(all);
  expect(everything.length).toBeGreaterThan(10);
  expect(switchesOn(few)).toEqual(['args', 'cwd', 'filename', 'namespaces', 'rights', 'terminal']);
  expect(switchesOn(json)).toEqual(['args', 'filename']);
  expect(switchesOn(filtered)).toEqual(everything);
  expect(switchesOn(recorded)).toEqual(everything);

  const missing = join(directory, 'missing');
  await new Launcher(programs, 'path', programs.tiny, directory).go([MARK, 'a b']);
  await new Launcher(programs, 'path', missing, directory).go([MARK]);
  await Promise.all([all, few, json, recorded].map((ig) => ig.until(() => ig.stdout.split('\n').length > 2)));
  await filtered.until(() => filtered.stdout.split('\n').length > 2);
  const runs = [all, few, json, filtered, recorded];
  await Promise.all(runs.map((ig) => ig.stop()));

  const events = parseEvents(all.stdout) as (ExecEvent & { euid: number; ns_pid: number })[];
  expect(events.map(({ cwd, error }) => [cwd, error])).toEqual([
    [directory, ''],
    [directory, 'ENOENT'],
  ]);
  expect(rows(few)).toEqual(
    events.map(({ filename, cwd, argv, error, tty_major, euid, ns_pid }) =>
      [filename, cwd, argv.join(' '), error, tty_major, euid, ns_pid]
        .map(String)
        .filter((cell) => cell !== ''),
    ),
  );
  expect(parseEvents(json.stdout)).toEqual(
    events.map(({ filename, proc: { pid } }) => ({ filename, proc: { pid } })),
  );
  expect(rows(filtered)).toEqual([[programs.tiny, programs.directory]]);
  const replayed = await runIg(['replay', recording, '-o', 'json', '-F', `args~${MARK}`]);
  const facts = ({ proc, inode, fupper_layer, exepath }: ExecEvent): object => {
    return { pid: proc.pid, inode, fupper_layer, exepath };
  };
  expect(parseEvents(replayed.stdout).map(facts)).toEqual(events.map(facts));
});
