// Filters written in every language, at work on `ig run trace_exec` while a container runs.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Ig, parseEvents } from '../ig.js';
import { createTemporaryDirectory, removeDirectory } from '../registry/images.js';
import { type Dockerd, canRunDockerd, startDockerd } from './dockerd.js';

const SDKS = fileURLToPath(new URL('../../dist/wasm/sdk/', import.meta.url));
/** Counts execs for each container, and emits what it counted. */
const PROGRAMS = {
  assemblyscript: 'assemblyscript/examples/count.ts',
  c: 'c/examples/count.c',
  go: 'go/examples/count',
  javascript: 'javascript/examples/count.ts',
  rust: 'rust/examples/count.rs',
};
type Sdk = keyof typeof PROGRAMS;
const EXECS = 50;
/** Exit status of build.js when a tool is missing. */
const NO_COMPILER = 3;

interface Count {
  readonly count: number;
  readonly container: string;
  readonly runtime: { readonly containerName: string };
}

describe.skipIf(!canRunDockerd())('a filter that counts, on containers', { timeout: 120_000 }, () => {
  let dockerd: Dockerd;
  let directory: string;
  const reasons = new Map<string, string>();

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    for (const [sdk, program] of Object.entries(PROGRAMS)) await build(sdk, program);
    dockerd = await startDockerd();
    dockerd.importBusybox();
  }, 240_000);
  afterAll(async () => {
    await dockerd?.close();
    removeDirectory(directory);
  }, 60_000);

  async function build(sdk: string, program: string): Promise<void> {
    const words = [join(SDKS, sdk, 'build.js'), join(SDKS, program), wasm(sdk)];
    const compiler = spawn(process.execPath, words, { stdio: ['ignore', 'inherit', 'pipe'] });
    let said = '';
    compiler.stderr.on('data', (chunk) => (said += String(chunk)));
    const [status] = (await once(compiler, 'close')) as [number];
    if (status === NO_COMPILER) reasons.set(sdk, said.trim());
    else expect(`${status} ${said}`).toBe('0 ');
  }

  function wasm(sdk: string): string {
    return join(directory, `${sdk}.wasm`);
  }

  it.for(Object.keys(PROGRAMS) as Sdk[])('in %s', async (sdk, { skip }) => {
    if (!existsSync(wasm(sdk))) skip(reasons.get(sdk) ?? 'it was not built');
    const name = `shop-${sdk}`;
    const ig = await Ig.tracing([
      ...['run', 'trace_exec', '--docker-socketpath', dockerd.socketPath, '-c', name],
      ...['--wasm', wasm(sdk), '-o', 'exec:none,exec_counts:json'],
    ]);
    const loop = `i=0; while [ $i -lt ${EXECS} ]; do /bin/true; i=$((i+1)); done; exec sleep 60`;
    dockerd.docker('run', '-d', '--network=none', '--name', name, 'busybox', 'sh', '-c', loop);
    const counts = (): Count[] => parseEvents(ig.stdout) as unknown as Count[];
    // Beside those of the loop: sh, and sleep.
    await ig.until(() => counts().reduce((sum, { count }) => sum + count, 0) === EXECS + 2);
    const { stderr } = await ig.stop();
    dockerd.docker('rm', '-f', name);
    for (const { container, runtime } of counts())
      expect([container, runtime.containerName]).toEqual([name, name]);
    expect(stderr).toMatch(/, 0 lost$/m);
  });
});
