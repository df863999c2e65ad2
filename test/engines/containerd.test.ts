// Containers and pods of a real containerd: found, named from their first exec on, and let go.

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { GrpcClient } from '../../runtime/containers/engines/grpc.js';
import type { EngineOptions } from '../../runtime/containers/engines/index.js';
import { stringAt } from '../../runtime/containers/engines/json.js';
import { ContainerManager } from '../../runtime/containers/manager.js';
import { Selector, type SelectorOptions } from '../../runtime/containers/selector.js';
import { until } from '../until.js';
import { Changes } from './changes.js';
import { BUSYBOX, canRunContainerd, PAUSE, startContainerd, type Containerd } from './containerd.js';
import { ExecTrace } from './exec-trace.js';

/** Lives until it is killed. */
const IDLE = ['sleep', '1000'];
const CRI_TIMEOUT_MS = 30_000;
const DIGEST = /sha256:[0-9a-f]{64}/;

describe.skipIf(!canRunContainerd())('containers of containerd', { timeout: 90_000 }, () => {
  let containerd: Containerd;
  let cri: GrpcClient;
  let manager: ContainerManager | undefined;
  let changes: Changes;
  const cleanups: (() => unknown)[] = [];

  beforeAll(async () => {
    containerd = await startContainerd();
    for (const namespace of ['default', 'other', 'moby', 'k8s.io']) containerd.importImages(namespace);
    cri = new GrpcClient(containerd.socketPath, { folder: 'cri', files: ['api.proto'] });
  }, 90_000);

  afterAll(async () => {
    cri?.close();
    await containerd?.close();
  }, 60_000);

  afterEach(async () => {
    for (const cleanup of cleanups.splice(0)) await cleanup();
    manager?.close();
    await containerd.removeContainers();
  });

  async function start(
    selection: SelectorOptions = {},
    engines: EngineOptions = {},
  ): Promise<ContainerManager> {
    manager = new ContainerManager({
      selector: new Selector(selection),
      engines: { runtimes: ['containerd'], containerdSocketPath: containerd.socketPath, ...engines },
    });
    changes = new Changes(manager.table);
    await manager.start();
    return manager;
  }

  /** Starts a container that goes on; returns the pid of its first process. */
  function launch(
    id: string,
    command: string[] = IDLE,
    options: string[] = [],
    namespace = 'default',
  ): number {
    containerd.ctr('-n', namespace, 'run', '-d', '--null-io', ...options, BUSYBOX, id, ...command);
    return pidOf(id, namespace);
  }

  function pidOf(id: string, namespace = 'default'): number {
    const tasks = containerd.ctr('-n', namespace, 'tasks', 'ls').split('\n');
    return Number(tasks.map((line) => line.split(/\s+/)).find(([name]) => name === id)?.[1]);
  }

  /** Runs a container to its end and removes it. */
  async function run(id: string, ...command: string[]): Promise<void> {
    const client = containerd.spawnCtr('run', '--rm', '--null-io', BUSYBOX, id, ...command);
    expect(await new Promise((resolve) => client.once('exit', resolve))).toBe(0);
  }

  /** The function returned tells the paths executed so far, by name of the container. */
  async function traceExecs(): Promise<() => Record<string, string[]>> {
    const trace = await ExecTrace.start(manager!);
    cleanups.push(() => trace.close());
    // Others may run containers here.
    return () => trace.paths(({ name, runtime }) => (runtime === 'containerd' ? name : undefined));
  }

  async function callCri(method: string, request: object, answer: string): Promise<string> {
    const options = { timeoutMs: CRI_TIMEOUT_MS };
    return stringAt(await cri.call(`runtime.v1.RuntimeService/${method}`, request, options), answer);
  }

  /** Makes a pod in the host's network, as kubelet would, of a Deployment; returns its sandbox's id and its maker. */
  async function makePod(name: string, annotations = {}) {
    const uid = `uid-of-${name}`;
    const pod = `${name}-5d4c7b9f6-xk2vq`;
    const own = {
      'io.kubernetes.pod.name': pod,
      'io.kubernetes.pod.namespace': 'shop',
      'io.kubernetes.pod.uid': uid,
    };
    const config = {
      metadata: { name: pod, uid, namespace: 'shop', attempt: 0 },
      labels: { app: name, 'pod-template-hash': '5d4c7b9f6', ...own },
      annotations,
      linux: { securityContext: { namespaceOptions: { network: 'NODE' } } },
    };
    const sandboxId = await callCri('RunPodSandbox', { config }, 'podSandboxId');
    cleanups.push(async () => {
      await callCri('StopPodSandbox', { podSandboxId: sandboxId }, '');
      await callCri('RemovePodSandbox', { podSandboxId: sandboxId }, '');
    });
    const addContainer = async (container: string, command: string[]): Promise<string> => {
      const request = {
        podSandboxId: sandboxId,
        sandboxConfig: config,
        config: {
          metadata: { name: container, attempt: 0 },
          image: { image: BUSYBOX },
          command,
          labels: { 'io.kubernetes.container.name': container, ...own },
        },
      };
      const containerId = await callCri('CreateContainer', request, 'containerId');
      await callCri('StartContainer', { containerId }, '');
      return containerId;
    };
    return { sandboxId, addContainer };
  }

  it('finds a container that runs already, with all that containerd knows of it', async () => {
    const pid = launch('early');
    const { table, warnings } = await start();
    expect(warnings).toEqual([]);
    const row = table.byKey('default/early')!;
    const image = containerd.ctr('images', 'ls', `name==${BUSYBOX}`);
    const digest = DIGEST.exec(image)![0];
    expect(row.container).toMatchObject({
      id: 'early',
      name: 'early',
      runtime: 'containerd',
      pid,
      imageName: BUSYBOX,
      imageDigest: digest,
      bundle: `${containerd.statePath}/io.containerd.runtime.v2.task/default/early`,
    });
    const ageMs = Date.now() - Date.parse(row.container.startedAt);
    expect(ageMs).toBeGreaterThan(-1000);
    expect(ageMs).toBeLessThan(60_000);
    expect(row.container.pod).toBeUndefined();
    expect(table.byMntns(row.container.mntns)).toBe(row);
  });

  it('calls a container what nerdctl calls it', async () => {
    const id = '5e'.repeat(32);
    launch(id, IDLE, ['--label', 'nerdctl/name=web']);
    const { table } = await start();
    expect(table.byKey(id)?.container).toMatchObject({ id, name: 'web' });
  });

  it('knows a container whose cgroup is elsewhere than containerd puts it', async () => {
    launch('moved', IDLE, ['--cgroup', '/default/group']);
    const { table } = await start();
    expect(table.byKey('default/group')?.container).toMatchObject({ id: 'moved', name: 'moved' });
    launch('later', IDLE, ['--cgroup', '/default/group-of-later']);
    expect((await changes.named('later')).container).toMatchObject({
      key: 'default/group-of-later',
      runtime: 'containerd',
    });
  });

  it('lets the very first exec of a container through that did not exist when the trace began', async () => {
    launch('noise');
    await start({ containerName: 'late' });
    const paths = await traceExecs();
    await run('late', '/bin/sh', '-c', '/bin/true; /bin/id');
    containerd.ctr('tasks', 'exec', '--exec-id', 'e1', 'noise', '/bin/true');
    await changes.named('late');
    expect(paths()).toEqual({ late: ['/bin/sh', '/bin/true', '/bin/id'] });
  });

  it('says of a container that is started later when that was', async () => {
    const { table } = await start();
    containerd.ctr('containers', 'create', BUSYBOX, 'made', ...IDLE);
    expect(table.byKey('default/made')).toBeUndefined();
    containerd.spawnCtr('tasks', 'start', '-d', '--null-io', 'made');
    const first = await changes.named('made');
    expect(first.container).toMatchObject({ runtime: 'containerd', imageName: BUSYBOX });
    const told = await changes.added((one) => one.container.id === 'made' && one.container.startedAt !== '');
    expect(told.index).toBe(first.index);
  });

  it('counts what is executed in a container as its own, and its end not as the end of the container', async () => {
    await start({ containerName: 'host-of-guests' });
    launch('host-of-guests');
    const { index } = await changes.named('host-of-guests');
    const paths = await traceExecs();
    containerd.ctr('tasks', 'exec', '--exec-id', 'e1', 'host-of-guests', '/bin/id');
    containerd.ctr('tasks', 'exec', '--exec-id', 'e2', 'host-of-guests', '/bin/true');
    expect(paths()).toEqual({ 'host-of-guests': ['/bin/id', '/bin/true'] });
    expect(manager!.table.byIndex(index)!.container.removedAtMs).toBeUndefined();
  });

  it('gives a container a new index when it gets another task', async () => {
    await start();
    launch('again');
    const { index } = await changes.named('again');
    containerd.ctr('tasks', 'rm', '-f', 'again');
    await changes.left(index);
    containerd.ctr('tasks', 'start', '-d', '--null-io', 'again');
    const second = await changes.added((one) => one.container.name === 'again' && one.index !== index);
    expect(second.container.pid).toBe(pidOf('again'));
  });

  it('remembers a container that is gone at once, for its events', async () => {
    const { table } = await start({ containerName: 'brief' });
    const paths = await traceExecs();
    await run('brief', '/bin/true');
    const { index } = await changes.named('brief');
    await changes.left(index);
    expect(table.byIndex(index)!.container.name).toBe('brief');
    expect(paths()).toEqual({ brief: ['/bin/true'] });
  });

  it('tells containers of the same id in two namespaces apart', async () => {
    const { table } = await start();
    const [here, there] = [launch('twin'), launch('twin', IDLE, [], 'other')];
    const twins = await Promise.all(
      ['default/twin', 'other/twin'].map((key) => changes.added(({ container }) => container.key === key)),
    );
    expect(twins.map(({ container }) => container.name)).toEqual(['twin', 'twin']);
    expect(twins.map(({ container }) => container.pid)).toEqual([here, there]);
    containerd.ctr('-n', 'other', 'tasks', 'rm', '-f', 'twin');
    await changes.left(twins[1]!.index);
    expect(table.byKey('default/twin')?.container.removedAtMs).toBeUndefined();
  });

  it('looks into one namespace when told to, and never of itself into that of docker', async () => {
    const ids = ['default', 'other', 'moby'].map((namespace) => {
      launch(`in-${namespace}`, IDLE, [], namespace);
      return `${namespace}/in-${namespace}`;
    });
    // Without containerd's help, too, they are found, but their images are not.
    const images = ({ table }: ContainerManager) => ids.map((id) => table.byKey(id)?.container.imageName);
    expect(images(await start())).toEqual([BUSYBOX, BUSYBOX, '']);
    manager!.close();
    expect(images(await start({}, { containerdNamespace: 'other' }))).toEqual(['', BUSYBOX, '']);
  });

  it('goes on with the containers that outlived a restart of containerd, and hears of new ones', async () => {
    const { table } = await start();
    launch('survivor');
    const { index } = await changes.named('survivor');
    await containerd.stop();
    await containerd.start();
    launch('newcomer');
    const { container } = await changes.named('newcomer');
    expect(container.runtime).toBe('containerd');
    expect(table.byIndex(index)?.container).toMatchObject({ name: 'survivor' });
    expect(table.byIndex(index)?.container.removedAtMs).toBeUndefined();
    containerd.ctr('tasks', 'rm', '-f', 'survivor');
    await changes.left(index);
  });

  it('starts all the same with a socket that accepts and never answers', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ig-mute-'));
    const socketPath = join(directory, 'containerd.sock');
    const mute = createServer((socket) => void cleanups.push(() => socket.destroy()));
    await new Promise<void>((resolve) => mute.listen(socketPath, resolve));
    cleanups.push(() => (mute.close(), rmSync(directory, { recursive: true })));
    const { warnings } = await start({}, { containerdSocketPath: socketPath });
    expect(warnings).toEqual([expect.stringMatching(/containerd at .* does not answer yet/)]);
  });

  it('knows the pods of containers that run already', async () => {
    const { sandboxId, addContainer } = await makePod('web', { team: 'a' });
    const id = await addContainer('nginx', IDLE);
    const { table, onKubernetes } = await start();
    expect(onKubernetes).toBe(true);
    const pod = {
      namespace: 'shop',
      podName: 'web-5d4c7b9f6-xk2vq',
      podUid: 'uid-of-web',
      labels: { app: 'web', 'pod-template-hash': '5d4c7b9f6' },
      hostNetwork: true,
      ownerKind: 'Deployment',
      ownerName: 'web',
      sandboxId,
    };
    expect(table.byKey(id)?.container).toMatchObject({
      name: 'nginx',
      runtime: 'containerd',
      imageName: BUSYBOX,
      imageId: expect.stringMatching(DIGEST) as string,
      imageDigest: expect.stringMatching(DIGEST) as string,
      bundle: `${containerd.statePath}/io.containerd.runtime.v2.task/k8s.io/${id}`,
      pod: { ...pod, containerName: 'nginx' },
    });
    expect(table.byKey(sandboxId)?.container).toMatchObject({
      name: sandboxId.slice(0, 12),
      imageName: PAUSE,
      pod: { ...pod, containerName: '' },
    });
  });

  it('knows the pod of a container from its first exec on, and static pods by their annotation', async () => {
    await start({ k8sPodName: 'api-5d4c7b9f6-xk2vq' });
    const paths = await traceExecs();
    const { addContainer } = await makePod('api', { 'kubernetes.io/config.source': 'file' });
    const id = await addContainer('server', ['/bin/sh', '-c', '/bin/id; exec /bin/sleep 1000']);
    const { container } = await changes.added(
      (one) => one.container.id === id && one.container.startedAt !== '',
    );
    expect(container.pod).toMatchObject({ podName: 'api-5d4c7b9f6-xk2vq', ownerKind: 'Node' });
    const seen: string[] = [];
    await until(() => {
      seen.splice(0, seen.length, ...(paths()['server'] ?? []));
      return seen.includes('/bin/sleep');
    }, 'its last exec');
    expect(seen).toEqual(['/bin/sh', '/bin/id', '/bin/sleep']);
  });
});
