// More containers at once than the peer's table holds: all known, all filtered in the kernel.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Ig, parseAccount, runIg } from '../ig.js';
import { createTemporaryDirectory } from '../registry/images.js';
import { until } from '../until.js';

const COUNT = 1100;
const NO_ENGINES = ['--runtimes', 'docker', '--docker-socketpath', '/nowhere/docker.sock'];
const cgroupMount = /^cgroup2 (\S+) /m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1];

describe.skipIf(cgroupMount === undefined || process.getuid?.() !== 0)(
  `${COUNT} containers at once`,
  { timeout: 180_000 },
  () => {
    const cgroups = join(cgroupMount ?? '', `ig-many-${process.pid}`);
    let directory: string;
    let many: ChildProcess;
    let said = '';

    beforeAll(async () => {
      directory = createTemporaryDirectory();
      const program = join(directory, 'many');
      const source = fileURLToPath(new URL('many.c', import.meta.url));
      execFileSync('gcc', ['-O2', '-Wall', '-Werror', '-o', program, source]);
      mkdirSync(cgroups);
      many = spawn(program, [String(COUNT), cgroups], { stdio: ['pipe', 'pipe', 'inherit'] });
      many.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
      await until(() => said.includes('ready'), `${COUNT} containers`);
    });

    afterAll(async () => {
      many?.stdin?.end();
      await until(() => many.exitCode !== null, 'their end');
      for (const name of readdirSync(cgroups)) {
        if (name.length === 64) rmdirSync(join(cgroups, name));
      }
      rmdirSync(cgroups);
      rmSync(directory, { recursive: true });
    });

    const idOf = (number: number): string => number.toString(16).padStart(64, '0');

    async function executeInEach(round: number): Promise<void> {
      many.stdin!.write('\n');
      await until(() => said.split('done').length > round, 'an exec in each');
    }

    it('gives every event the container it is from', async () => {
      const ig = await Ig.tracing(['run', 'trace_exec', '-o', 'json', ...NO_ENGINES]);
      await executeInEach(1);
      await ig.until(() => ig.events().filter(isOurs).length >= COUNT, 'an event of each');
      const { stderr } = await ig.stop();
      const containers = ig
        .events()
        .filter(isOurs)
        .map(({ argv, runtime }) => [idOf(Number(argv[1])), runtime?.['containerId']]);
      expect(containers).toHaveLength(COUNT);
      for (const [expected, shown] of containers) expect(shown).toBe(expected);
      expect(parseAccount(stderr).lost).toBe(0);
    });

    it('lists them all', async () => {
      const { stdout } = await runIg(['list-containers', '-o', 'json', ...NO_ENGINES]);
      const listed = JSON.parse(stdout) as { runtime: { containerId: string } }[];
      const ids = new Set(listed.map(({ runtime }) => runtime.containerId));
      for (let number = 1; number <= COUNT; number++) expect(ids).toContain(idOf(number));
    });
  },
);

function isOurs({ argv }: { readonly argv: readonly string[] }): boolean {
  return argv[0] === 'true' && argv.length === 3;
}
