// `ig`, as built, killed at any moment: nothing of it stays in the kernel or runs on, and what stays on disk the next one removes.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportToFile } from '../../oci/archive-writer.js';
import { Layout } from '../../oci/layout.js';
import { Ig, type IgOptions, runIg } from '../ig.js';
import { buildSample, createTemporaryDirectory, removeDirectory } from '../registry/images.js';
import { until } from '../until.js';
import { canListKernelObjects, orphans } from './kernel-objects.js';
import { type Programs, buildPrograms, runProgram } from './programs.js';

const SAMPLE = fileURLToPath(new URL('../registry/samples/trace_sample', import.meta.url));
const SEED = process.env['SEED'] ?? String(Date.now() % 1_000_000);
/** Of all processes that a test starts, in their environment. */
const MARK = `IG_TEST_MARK=${process.pid}-${SEED}`;
const IMAGE = 'ghcr.io/x/sample:v1';

let drawn = 0;
function random(limit: number): number {
  return createHash('sha256').update(`${SEED} ${drawn++}`).digest().readUInt32LE() % limit;
}

let directory: string;
let varLib: string;
let temporary: string;
beforeAll(async () => {
  directory = createTemporaryDirectory();
  [varLib, temporary] = ['lib', 'tmp'].map((name) => join(directory, name)) as [string, string];
  for (const path of [varLib, temporary]) mkdirSync(path);
  cpSync(SAMPLE, join(directory, 'trace_sample'), { recursive: true });
  const layout = new Layout(join(directory, 'layout'));
  await buildSample(layout, IMAGE, {
    platforms: ['amd64', 'arm64'].map((architecture) => ({
      architecture,
      ebpf: Buffer.alloc(8 << 20, architecture),
    })),
  });
  await exportToFile(layout, [IMAGE], join(directory, 'image.tar'));
});
afterAll(() => removeDirectory(directory));

/** With a store, a cache and a place for temporary files of the test's own. */
function privately(): IgOptions {
  const [name = '', value = ''] = MARK.split('=');
  return {
    inside: ['unshare', '-m', 'sh', '-c', 'mount --bind "$0" /var/lib && exec "$@"', varLib],
    cwd: directory,
    env: { TMPDIR: temporary, HOME: directory, [name]: value },
  };
}

/** What of the tests' processes still runs. */
function runningOn(): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const isOurs = readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`\0${MARK}\0`);
      return isOurs && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
    } catch {
      return false; // no process, or it has ended
    }
  });
}

function mounts(): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .filter((line) => / (bpf|tracefs|securityfs) /.test(line));
}

interface Trace {
  readonly orphans: ReadonlySet<string>;
  readonly pinned: readonly string[];
  readonly mounts: readonly string[];
}

function look(): Trace {
  return { orphans: orphans(), pinned: readdirSync('/sys/fs/bpf'), mounts: mounts() };
}

/** The kernel frees some of it a moment later. */
async function expectNothingLeft(before: Trace): Promise<void> {
  await until(() => runningOn().length === 0, 'all its processes to be gone');
  const left = (): string[] => [...orphans()].filter((object) => !before.orphans.has(object));
  await until(() => left().length === 0, 'the kernel to free it').catch(() => expect(left()).toEqual([]));
  expect(readdirSync('/sys/fs/bpf')).toEqual(before.pinned);
  expect(mounts()).toEqual(before.mounts);
}

