// `ig run trace_exec`, as built, beside containers that no engine names: their files, parents and cgroups do.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type ExecEvent, Ig } from '../ig.js';
import { BUSYBOX, canRunContainerd, startContainerd } from './containerd.js';
import { PodMaker } from './cri.js';
import { canRunDockerd, startDockerd } from './dockerd.js';
import { canRunPodman, startPodman } from './podman.js';
import { canRunRunc, Runc } from './runc.js';

const NOWHERE = ['docker', 'containerd', 'crio', 'podman'].flatMap((engine) => [
  `--${engine}-socketpath`,
  `/nowhere/${engine}.sock`,
]);

function tracing(...words: string[]): Promise<Ig> {
  return Ig.tracing(['run', 'trace_exec', '-o', 'json', ...NOWHERE, ...words]);
}

/** Waits for an exec with these arguments, and returns it. */
async function execOf(ig: Ig, args: string): Promise<ExecEvent> {
  const found = (): ExecEvent | undefined => ig.events().find((event) => event.args === args);
  await ig.until(() => found() !== undefined, args);
  return found()!;
}

function nameOf(event: ExecEvent): unknown {
  return event.runtime?.['containerName'] ?? '';
}

describe.skipIf(!canRunRunc())('containers of plain runc', { timeout: 90_000 }, () => {
  let runc: Runc;
  let elsewhere: Runc;

  beforeAll(() => {
    runc = new Runc();
    elsewhere = new Runc({ ownRoot: true });
  });

  afterAll(async () => {
    await runc?.close();
    await elsewhere?.close();
  });

  it('are described when they ran before', async () => {
    const id = runc.start('sleep 1000');
    const ig = await tracing();
    runc.exec(id, '/bin/echo', id);
    const { runtime } = await execOf(ig, `/bin/echo ${id}`);
    await ig.stop();
    expect(runtime).toMatchObject({ containerName: id, containerId: id, containerPid: runc.pidOf(id) });
    expect(runtime).not.toHaveProperty('runtimeName');
  });

  it('are described from their first exec on, whether runc waits for them or not', async () => {
    const ig = await tracing();
    const ids: string[] = [];
    for (const some of [runc, elsewhere]) {
      ids.push(some.start('/bin/echo second; sleep 1000'), some.run('/bin/echo second; true'));
    }
    const own = (id: string): ExecEvent[] => ig.events().filter((event) => nameOf(event) === id);
    await ig.until(() => ids.every((id) => own(id).length >= 2), 'the execs of all');
    await ig.stop();
    for (const id of ids) {
      const [first, second] = own(id);
      expect(first!.args).toMatch(/^\/bin\/sh -c /);
      expect(second!.args).toBe('/bin/echo second');
      expect(first!.runtime).toMatchObject({ containerId: id, containerPid: first!.proc.pid });
    }
  });

  it('have their own id where their cgroup is named otherwise', async () => {
    const before = runc.start('sleep 1000', { cgroupsPath: '/ig-test/before' });
    const ig = await tracing();
    const after = runc.start('sleep 1000', { cgroupsPath: '/ig-test/after' });
    for (const id of [before, after]) {
      runc.exec(id, '/bin/echo', id);
      expect(nameOf(await execOf(ig, `/bin/echo ${id}`))).toBe(id);
    }
    await ig.stop();
    for (const id of [before, after]) runc.remove(id);
    removeCgroup('ig-test');
  });

  it('are named when they live for one exec only', async () => {
    const ig = await tracing();
    const ids: string[] = [];
    for (const some of [runc, elsewhere, runc, elsewhere]) {
      const id = some.newId();
      ids.push(some.run(`exec /bin/echo ${id}`, { id }));
    }
    for (const id of ids) expect(nameOf(await execOf(ig, `/bin/echo ${id}`))).toBe(id);
    await ig.stop();
  });

  it('are described anew when another one has the id of one that ended', async () => {
    const ig = await tracing();
    const id = runc.start('sleep 1000');
    runc.remove(id);
    runc.start(`/bin/echo again ${id}; sleep 1000`, { id });
    const { runtime } = await execOf(ig, `/bin/echo again ${id}`);
    await ig.stop();
    expect(runtime).toMatchObject({ containerName: id, containerPid: runc.pidOf(id) });
  });

  it('have what happened in them keep their name when they are removed at once', async () => {
    const id = runc.start('sleep 1000');
    const ig = await tracing();
    runc.exec(id, '/bin/echo', id);
    runc.remove(id);
    expect(nameOf(await execOf(ig, `/bin/echo ${id}`))).toBe(id);
    await ig.stop();
  });

  it.each([
    ['in its usual place', () => runc],
    ['elsewhere', () => elsewhere],
  ])('have the mount namespaces that their processes make, where runc keeps state %s', async (_, place) => {
    const id = place().start('sleep 1000');
    const ig = await tracing();
    place().exec(id, '/bin/unshare', '-m', '/bin/echo', id);
    expect(nameOf(await execOf(ig, `/bin/echo ${id}`))).toBe(id);
    await ig.stop();
  });

  it.skipIf(!canRunDockerd())('can be selected by name from their first exec on', async () => {
    // Selection by name asks for an engine that answers.
    const dockerd = await startDockerd();
    onTestFinished(() => dockerd.close());
    const [id, other] = [runc.newId(), runc.newId()];
    const ig = await tracing('-c', id, '--docker-socketpath', dockerd.socketPath);
    for (const one of [other, id]) {
      runc.run('/bin/echo inside; true', { id: one });
    }
    await execOf(ig, '/bin/echo inside');
    await ig.stop();
    expect(ig.events().map(nameOf)).toEqual([id, id]);
  });
});

