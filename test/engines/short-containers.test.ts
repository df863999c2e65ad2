// Containers that live for one exec, one after the other, each in the place that the kernel has just taken back from
// the one before: none goes by without its name.

import { spawnSync } from 'node:child_process';
import { expect, describe, it } from 'vitest';
import { Ig, parseAccount } from '../ig.js';
import { BUSYBOX, canRunContainerd, startContainerd } from './containerd.js';
import { canRunDockerd, startDockerd } from './dockerd.js';
import { canRunPodman, startPodman } from './podman.js';
import { Runc, canRunRunc } from './runc.js';

interface Subject {
  /** Flags of `ig` that have it ask the engine, and no other. */
  readonly flags: readonly string[];
  /** Runs a container of this name to its end, which executes `/bin/true NAME`. */
  run(name: string): void;
  close(): Promise<void> | void;
}

const SUBJECTS = [
  { engine: 'docker', count: 500, canRun: canRunDockerd(), start: ofDocker },
  { engine: 'containerd', count: 100, canRun: canRunContainerd(), start: ofContainerd },
  { engine: 'podman', count: 100, canRun: canRunPodman(), start: ofPodman },
  { engine: 'runc alone', count: 100, canRun: canRunRunc(), start: ofRunc },
] as const;

describe.each(SUBJECTS)('short containers of $engine', ({ count, canRun, start }) => {
  it.skipIf(!canRun)(`have their first exec named, all ${count}`, { timeout: 900_000 }, async () => {
    const subject: Subject = await start();
    try {
      const filter = ['-F', 'args~^/bin/true short-'];
      const ig = await Ig.tracing(['run', 'trace_exec', '-o', 'json', ...filter, ...subject.flags]);
      const names = Array.from({ length: count }, (_, i) => `short-${i}`);
      for (const name of names) subject.run(name);
      const { stderr } = await ig.stop();
      const shown = ig.events().map(({ args, runtime }) => `${args} of ${runtime?.['containerName']}`);
      // Sorted: an event that waits for its container's name does not keep those of others waiting.
      expect(shown.sort()).toEqual(names.map((name) => `/bin/true ${name} of ${name}`).sort());
      expect(parseAccount(stderr).lost).toBe(0);
    } finally {
      await subject.close();
    }
  });
});

async function ofDocker(): Promise<Subject> {
  const dockerd = await startDockerd();
  dockerd.importBusybox();
  const run = ['-H', `unix://${dockerd.socketPath}`, 'run', '--rm', '--network=none'];
  return {
    flags: ['-r', 'docker', '--docker-socketpath', dockerd.socketPath],
    run: (name) =>
      spawnSync('docker', [...run, '--name', name, 'busybox', '/bin/true', name], { stdio: 'ignore' }),
    close: () => dockerd.close(),
  };
}

async function ofContainerd(): Promise<Subject> {
  const containerd = await startContainerd();
  containerd.importImages('default');
  return {
    flags: ['-r', 'containerd', '--containerd-socketpath', containerd.socketPath],
    run: (name) => containerd.ctr('run', '--rm', BUSYBOX, name, '/bin/true', name),
    close: () => containerd.close(),
  };
}

async function ofPodman(): Promise<Subject> {
  const podman = await startPodman();
  podman.importBusybox();
  await podman.serve();
  return {
    flags: ['-r', 'podman', '--podman-socketpath', podman.socketPath],
    run: (name) => podman.podman('run', '--rm', '--network=none', '--name', name, BUSYBOX, '/bin/true', name),
    close: () => podman.close(),
  };
}

function ofRunc(): Promise<Subject> {
  const runc = new Runc();
  return Promise.resolve({
    flags: ['-r', 'docker', '--docker-socketpath', '/nowhere/docker.sock'],
    run: (name) => runc.run(`exec /bin/true ${name}`, { id: name }),
    close: () => runc.close(),
  });
}
