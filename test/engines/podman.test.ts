// Containers of a real podman: found, named from their first exec on, and let go; beside docker's, too.

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EngineOptions } from '../../runtime/containers/engines/index.js';
import { ContainerManager } from '../../runtime/containers/manager.js';
import { Selector, type SelectorOptions } from '../../runtime/containers/selector.js';
import { Changes } from './changes.js';
import { canRunDockerd, startDockerd } from './dockerd.js';
import { ExecTrace } from './exec-trace.js';
import { BUSYBOX, canRunPodman, startPodman, type Podman } from './podman.js';

const NO_NETWORK = '--network=none';
/** Programs that only these tests run: what else runs on the machine is of no interest. */
const RARE = ['/bin/env', '/bin/arch'];
/** Lives until it is removed. */
const IDLE = ['busybox', 'sleep', '1000'];

describe.skipIf(!canRunPodman())('containers of podman', { timeout: 60_000 }, () => {
  let podman: Podman;
  let manager: ContainerManager | undefined;
  let changes: Changes;
  const cleanups: (() => unknown)[] = [];

  beforeAll(async () => {
    podman = await startPodman();
    podman.importBusybox();
  }, 90_000);

  afterAll(() => podman?.close(), 60_000);

  afterEach(async () => {
    for (const cleanup of cleanups.splice(0)) await cleanup();
    manager?.close();
    podman.removeContainers();
  });

  async function start(
    selection: SelectorOptions = {},
    engines: EngineOptions = {},
  ): Promise<ContainerManager> {
    manager = new ContainerManager({
      selector: new Selector(selection),
      engines: { runtimes: ['podman'], podmanSocketPath: podman.socketPath, ...engines },
    });
    changes = new Changes(manager.table);
    await manager.start();
    return manager;
  }

  /** Runs a container in the foreground. */
  async function run(name: string, ...command: string[]): Promise<void> {
    const client = podman.spawnPodman('run', '--rm', NO_NETWORK, '--name', name, 'busybox', ...command);
    expect(await new Promise((resolve) => client.once('exit', resolve))).toBe(0);
  }

  /** The function returned tells the {@link RARE} paths executed so far, by name of the container. */
  async function traceExecs(): Promise<() => Record<string, string[]>> {
    const trace = await ExecTrace.start(manager!);
    cleanups.push(() => trace.close());
    return () => trace.paths(({ name }, path) => (RARE.includes(path) ? name : undefined));
  }

  it('finds a container that runs already, with all that podman knows of it', async () => {
    const id = podman.podman('run', '-d', NO_NETWORK, '--name', 'early', ...IDLE);
    const { table } = await start({ containerName: 'early' });
    const inspect = (what: string) => podman.podman('inspect', '-f', `{{${what}}}`, 'early');
    const row = table.byKey(id)!;
    expect(row.container).toMatchObject({
      id,
      name: 'early',
      runtime: 'podman',
      pid: Number(inspect('.State.Pid')),
      imageName: BUSYBOX,
      imageDigest: inspect('.ImageDigest'),
      imageId: `sha256:${inspect('.Image')}`,
      bundle: inspect('.OCIConfigPath').replace(/\/config\.json$/, ''),
    });
    expect(row.container.imageDigest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(Date.parse(row.container.startedAt)).toBeGreaterThan(Date.now() - 60_000);
    expect(row.container.pod).toBeUndefined();
    expect(table.byMntns(row.container.mntns)).toBe(row);
  });

  it('lets the very first exec of a container through that did not exist when the trace began', async () => {
    podman.podman('run', '-d', NO_NETWORK, '--name', 'noise', ...IDLE);
    await start({ containerName: 'late' });
    const paths = await traceExecs();
    await run('late', '/bin/env', '/bin/arch');
    podman.podman('exec', 'noise', '/bin/arch');
    await changes.named('late');
    expect(paths()).toEqual({ late: ['/bin/env', '/bin/arch'] });
  });

  it('names containers that are gone at once, one after the other', async () => {
    await start({ containerName: 'one,two,three,four,five' });
    const paths = await traceExecs();
    const names = ['one', 'two', 'three', 'four', 'five'];
    for (const name of names) {
      await run(name, '/bin/arch');
      const { index, container } = await changes.named(name);
      expect(container.runtime).toBe('podman');
      await changes.left(index);
    }
    expect(paths()).toEqual(Object.fromEntries(names.map((name) => [name, ['/bin/arch']])));
  });

  it('shows what is executed in a container later', async () => {
    podman.podman('run', '-d', NO_NETWORK, '--name', 'target', ...IDLE);
    await start({ containerName: 'target' });
    const paths = await traceExecs();
    podman.podman('exec', 'target', '/bin/arch');
    expect(paths()).toEqual({ target: ['/bin/arch'] });
  });

  it('takes a container up that is renamed to what the user asked for', async () => {
    await start({ containerName: 'wanted' });
    podman.podman('run', '-d', NO_NETWORK, '--name', 'other', ...IDLE);
    expect((await changes.named('other')).selected).toBe(false);
    podman.podman('rename', 'other', 'wanted');
    expect((await changes.named('wanted')).selected).toBe(true);
  });

  it('keeps a container that is started again, though its end is heard late', async () => {
    const { table } = await start();
    const id = podman.podman('run', '-d', NO_NETWORK, '--name', 'again', ...IDLE);
    await changes.added(({ container }) => container.name === 'again' && container.startedAt !== '');
    podman.podman('restart', '--time=0', 'again');
    const pid = Number(podman.podman('inspect', '-f', '{{.State.Pid}}', 'again'));
    const startedAt = podman.podman('inspect', '-f', '{{json .State.StartedAt}}', 'again').slice(1, -1);
    await changes.added(({ container }) => container.startedAt === startedAt);
    // By the next container, all that happened to this one was heard.
    await run('next', 'true');
    await changes.named('next');
    expect(table.byKey(id)?.container).toMatchObject({ name: 'again', pid, startedAt });
    podman.podman('kill', 'again');
    await changes.left(table.byKey(id)!.index);
  });

  it('remembers a removed container for its late events, and forgets what podman said of it', async () => {
    const { table } = await start();
    podman.podman('run', '-d', NO_NETWORK, '--name', 'removed', ...IDLE);
    const { index } = await changes.named('removed');
    podman.removeContainers();
    await changes.left(index);
    expect(table.byIndex(index)!.container).toMatchObject({ name: 'removed', runtime: 'podman' });
  });

  it('gives the containers of a pod names of their own, and no pod', async () => {
    podman.podman('pod', 'create', '--name', 'pod', '--infra=false');
    cleanups.push(() => podman.podman('pod', 'rm', '--force', '--time=0', 'pod'));
    await start();
    podman.podman('run', '-d', '--pod', 'pod', NO_NETWORK, '--name', 'member', ...IDLE);
    const { container } = await changes.named('member');
    expect(container.pod).toBeUndefined();
  });

  it('goes on when the service ends and comes back', async () => {
    await podman.stopServing();
    await podman.serve(1);
    const { table } = await start();
    podman.podman('run', '-d', NO_NETWORK, '--name', 'survivor', ...IDLE);
    const { index } = await changes.named('survivor');
    // Who listens to its events keeps the service alive.
    await sleep(2500);
    podman.podman('run', '-d', NO_NETWORK, '--name', 'later', ...IDLE);
    const later = await changes.named('later');
    await podman.stopServing();
    podman.podman('rm', '--force', '--time=0', 'later');
    podman.podman('run', '-d', NO_NETWORK, '--name', 'meanwhile', ...IDLE);
    await podman.serve();
    await changes.named('meanwhile');
    podman.podman('run', '-d', NO_NETWORK, '--name', 'newcomer', ...IDLE);
    expect((await changes.named('newcomer')).container.runtime).toBe('podman');
    await changes.left(later.index);
    const running = table.rows().filter(({ container }) => container.removedAtMs === undefined);
    const names = running.map(({ container }) => container.name);
    for (const name of ['survivor', 'meanwhile', 'newcomer']) expect(names).toContain(name);
    expect(running.find(({ container }) => container.name === 'survivor')!.index).toBe(index);
  });

  it('misses nothing when podman cuts its events file', async () => {
    await start({ containerName: 'before,after' });
    const paths = await traceExecs();
    await run('before', '/bin/arch');
    await changes.named('before');
    await sleep(1000);
    podman.fillEventsFile();
    await run('other', '/bin/arch');
    await run('after', '/bin/arch');
    await changes.named('after');
    expect(paths()).toEqual({ before: ['/bin/arch'], after: ['/bin/arch'] });
  });

  it('says that a socket accepts and never answers', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ig-silent-'));
    const silent = createServer();
    const podmanSocketPath = join(directory, 'podman.sock');
    await new Promise<void>((resolve) => silent.listen(podmanSocketPath, resolve));
    cleanups.push(() => (silent.close(), rmSync(directory, { recursive: true })));
    const said = async (options: SelectorOptions): Promise<readonly string[]> => {
      const { warnings } = await start(options, { podmanSocketPath });
      manager!.close();
      return warnings;
    };
    expect(await said({ containerName: 'x' })).toEqual([
      expect.stringContaining(`Cannot reach podman at ${podmanSocketPath}: no answer to GET`),
    ]);
    expect(await said({})).toEqual([
      expect.stringContaining(`podman at ${podmanSocketPath} does not answer yet`),
    ]);
  });

  it.skipIf(!canRunDockerd())('shows containers of docker and podman that have the same name', async () => {
    const dockerd = await startDockerd();
    cleanups.push(() => dockerd.close());
    dockerd.importBusybox();
    const ofDocker = dockerd.docker('run', '-d', NO_NETWORK, '--name', 'twin', ...IDLE);
    const { table } = await start(
      { containerName: 'twin' },
      { runtimes: ['docker', 'podman'], dockerSocketPath: dockerd.socketPath },
    );
    const paths = await traceExecs();
    const ofPodman = podman.podman(
      'run',
      '-d',
      NO_NETWORK,
      '--name',
      'twin',
      'busybox',
      '/bin/env',
      'sleep',
      '1000',
    );
    await changes.added(({ container }) => container.id === ofPodman);
    const twins = table.rows().filter(({ selected }) => selected);
    expect(twins.map(({ container: { id, name, runtime } }) => ({ id, name, runtime }))).toEqual([
      { id: ofDocker, name: 'twin', runtime: 'docker' },
      { id: ofPodman, name: 'twin', runtime: 'podman' },
    ]);
    expect(paths()).toEqual({ twin: ['/bin/env'] });
  });
});