describe.skipIf(!canListKernelObjects())(`killed at any moment (SEED=${SEED})`, { timeout: 120_000 }, () => {
  it.each([
    {
      what: 'ig run',
      rounds: 4,
      args: ['run', 'trace_exec', '--host', '--hash', '-o', 'none'],
      withinMs: 700,
    },
    {
      what: 'ig run while it stops',
      rounds: 2,
      args: ['run', 'trace_exec', '--host', '-o', 'none', '--timeout', '0.1'],
      withinMs: 900,
    },
  ])('$what leaves nothing in the kernel', async ({ rounds, args, withinMs }) => {
    const before = look();
    for (let round = 0; round < rounds; round++) {
      const ig = Ig.start(args, privately());
      await sleep(random(withinMs));
      await ig.stop('SIGKILL');
      await expectNothingLeft(before);
    }
    expect(readdirSync(temporary)).toEqual([]);
  });

  it('ig run with engines that are being asked leaves nothing in the kernel', async () => {
    const socket = join(directory, 'mute.sock');
    let asked = 0;
    const server = createServer(() => asked++);
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const before = look();
    const ig = Ig.start(['run', 'trace_exec', '-r', 'docker', '--docker-socketpath', socket], privately());
    await ig.until(() => asked > 0, 'it asks');
    await sleep(random(300));
    await ig.stop('SIGKILL');
    await expectNothingLeft(before);
    server.close();
  });

  it.each([
    { what: 'ig image import', args: ['image', 'import', 'image.tar'], done: /^Imported / },
    {
      what: 'ig image build',
      args: ['image', 'build', 'trace_sample', '-t', 'x/y:z', '--no-validate-metadata'],
      done: /^Successfully built /,
    },
    { what: 'ig image export', args: ['image', 'export', IMAGE, 'out/copy.tar'], done: /^/ },
  ])('$what leaves files that the next one removes', async ({ args, done }) => {
    mkdirSync(join(directory, 'out'), { recursive: true });
    const before = look();
    for (let round = 0; round < 2; round++) {
      const ig = Ig.start(args, privately());
      await until(() => leftovers().length > 0, 'something unfinished');
      await sleep(random(100));
      await ig.stop('SIGKILL');
      await expectNothingLeft(before);
    }
    const { status, stdout, stderr } = await runIg(args, privately());
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(done);
    expect(leftovers()).toEqual([]);
  });
});

/** Unfinished files, locks, leases. */
function leftovers(): string[] {
  const folders = [temporary, join(varLib, 'ig/oci-store/ingest'), join(directory, 'out')];
  return folders.flatMap((folder) => {
    try {
      return readdirSync(folder).filter((name) => name !== 'copy.tar');
    } catch {
      return []; // not made yet
    }
  });
}

describe('the process that hashes files', () => {
  let programs: Programs;
  beforeAll(() => {
    programs = buildPrograms();
  });
  afterAll(() => programs.remove());

  it('is replaced when it is killed, as soon as it can be, and ends with ig', async () => {
    const comm = 'ig-rehash';
    const tiny = programs.tinyAs(comm);
    const flags = ['run', 'trace_exec', '--host', '--comm', comm, '--hash', '-o', 'json'];
    const ig = await Ig.tracing(flags, privately());
    const children = (): string[] =>
      readFileSync(`/proc/${ig.pid}/task/${ig.pid}/children`, 'utf8').split(' ').filter(Boolean);
    const allowFiles = (count: number): void =>
      void execFileSync('prlimit', ['--pid', `${ig.pid}`, `--nofile=${count}:`]);
    await until(() => children().length === 1, 'the process that hashes');
    const [first] = children();
    allowFiles(20);
    process.kill(Number(first), 'SIGKILL');
    await until(() => !children().includes(first!), 'its end');
    // By then another would have been started.
    await sleep(1000);
    await runProgram(tiny, ['without']);
    await ig.until(() =>
      ig.events().some(({ args, file_sha256: sum }) => /without/.test(args) && sum === undefined),
    );
    allowFiles(1000);
    const hash = createHash('sha256').update(readFileSync(tiny)).digest('hex');
    const hashed = (): boolean => ig.events().some(({ file_sha256: sum }) => sum === hash);
    await until(async () => (await runProgram(tiny, []), hashed()), 'a hash by another');
    const { stdout } = await ig.stop('SIGKILL');
    expect(stdout).toContain(hash);
    await until(() => runningOn().length === 0, 'all its processes to be gone');
  });
});