describe('containers of engines that cannot be asked', { timeout: 120_000 }, () => {
  /** Tells this test's from whatever else runs on the machine. */
  const mark = `ig-test-${process.pid}`;
  const before = `/bin/echo ${mark} before`;
  const after = `/bin/echo ${mark} after`;
  const loop = `while true; do ${before}; sleep 0.3; done`;

  it.skipIf(!canRunPodman())('have the name that podman gave them', async () => {
    const podman = await startPodman();
    onTestFinished(() => podman.close());
    podman.importBusybox();
    const run = (name: string, ...words: string[]): string =>
      podman.podman('run', '-d', '--network=none', '--name', name, BUSYBOX, ...words);
    run('before', 'sh', '-c', loop);
    const ig = await tracing();
    run('after', ...after.split(' '));
    const runtime = { runtimeName: 'podman', containerImageName: BUSYBOX };
    expect((await execOf(ig, before)).runtime).toMatchObject({ ...runtime, containerName: 'before' });
    expect((await execOf(ig, after)).runtime).toMatchObject({ ...runtime, containerName: 'after' });
    await ig.stop();
    podman.removeContainers();
  });

  it.skipIf(!canRunContainerd())('have the pod that containerd made them for', async () => {
    const containerd = await startContainerd();
    onTestFinished(() => containerd.close());
    containerd.importImages('k8s.io');
    const pod = await new PodMaker(containerd).runPod({ name: 'web', namespace: 'shop' });
    const id = await pod.run('server', ['sh', '-c', loop]);
    await containerd.stop();
    const ig = await tracing();
    const event = await execOf(ig, before);
    await ig.stop();
    await containerd.start();
    const runtime = {
      runtimeName: 'containerd',
      containerId: id,
      containerName: 'server',
      containerImageName: BUSYBOX,
    };
    const k8s = { namespace: 'shop', podName: 'web', containerName: 'server', hostnetwork: true };
    expect(event).toMatchObject({ runtime, k8s });
  });

  it.skipIf(!canRunDockerd())('have the name that docker gave them', async () => {
    const dockerd = await startDockerd();
    onTestFinished(() => dockerd.close());
    dockerd.importBusybox();
    const run = (name: string, ...words: string[]): string =>
      dockerd.docker('run', '-d', '--network=none', '--name', name, 'busybox', ...words);
    run('before', 'sh', '-c', loop);
    const ig = await tracing();
    run('after', ...after.split(' '));
    const runtime = { runtimeName: 'docker', containerImageName: 'busybox' };
    expect((await execOf(ig, before)).runtime).toMatchObject({ ...runtime, containerName: 'before' });
    expect((await execOf(ig, after)).runtime).toMatchObject({ ...runtime, containerName: 'after' });
    await ig.stop();
  });
});

