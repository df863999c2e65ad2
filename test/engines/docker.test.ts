// Containers of a real docker daemon: found, named from their first exec on, and let go.

import { spawn, spawnSync } from 'node:child_process';
import { arch } from 'node:os';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BpfMap } from '../../bpf/index.js';
import type { TableChange } from '../../runtime/containers/change.js';
import { ContainerManager } from '../../runtime/containers/manager.js';
import { hostMntns, mntnsOf } from '../../runtime/containers/proc.js';
import { Selector, type SelectorOptions } from '../../runtime/containers/selector.js';
import { ContainerView, NOT_CONTAINER, UNKNOWN } from '../../runtime/containers/view.js';
import { canRunDockerd, startDockerd, type Dockerd } from './dockerd.js';
import { ExecTrace } from './exec-trace.js';

const RUN = ['run', '--rm', '--network=none'];
/** Lives until it is removed, and dies at once then. */
const IDLE = ['busybox', 'sleep', '1000'];

describe.skipIf(!canRunDockerd())('containers of docker', { timeout: 60_000 }, () => {
  let dockerd: Dockerd;
  let manager: ContainerManager | undefined;
  let changes: TableChange[];
  const cleanups: (() => void)[] = [];

  beforeAll(async () => {
    dockerd = await startDockerd();
    dockerd.importBusybox();
  }, 90_000);

  afterAll(() => dockerd?.close(), 60_000);

  beforeEach(() => {
    changes = [];
  });

  afterEach(async () => {
    for (const cleanup of cleanups.splice(0)) cleanup();
    manager?.close();
    await dockerd.removeContainers();
  });

  async function start(
    options: SelectorOptions = {},
    socketPath = dockerd.socketPath,
  ): Promise<ContainerManager> {
    manager = new ContainerManager({
      selector: new Selector(options),
      engines: { dockerSocketPath: socketPath },
    });
    await manager.start();
    manager.table.subscribe((change) => changes.push(change));
    return manager;
  }

  /** Waits for a change of the table, past ones included. */
  async function change<K extends TableChange['kind']>(
    kind: K,
    matches: (change: Extract<TableChange, { kind: K }>) => boolean = () => true,
  ): Promise<Extract<TableChange, { kind: K }>> {
    const isIt = (one: TableChange): one is Extract<TableChange, { kind: K }> =>
      one.kind === kind && matches(one as Extract<TableChange, { kind: K }>);
    let found = changes.find(isIt);
    while (found === undefined) {
      await new Promise<void>((resolve) => {
        const stop = manager!.table.subscribe(() => {
          stop();
          resolve();
        });
      });
      found = changes.find(isIt);
    }
    return found;
  }

  const added = (name: string) => change('add', ({ container }) => container.name === name);

  function passes(mntns: number, map: BpfMap | undefined = manager!.filterMap): boolean {
    const key = new Uint8Array(8);
    new DataView(key.buffer).setBigUint64(0, BigInt(mntns), true);
    return map?.lookup(key) !== undefined;
  }

  /** The function returned tells the paths executed so far, by name of the container. */
  async function traceExecs(): Promise<() => Record<string, string[]>> {
    const trace = await ExecTrace.start(manager!);
    cleanups.push(() => trace.close());
    // Others may run containers here.
    return () => trace.paths(({ name, runtime }) => (runtime === 'docker' ? name : undefined));
  }

  /** What a reader with a copy of the table says of an event. */
  function whoseIs(mntns: number, bootNs?: number): { name: string; selected: boolean } {
    const view = new ContainerView();
    for (const one of manager!.table.snapshot()) view.apply(structuredClone(one));
    const index = view.indexOf(mntns, 0, bootNs);
    const special: Record<number, string> = { [NOT_CONTAINER]: 'host', [UNKNOWN]: 'unknown' };
    const name = special[index] ?? manager!.table.byIndex(index)!.container.name;
    return { name, selected: index === UNKNOWN || view.isSelected(index) };
  }

  async function run(...args: string[]): Promise<void> {
    const client = dockerd.spawnDocker(...RUN, ...args);
    const status = await new Promise((resolve) => client.once('exit', resolve));
    expect(status).toBe(0);
  }

  it('finds a container that runs already, with all that docker knows of it', async () => {
    const id = dockerd.docker('run', '-d', '--network=none', '--name', 'early', ...IDLE);
    const { table, warnings } = await start();
    expect(warnings).toEqual([]);
    const row = table.byKey(id)!;
    expect(row.selected).toBe(true);
    expect(row.container).toMatchObject({
      name: 'early',
      runtime: 'docker',
      imageName: 'busybox',
      pid: Number(dockerd.docker('inspect', '-f', '{{.State.Pid}}', 'early')),
      imageId: dockerd.docker('inspect', '-f', '{{.Image}}', 'early'),
      startedAt: dockerd.docker('inspect', '-f', '{{.State.StartedAt}}', 'early'),
    });
    expect(table.byMntns(row.container.mntns)).toBe(row);
    expect(passes(row.container.mntns)).toBe(true);
    expect(passes(hostMntns())).toBe(false);
  });

  it('names a container that starts later before docker says that it started', async () => {
    await start();
    dockerd.spawnDocker(...RUN, '--name', 'late', ...IDLE);
    const first = await added('late');
    expect(first.container).toMatchObject({ runtime: 'docker', startedAt: '', imageName: 'busybox' });
    const told = await change(
      'add',
      ({ container }) => container.name === 'late' && container.startedAt !== '',
    );
    expect(told.index).toBe(first.index);
  });

  it('lets the very first exec of a container through that did not exist when the trace began', async () => {
    dockerd.docker('run', '-d', '--network=none', '--name', 'noise', ...IDLE);
    await start({ containerName: 'late' });
    const paths = await traceExecs();
    await run('--name', 'late', 'busybox', '/bin/sh', '-c', '/bin/true; /bin/id');
    dockerd.docker('exec', 'noise', '/bin/true');
    await added('late');
    expect(paths()).toEqual({ late: ['/bin/sh', '/bin/true', '/bin/id'] });
  });

  it('traces containers in turn that get the same namespace number, each under its own name', async () => {
    await start();
    const paths = await traceExecs();
    for (const name of ['first', 'second', 'third']) await run('--name', name, 'busybox', '/bin/true');
    await added('third');
    expect(paths()).toMatchObject({ first: ['/bin/true'], second: ['/bin/true'], third: ['/bin/true'] });
  });

  it('remembers a container that is gone at once', async () => {
    const { table } = await start();
    await run('--name', 'brief', 'busybox', 'true');
    const { index } = await added('brief');
    await change('leave', (left) => left.index === index);
    const { container } = table.byIndex(index)!;
    expect(container.name).toBe('brief');
    expect(container.removedAtMs).toBeTypeOf('number');
  });

  it('gives a container a new index when it is started again', async () => {
    await start();
    const id = dockerd.docker('run', '-d', '--network=none', '--name', 'again', ...IDLE);
    const { index } = await added('again');
    dockerd.docker('kill', 'again');
    await change('leave', (left) => left.index === index);
    dockerd.docker('start', 'again');
    const second = await change('add', (one) => one.container.id === id && one.index !== index);
    expect(second.container.name).toBe('again');
  });

  it('takes a container up that is renamed to what the user asked for', async () => {
    await start({ containerName: 'wanted' });
    dockerd.docker('run', '-d', '--network=none', '--name', 'other', ...IDLE);
    const { mntns, selected } = await added('other');
    expect(selected).toBe(false);
    expect(passes(mntns)).toBe(false);
    dockerd.docker('rename', 'other', 'wanted');
    expect((await added('wanted')).selected).toBe(true);
    expect(passes(mntns)).toBe(true);
  });

  it('knows that a private mount namespace of the host is no container', async () => {
    await start();
    const made = spawnSync('unshare', ['-m', 'stat', '-Lc', '%i', '/proc/self/ns/mnt'], { encoding: 'utf8' });
    const mntns = Number(made.stdout);
    await change('notContainer', (one) => one.mntns === mntns);
    expect(whoseIs(mntns)).toEqual({ name: 'host', selected: false });
    expect(passes(mntns)).toBe(false);
  });

  it('answers for a namespace that nothing has been executed in', async () => {
    const { table } = await start();
    const unshare = arch() === 'arm64' ? 97 : 272;
    const script = `syscall(${unshare}, 0x20000) == 0 or die; $| = 1; print "made\\n"; sleep 1000`;
    const process = spawn('perl', ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    cleanups.push(() => process.kill('SIGKILL'));
    await new Promise((resolve) => process.stdout.once('data', resolve));
    const mntns = mntnsOf(process.pid!)!;
    expect(whoseIs(mntns).name).toBe('unknown');
    manager!.identify(mntns, process.pid!);
    await change('notContainer', (one) => one.mntns === mntns);
    expect(table.isHost(mntns)).toBe(true);
  });

  it('counts a namespace made inside a container as the container', async () => {
    await start();
    dockerd.docker('run', '-d', '--network=none', '--cap-add=SYS_ADMIN', '--name', 'outer', ...IDLE);
    const { index, mntns } = await added('outer');
    dockerd.docker('exec', 'outer', 'unshare', '-m', 'true');
    const inner = await change('add', (one) => one.index === index && one.mntns !== mntns);
    expect(inner.container.name).toBe('outer');
    expect(inner.container.mntns).toBe(mntns);
  });

  it('names containers by what docker has written down when it does not answer', async () => {
    const id = dockerd.docker('run', '-d', '--network=none', '--name', 'written', ...IDLE);
    const { table, warnings } = await start({}, '/nowhere/docker.sock');
    expect(warnings).toEqual([expect.stringMatching(/^Containers are known only by what the machine/)]);
    expect(table.byKey(id)?.container).toMatchObject({ name: 'written', runtime: 'docker' });
    dockerd.docker('run', '-d', '--network=none', '--name', 'written-later', ...IDLE);
    expect((await added('written-later')).container.runtime).toBe('docker');
  });

  it('picks docker up again when it comes back', async () => {
    const { table } = await start();
    dockerd.docker('run', '-d', '--network=none', '--stop-signal=KILL', '--name', 'victim', ...IDLE);
    const { index } = await added('victim');
    await dockerd.stop();
    await change('leave', (left) => left.index === index);
    await dockerd.start();
    dockerd.docker('run', '-d', '--network=none', '--name', 'newcomer', ...IDLE);
    expect((await added('newcomer')).container.runtime).toBe('docker');
    expect(table.rows().filter((row) => row.container.name === 'newcomer')).toHaveLength(1);
  });
});
