// Recordings of `ig run trace_exec`, as built, with containers: named, filtered and waited for as they were in the run.

import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Ig, parseEvents, runIg } from '../ig.js';
import { temporaryDirectory } from '../registry/images.js';
import { canRunDockerd, startDockerd, type Dockerd } from './dockerd.js';

describe.skipIf(!canRunDockerd())('a recording with containers', { timeout: 90_000 }, () => {
  let dockerd: Dockerd;
  beforeAll(async () => {
    dockerd = await startDockerd();
    dockerd.importBusybox();
  }, 120_000);
  afterAll(() => dockerd?.close(), 60_000);

  it('names and filters them as the run did, from their first exec to their last', async () => {
    const path = join(temporaryDirectory(), 'recording');
    const start = (name: string): string =>
      dockerd.docker(
        'run',
        '--rm',
        '--network=none',
        '--name',
        name,
        'busybox',
        'sh',
        '-c',
        'true; id -u; exit 0',
      );
    const ig = await Ig.tracing(
      ['run', 'trace_exec', '--docker-socketpath', dockerd.socketPath, '-o', 'json', '--host', '--record', path],
    ); // prettier-ignore
    for (const name of ['one', 'two', 'three', 'one']) start(name);
    const { stdout } = await ig.stop();
    // Whoever replays has no docker.
    await dockerd.stop();
    chmodSync(path, 0o644);

    const again = await runIg(['replay', path, '-o', 'json']);
    expect(again.stdout).toBe(stdout);
    expect(again.stderr).toBe('');
    const { stdout: ofTwo } = await runIg(['replay', path, '-o', 'json', '-c', 'two']);
    expect(ofTwo).toBe(stdout.split('\n').filter((line) => line.includes('"containerName":"two"')).join('\n') + '\n'); // prettier-ignore
    expect(parseEvents(ofTwo).map(({ args }) => args)).toContain('id -u');
  });
});