describe.skipIf(!canRunRunc())(
  'processes of the host in mount namespaces of their own',
  { timeout: 90_000 },
  () => {
    let runc: Runc;

    beforeAll(() => {
      runc = new Runc();
    });

    afterAll(async () => {
      await runc?.close();
      for (const group of [SERVICE, GROUP]) removeCgroup(group);
    });

    const SERVICE = 'ig-test.slice/ig-test.service';
    const GROUP = 'ig-test-group';
    /** Tells this test's from whatever else runs on the machine. */
    const newMark = (): string => runc.newId();
    const script = (mark: string): string => `/bin/echo ${mark}; sleep 0.5; exec /bin/echo ${mark} again`;

    it.each([
      ['made by unshare -m', (mark: string) => ['unshare', '-m', 'sh', '-c', script(mark)]],
      [
        'with pids of their own',
        (mark: string) => ['unshare', '-mpf', '--mount-proc', 'sh', '-c', script(mark)],
      ],
      ['of a service', (mark: string) => inCgroup(SERVICE, ['unshare', '-m', 'sh', '-c', script(mark)])],
      [
        'of a service with a root directory and pids of its own',
        (mark: string) =>
          inCgroup(SERVICE, ['unshare', '-mpf', `--root=${runc.rootfs}`, 'sh', '-c', script(mark)]),
      ],
      [
        "in somebody's cgroup, with pids of their own",
        (mark: string) => inCgroup(GROUP, ['unshare', '-mpf', '--mount-proc', 'sh', '-c', script(mark)]),
      ],
      ['that end at once', (mark: string) => ['unshare', '-mpf', '/bin/echo', mark]],
    ])('are no containers: those %s', async (_, command) => {
      const mark = newMark();
      await expectHost(command(mark), mark);
    });

    it('are no containers: those of bubblewrap', async () => {
      const mark = newMark();
      const command = ['bwrap', '--bind', runc.rootfs, '/', '--unshare-all', 'sh', '-c', script(mark)];
      await expectHost(command, mark);
    });

    async function expectHost([program, ...words]: readonly string[], mark: string): Promise<void> {
      const last = words.includes('-c') ? `/bin/echo ${mark} again` : `/bin/echo ${mark}`;
      const without = await tracing();
      const withHost = await tracing('--host');
      execFileSync(program!, words, { stdio: 'ignore' });
      await withHost.until(() => withHost.events().some(({ args }) => args === last), last);
      runc.run(`/bin/echo after ${mark}`);
      // What comes after it is shown, so it was judged.
      await execOf(without, `/bin/echo after ${mark}`);
      await Promise.all([without.stop(), withHost.stop()]);
      const marks = withHost.events().filter(({ args }) => args.startsWith(`/bin/echo ${mark}`));
      expect(marks.map(nameOf)).toEqual(marks.map(() => ''));
      expect(without.events().filter(({ args }) => args.startsWith(`/bin/echo ${mark}`))).toEqual([]);
    }
  },
);

/** The command as a process of a cgroup, which is made. */
function inCgroup(path: string, command: readonly string[]): string[] {
  const directory = join(cgroupRoot(), path);
  mkdirSync(directory, { recursive: true });
  return ['sh', '-c', 'echo $$ >"$0/cgroup.procs" && exec "$@"', directory, ...command];
}

function cgroupRoot(): string {
  const both = '/sys/fs/cgroup/unified';
  return existsSync(both) ? both : '/sys/fs/cgroup';
}

/** Removes a cgroup, and those above, where they are empty. */
function removeCgroup(path: string): void {
  for (let at = path; at !== '.'; at = dirname(at)) {
    spawnSync('find', [
      '/sys/fs/cgroup',
      '-depth',
      '-type',
      'd',
      '-path',
      `/sys/fs/cgroup*/${at}`,
      '-exec',
      'rmdir',
      '{}',
      ';',
    ]);
  }
}
