// Pods on a real containerd, asked by the Kubernetes protocol and by its own.

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Container, isSandbox } from '../../runtime/containers/container.js';
import { ContainerManager } from '../../runtime/containers/manager.js';
import { Selector, type SelectorOptions } from '../../runtime/containers/selector.js';
import { Ig, type ExecEvent } from '../ig.js';
import { until } from '../until.js';
import { canRunContainerd, startContainerd, type Containerd } from './containerd.js';
import { POD_NAMESPACE, PodMaker } from './cri.js';
import { ExecTrace } from './exec-trace.js';

/** Lives until it is removed. */
const IDLE = ['sleep', '1000'];
const SCRIPT = ['/bin/sh', '-c', '/bin/true; exec /bin/tail -f /dev/null'];
const SCRIPT_EXECS = ['/bin/sh', '/bin/true', '/bin/tail'];
/** Others may run pods on this machine. */
const NAMESPACE = `shop-${randomBytes(3).toString('hex')}`;

describe.skipIf(!canRunContainerd())('pods', { timeout: 120_000 }, () => {
  let containerd: Containerd;
  let node: PodMaker;

  beforeAll(async () => {
    containerd = await startContainerd();
    containerd.importImages(POD_NAMESPACE);
    node = new PodMaker(containerd);
  }, 120_000);

  afterAll(async () => {
    try {
      await node?.close();
    } finally {
      await containerd?.close();
    }
  }, 120_000);

  afterEach(() => node.removePods());

  describe.each(['cri', 'internal'] as const)('of containerd, asked by protocol %s', (runtimeProtocol) => {
    let manager: ContainerManager | undefined;
    const cleanups: (() => void)[] = [];

    afterEach(() => {
      for (const cleanup of cleanups.splice(0)) cleanup();
      manager?.close();
      manager = undefined;
    });

    /** The engine has answered then, as pods are asked for: nobody waits long for one that may not be needed. */
    async function start(options: SelectorOptions): Promise<ContainerManager> {
      manager = new ContainerManager({
        selector: new Selector(options),
        engines: {
          runtimes: ['containerd'],
          containerdSocketPath: containerd.socketPath,
          runtimeProtocol,
        },
      });
      await manager.start();
      return manager;
    }

    /** The function returned tells the paths executed so far, by `pod/container`. */
    async function traceExecs(): Promise<() => Record<string, string[]>> {
      const trace = await ExecTrace.start(manager!);
      cleanups.push(() => trace.close());
      // Others may run containers here.
      return () =>
        trace.paths(({ key, pod }) =>
          node.made.has(key) ? `${pod?.podName}/${pod?.containerName}` : undefined,
        );
    }

    /** The container of this key, in the table, now or before. */
    function rowOf(key: string): Container | undefined {
      return manager!.table.rows().find(({ container }) => container.key === key)?.container;
    }

    it('names a container that runs already, and its pod', async () => {
      const pod = await node.runPod({
        name: 'early',
        namespace: NAMESPACE,
        labels: { app: 'web', 'pod-template-hash': '5869d7778c' },
      });
      const id = await pod.run('server', IDLE);
      const { table, warnings, filterMap } = await start({ k8sNamespace: NAMESPACE });
      expect(warnings).toEqual([]);
      expect(manager!.onKubernetes).toBe(true);
      const row = table.byKey(id)!;
      expect(row.selected).toBe(true);
      expect(row.container).toMatchObject({
        id,
        name: 'server',
        runtime: 'containerd',
        imageName: expect.stringMatching(/busybox/) as string,
        imageId: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string,
        startedAt: expect.stringMatching(/^20\d\d-.*Z$/) as string,
        pod: {
          namespace: NAMESPACE,
          podName: 'early',
          podUid: pod.uid,
          containerName: 'server',
          labels: { app: 'web', 'pod-template-hash': '5869d7778c' },
          hostNetwork: true,
          ownerKind: '',
          ownerName: '',
          sandboxId: pod.id,
        },
      });
      expect(containerd.ctr('-n', POD_NAMESPACE, 'tasks', 'ls')).toMatch(
        new RegExp(`^${id} +${row.container.pid} +RUNNING`, 'm'),
      );
      const sandbox = table.byKey(pod.id)!;
      expect(sandbox.selected).toBe(false);
      expect(isSandbox(sandbox.container)).toBe(true);
      expect(sandbox.container.pod).toMatchObject({ podName: 'early', hostNetwork: true });
      expect(filterMap!.lookup(keyOf(row.container.mntns))).toBeDefined();
      expect(filterMap!.lookup(keyOf(sandbox.container.mntns))).toBeUndefined();
    });

    it('names the very first exec of a container, an exec into it, and those of a container that is gone', async () => {
      await start({ k8sPodName: 'late' });
      const paths = await traceExecs();
      const pod = await node.runPod({ name: 'late', labels: { app: 'late' } });
      const id = await pod.run('main', SCRIPT);
      await until(() => paths()['late/main']?.length === 3, 'its execs');
      await pod.exec(id, ['/bin/id']);
      await until(() => paths()['late/main']?.length === 4, 'the exec into it');
      expect(rowOf(id)).toMatchObject({ name: 'main', pod: { labels: { app: 'late' }, hostNetwork: true } });

      await pod.removeContainer(id);
      await until(() => rowOf(id)?.removedAtMs !== undefined, 'its end');
      expect(paths()).toEqual({ 'late/main': [...SCRIPT_EXECS, '/bin/id'] });
      expect(rowOf(id)?.pod?.podName).toBe('late');
      await pod.remove();
      await until(() => rowOf(pod.id)?.removedAtMs !== undefined, "the sandbox's end");
    });

    it.each<[string, SelectorOptions, string[]]>([
      ['pod', { k8sPodName: 'one' }, ['one/a', 'one/b']],
      ['namespace', { k8sNamespace: NAMESPACE }, ['two/a']],
      ['container', { k8sContainerName: 'a' }, ['one/a', 'two/a']],
      ['label', { k8sSelector: 'tier in (back,middle),app=x' }, ['two/a']],
      ['excluded pod', { k8sPodName: '!one' }, ['two/a']],
      ['several', { k8sPodName: 'one,two', k8sContainerName: '!b' }, ['one/a', 'two/a']],
    ])('selects by %s, from the first exec on', async (_, options, expected) => {
      const one = await node.runPod({ name: 'one', labels: { app: 'x', tier: 'front' } });
      const two = await node.runPod({
        name: 'two',
        namespace: NAMESPACE,
        labels: { app: 'x', tier: 'back' },
      });
      for (const pod of [one, two]) await pod.run('idle', IDLE);
      await start(options);
      const paths = await traceExecs();
      const ids = [await one.run('a', SCRIPT), await one.run('b', SCRIPT), await two.run('a', SCRIPT)];
      await until(() => ids.every((id) => rowOf(id)?.pod !== undefined), 'all to be named');
      await until(() => Object.values(paths()).flat().length >= expected.length * 3, 'their execs');
      expect(paths()).toEqual(Object.fromEntries(expected.map((name) => [name, SCRIPT_EXECS])));
    });

    it('finds out that a pod belongs to its node', async () => {
      const annotations = { 'kubernetes.io/config.source': 'file' };
      const pod = await node.runPod({ name: 'etcd-node', namespace: 'kube-system', annotations });
      const id = await pod.run('etcd', IDLE);
      await start({ k8sPodName: 'etcd-node' });
      expect(rowOf(id)?.pod).toMatchObject({ ownerKind: 'Node', ownerName: hostname() });
    });

    const asked = (...args: string[]): string[] => [
      ...args,
      ...['-r', 'containerd', '--containerd-socketpath', containerd.socketPath],
      ...['--runtime-protocol', runtimeProtocol],
    ];

    it('are shown as pods in JSON', async () => {
      const pod = await node.runPod({
        name: 'web-5869d7778c-2dlxw',
        namespace: NAMESPACE,
        labels: { app: 'web', 'pod-template-hash': '5869d7778c' },
      });
      await pod.run('idle', IDLE);
      const ig = await Ig.tracing(asked('run', 'trace_exec', '-o', 'json', '--k8s-namespace', NAMESPACE));
      const id = await pod.run('server', SCRIPT);
      await ig.until(() => ownEvents(ig).length >= 3, 'three execs');
      await ig.stop();
      const events = ownEvents(ig);
      const expected = [SCRIPT, ['/bin/true'], ['/bin/tail', '-f', '/dev/null']];
      expect(events.map(({ argv }) => argv)).toEqual(expected);
      for (const { k8s, runtime } of events) {
        expect(k8s).toEqual({
          node: hostname(),
          namespace: NAMESPACE,
          podName: 'web-5869d7778c-2dlxw',
          containerName: 'server',
          hostnetwork: true,
          podLabels: 'app=web,pod-template-hash=5869d7778c',
          owner: { kind: 'Deployment', name: 'web' },
        });
        expect(runtime).toMatchObject({
          containerName: 'server',
          runtimeName: 'containerd',
          containerId: id,
        });
      }
    });

    it.each([
      ['run trace_exec', /^K8S\.NODE +K8S\.NAMESPACE +K8S\.PODNAME +K8S\.CONTAINERNAME /],
      ['trace exec', /^K8S\.NODE +K8S\.NAMESPACE +K8S\.POD +K8S\.CONTAINER /],
    ])('are shown as pods, not as containers, in columns of ig %s', async (command, columns) => {
      const early = await node.runPod({ name: 'early' });
      await early.run('idle', IDLE);
      const ig = await Ig.tracing(asked(...command.split(' '), '--k8s-podname', 'late'));
      const pod = await node.runPod({ name: 'late', namespace: NAMESPACE });
      await pod.run('main', SCRIPT);
      const rows = (): string[] => lines(ig.stdout).filter((line) => line.includes(NAMESPACE));
      await ig.until(() => rows().length >= 3, 'three execs');
      const { stdout } = await ig.stop();
      const [header] = lines(stdout);
      expect(header).toMatch(columns);
      expect(header).not.toContain('RUNTIME.');
      expect(rows()).toHaveLength(3);
      for (const row of rows()) expect(row).toMatch(new RegExp(`${NAMESPACE} +late +main `));
    });

    it('have a sandbox, whose process is shown to nobody', async () => {
      const ig = await Ig.tracing(asked('run', 'trace_exec', '-o', 'json', '--k8s-podname', 'one,two,three'));
      for (const name of ['one', 'two', 'three']) {
        await (await node.runPod({ name })).run('main', IDLE);
      }
      await ig.until(() => ownEvents(ig).length >= 3, 'three execs');
      await ig.stop();
      expect(ownEvents(ig).map(({ argv }) => argv)).toEqual([IDLE, IDLE, IDLE]);
    });

    /** Of what these tests made, sandboxes included. */
    function ownEvents(ig: Ig): PodEvent[] {
      return ig.events().filter(({ runtime }) => node.made.has(String(runtime?.['containerId'])));
    }
  });
});

interface PodEvent extends ExecEvent {
  readonly k8s?: unknown;
}

function keyOf(mntns: number): Uint8Array {
  const key = new Uint8Array(8);
  new DataView(key.buffer).setBigUint64(0, BigInt(mntns), true);
  return key;
}

function lines(stdout: string): string[] {
  return stdout.split('\n').filter((line) => line !== '');
}
