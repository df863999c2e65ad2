// `ig`, as built, where it may not have many files, threads or much memory: a sentence, a warning, or it works.

import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { runIg, type Ended } from '../ig.js';
import { until } from '../until.js';
import { canListKernelObjects, orphans } from './kernel-objects.js';

const RUN = ['run', 'trace_exec', '--host', '--hash', '-o', 'none', '--timeout', '0.1'];
const HIERARCHIES = '/sys/fs/cgroup';

let cgroup: string | undefined;
afterEach(async () => {
  const path = cgroup;
  cgroup = undefined;
  if (path !== undefined) await until(() => isRemoved(path), 'the cgroup to be empty');
});

function isRemoved(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false; // what was killed takes a moment to go
  }
}

/** A cgroup in which `controller` limits, as its files in version 1 or 2 say; undefined where there is no such. */
function limit(controller: string, files: readonly string[], value: number): string | undefined {
  for (const tree of [join(HIERARCHIES, controller), HIERARCHIES]) {
    const path = join(tree, `ig-limits-${process.pid}`);
    try {
      mkdirSync(path);
    } catch {
      continue;
    }
    cgroup = path;
    const file = files.map((name) => join(path, name)).find((name) => existsSync(name));
    if (file !== undefined) {
      writeFileSync(file, String(value));
      return path;
    }
    rmdirSync(path);
    cgroup = undefined;
  }
  return undefined;
}

function runIn(path: string): Promise<Ended> {
  return runIg(RUN, { inside: ['sh', '-c', 'echo $$ >"$0/cgroup.procs" && exec "$@"', path] });
}

/** It has worked, perhaps with warnings, or failed with this sentence. */
function expectClear({ status, signal, stdout, stderr }: Ended, sentence: RegExp): void {
  expect(signal).toBeNull();
  expect(stdout).toBe('');
  const lines = stderr
    .split('\n')
    .filter((line) => !/^$|^Warning: .+|^\d+ events without the hash /.test(line));
  expect(lines).toEqual(status === 0 ? [] : [expect.stringMatching(sentence)]);
}

describe('with few', () => {
  // Node.js itself needs 19.
  it('files open at a time it says so, or works', { timeout: 120_000 }, async () => {
    const statuses: (number | null)[] = [];
    for (const files of [20, 30, 45, 52, 57, 61, 70, 300]) {
      const ended = await runIg(RUN, { inside: ['sh', '-c', `ulimit -n ${files} && exec "$@"`, 'sh'] });
      expectClear(ended, /^Error: .*files open.*`ulimit -n 1024`/);
      statuses.push(ended.status);
    }
    expect(statuses.at(0)).toBe(1);
    expect(statuses.at(-1)).toBe(0);
  });

  // Node.js itself needs 11.
  it.for([11, 12, 14])('threads, such as %i, it says so, or works', async (threads, { skip }) => {
    const path = limit('pids', ['pids.max'], threads);
    if (path === undefined) return skip('this machine has no cgroup that limits threads');
    const ended = await runIn(path);
    expectClear(ended, /^Error: .*threads.*pids\.max/);
    if (threads === 11) expect(ended.status).toBe(1);
  });
});

describe('with little', () => {
  it('address space it says so', async () => {
    const inside = ['sh', '-c', `ulimit -v ${4 << 20} && exec "$@"`, 'sh'];
    const ended = await runIg(RUN, { inside });
    expectClear(ended, /^Error: .*address space.*`ulimit -v`/);
    expect(ended.status).toBe(1);
  });

  it.skipIf(!canListKernelObjects())(
    'memory the kernel kills it, and nothing of it is left',
    async ({ skip }) => {
      const path = limit('memory', ['memory.max', 'memory.limit_in_bytes'], 30 << 20);
      if (path === undefined) return skip('this machine has no cgroup that limits memory');
      const [before, pinned] = [orphans(), readdirSync('/sys/fs/bpf')];
      expect(await runIn(path)).toMatchObject({ signal: 'SIGKILL', stdout: '', stderr: '' });
      const left = (): string[] => [...orphans()].filter((object) => !before.has(object));
      await until(() => left().length === 0, 'the kernel to free it');
      expect(readdirSync('/sys/fs/bpf')).toEqual(pinned);
    },
  );
});
