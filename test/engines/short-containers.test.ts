// Containers that live for one exec, one after the other: none goes by without its name.

import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Ig, parseAccount } from '../ig.js';
import { canRunDockerd, startDockerd, type Dockerd } from './dockerd.js';

const COUNT = 500;

describe.skipIf(!canRunDockerd())('short containers', () => {
  let dockerd: Dockerd;

  beforeAll(async () => {
    dockerd = await startDockerd();
    dockerd.importBusybox();
  }, 120_000);

  afterAll(() => dockerd?.close(), 60_000);

  it(`names the first exec of each of ${COUNT}`, { timeout: 900_000 }, async () => {
    const ig = await Ig.tracing([
      ...['run', 'trace_exec', '-o', 'json', '--runtimes', 'docker'],
      ...['--docker-socketpath', dockerd.socketPath, '-F', 'args~^true short-'],
    ]);
    const names = Array.from({ length: COUNT }, (_, i) => `short-${i}`);
    for (const name of names) {
      const words = ['run', '--rm', '--network=none', '--name', name, 'busybox', 'true', name];
      spawnSync('docker', ['-H', `unix://${dockerd.socketPath}`, ...words], { stdio: 'ignore' });
    }
    const { stderr } = await ig.stop();
    const shown = ig.events().map(({ args, runtime }) => [args, runtime?.['containerName']]);
    expect(shown).toEqual(names.map((name) => [`true ${name}`, name]));
    expect(parseAccount(stderr).lost).toBe(0);
  });
});
