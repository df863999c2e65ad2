/** Wasm filters that the user names: in order, with parameters, on a recording, and swapped while events flow. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Ig, parseAccount, parseEvents, runIg } from '../ig.js';
import { createTemporaryDirectory, removeDirectory } from '../registry/images.js';

const EXAMPLES = fileURLToPath(new URL('../../wasm/sdk/c/examples', import.meta.url));
const BUILD = fileURLToPath(new URL('../../dist/wasm/sdk/c/build.js', import.meta.url));
const UID = 61381;
const TRACE = ['run', 'trace_exec', '--host', '--uid', String(UID)];

let directory: string;

beforeAll(async () => {
  directory = createTemporaryDirectory();
  await Promise.all(['drop', 'add', 'count'].map(built));
});
afterAll(() => removeDirectory(directory));

async function built(name: string): Promise<void> {
  const compiler = spawn(process.execPath, [BUILD, join(EXAMPLES, `${name}.c`), wasm(name)], {
    stdio: 'inherit',
  });
  expect((await once(compiler, 'exit'))[0]).toBe(0);
}

function wasm(name: string): string {
  return join(directory, `${name}.wasm`);
}

/** Runs a script as a user of its own. */
async function execute(script: string): Promise<void> {
  const shell = spawn('/bin/sh', ['-c', script], { uid: UID, stdio: 'ignore' });
  expect((await once(shell, 'exit'))[0]).toBe(0);
}

describe('filters', () => {
  it('run one after the other, each over what those before it let through and added', async () => {
    const ig = await Ig.tracing([
      ...[...TRACE, '-o', 'exec:json,exec_counts:json', '-F', 'exec:depth==3'],
      ...['--wasm', wasm('drop'), '--wasm', wasm('add'), '--wasm', wasm('count')],
      ...['--wasm-param', 'prefix=env', '--wasm-param', 'interval=3600'],
    ]);
    await execute('/usr/bin/env /usr/bin/true; /usr/bin/env /usr/bin/true; /bin/true; /usr/bin/true');
    await ig.until(() => ig.events().length >= 3);
    const { stdout, stderr } = await ig.stop();
    const events = parseEvents(stdout) as unknown as Record<string, unknown>[];
    const execs = events.filter(({ args }) => args !== undefined);
    // The two of env are dropped; what env runs, and the last, lies in /usr/bin.
    expect(execs.map(({ directory, depth }) => [directory, depth])).toEqual(
      Array.from({ length: 3 }, () => ['/usr/bin', 3]),
    );
    // sh, true in /bin, and those three.
    expect(events.at(-1)).toMatchObject({ count: 5 });
    expect(parseAccount(stderr)).toMatchObject({ delivered: 4, lost: 0 });
  });

  it('refuse parameters that they cannot take, in their own words', async () => {
    const { stderr, status } = await runIg([
      ...TRACE,
      '--wasm',
      wasm('count'),
      '--wasm-param',
      'interval=soon',
    ]);
    expect(stderr).toBe(
      'Error: filter count failed in init: parameter interval is soon: it must be a number of seconds from 1 to 3600\n',
    );
    expect(status).toBe(1);
  });

  it('show their fields in the help of the gadget', async () => {
    const { stdout } = await runIg([
      'run',
      'trace_exec',
      '-h',
      '--wasm',
      wasm('add'),
      '--wasm',
      wasm('count'),
    ]);
    expect(stdout).toMatch(/depth +uint32 +Number of slashes in its path/);
    expect(stdout).toMatch(/exec_counts: count +uint64/);
  });

  it('name the containers of events that they emit, and narrow a recording made without them', async () => {
    const recording = join(directory, 'recording');
    const ig = await Ig.tracing([...TRACE, '-o', 'json', '--record', recording]);
    await execute('/bin/true; /bin/true');
    await ig.until(() => ig.events().length >= 3);
    await ig.stop();
    const flags = ['-o', 'json', '--wasm', wasm('drop'), '--wasm-param', 'prefix=tr'];
    const { stdout } = await runIg(['replay', recording, ...flags]);
    expect(parseEvents(stdout).map(({ proc }) => proc.comm)).toEqual(['sh']);
    const counted = await runIg([
      'replay',
      recording,
      '-o',
      'exec:none,exec_counts:json',
      '--wasm',
      wasm('count'),
    ]);
    expect(counted.stdout).toMatch(/^\{"count":3,"mntns_id":\d+\}\n$/);
  });
});

describe('--watch', () => {
  it('swaps a filter whose source changed, and loses no event', async () => {
    const folder = join(directory, 'watched');
    mkdirSync(join(folder, 'wasm'), { recursive: true });
    const source = join(folder, 'wasm/program.c');
    copyFileSync(join(EXAMPLES, 'add.c'), source);
    const edit = (from: string, to: string): void =>
      writeFileSync(source, readFileSync(source, 'utf8').replace(from, to));

    const ig = await Ig.tracing([...TRACE, '-o', 'json', '--wasm', folder, '--watch']);
    const events = (): (Record<string, unknown> & { argv: string[] })[] => ig.events() as never;
    const generator = spawn('sh', ['-c', 'i=0; while :; do /bin/true $i; i=$((i+1)); sleep 0.01; done'], {
      uid: UID,
      stdio: 'ignore',
    });
    try {
      await ig.until(() => events().some(({ depth }) => depth === 2));
      edit('"depth"', '"slashes"');
      await ig.until(() => events().some(({ slashes }) => slashes === 2));
      edit('"slashes"', '"slashes');
      await ig.until(() => ig.stderr.includes('; the module that runs stays\n'));
      edit('"slashes', '"height"');
      await ig.until(() => events().some(({ height }) => height === 2));
    } finally {
      generator.kill();
      await once(generator, 'exit');
    }
    const { stderr } = await ig.stop();
    expect(stderr).toMatch(new RegExp(`^Filter ${folder} is built again and runs\\.$`, 'm'));
    const numbers = events().flatMap(({ argv: [program, number] }) =>
      program === '/bin/true' ? [Number(number)] : [],
    );
    expect(numbers).toEqual(numbers.map((_, i) => i));
    expect(parseAccount(stderr).lost).toBe(0);
  });

  it('is refused where there is no source', async () => {
    const { stderr, status } = await runIg([...TRACE, '--watch']);
    expect(stderr).toMatch(/^Error: --watch is for sources: /);
    expect(status).toBe(2);
  });
});
