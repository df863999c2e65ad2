// Pods on a containerd of the tests' own, made through the Kubernetes protocol as kubelet makes them.
//
//   const node = new PodMaker(containerd);
//   const pod = await node.runPod({ name: 'web', namespace: 'shop', labels: { app: 'web' } });
//   const id = await pod.run('server', ['sleep', '1000']);   // a container in it, which runs
//   pod.exec(id, ['/bin/true']);
//   await pod.remove();                                      // the pod, and what is in it

import { randomUUID } from 'node:crypto';
import { GrpcClient } from '../../runtime/containers/engines/grpc.js';
import { stringAt } from '../../runtime/containers/engines/json.js';
import { BUSYBOX, type Containerd } from './containerd.js';
import { removeEmptyCgroups } from './leftovers.js';

const TIMEOUT_MS = 60_000;
/** Of containerd, where pods live whoever made them. */
export const POD_NAMESPACE = 'k8s.io';

type Strings = Readonly<Record<string, string>>;

export interface PodOptions {
  readonly name: string;
  /** `default` when left out. */
  readonly namespace?: string;
  readonly labels?: Strings;
  readonly annotations?: Strings;
}

export class PodMaker {
  /** Ids of all sandboxes and containers that it ever made. */
  readonly made = new Set<string>();
  readonly #grpc: GrpcClient;
  readonly #pods = new Set<Pod>();

  constructor({ socketPath }: Containerd) {
    this.#grpc = new GrpcClient(socketPath, { folder: 'cri', files: ['api.proto'] });
  }

  /** Runs a sandbox in the host's network, which needs no CNI, and in kubelet's cgroups (driver cgroupfs). */
  async runPod({ name, namespace = 'default', labels = {}, annotations = {} }: PodOptions): Promise<Pod> {
    const uid = randomUUID();
    const own = {
      'io.kubernetes.pod.name': name,
      'io.kubernetes.pod.namespace': namespace,
      'io.kubernetes.pod.uid': uid,
    };
    const config = {
      metadata: { name, uid, namespace, attempt: 0 },
      labels: { ...labels, ...own },
      annotations: { 'kubernetes.io/config.source': 'api', ...annotations },
      linux: {
        cgroupParent: `/kubepods/besteffort/pod${uid}`,
        securityContext: { namespaceOptions: { network: 'NODE', pid: 'CONTAINER', ipc: 'POD' } },
      },
    };
    const id = stringAt(await this.call('RunPodSandbox', { config }), 'podSandboxId');
    const pod = new Pod(this, id, uid, config, own);
    this.#pods.add(pod);
    this.made.add(id);
    return pod;
  }

  async call(method: string, request: object): Promise<unknown> {
    return this.#grpc.call(`runtime.v1.RuntimeService/${method}`, request, { timeoutMs: TIMEOUT_MS });
  }

  /** Removes all pods that are left. */
  async removePods(): Promise<void> {
    const pods = [...this.#pods];
    this.#pods.clear();
    for (const pod of pods) await pod.remove();
  }

  async close(): Promise<void> {
    await this.removePods();
    this.#grpc.close();
    removeEmptyCgroups('kubepods/besteffort', 'kubepods');
  }
}

export class Pod {
  readonly id: string;
  readonly uid: string;
  readonly #node: PodMaker;
  readonly #config: object;
  readonly #labels: Strings;
  #removed = false;

  constructor(node: PodMaker, id: string, uid: string, config: object, labels: Strings) {
    this.#node = node;
    this.id = id;
    this.uid = uid;
    this.#config = config;
    this.#labels = labels;
  }

  /** Creates a container; returns its id. */
  async create(name: string, command: readonly string[]): Promise<string> {
    const config = {
      metadata: { name, attempt: 0 },
      image: { image: BUSYBOX, userSpecifiedImage: 'busybox' },
      command,
      labels: { ...this.#labels, 'io.kubernetes.container.name': name },
      annotations: { 'io.kubernetes.container.restartCount': '0' },
      linux: {},
    };
    const request = { podSandboxId: this.id, config, sandboxConfig: this.#config };
    const id = stringAt(await this.#node.call('CreateContainer', request), 'containerId');
    this.#node.made.add(id);
    return id;
  }

  async start(containerId: string): Promise<void> {
    await this.#node.call('StartContainer', { containerId });
  }

  /** Creates a container and starts it; returns its id. */
  async run(name: string, command: readonly string[]): Promise<string> {
    const id = await this.create(name, command);
    await this.start(id);
    return id;
  }

  /** Runs a command in a container to its end. */
  async exec(containerId: string, cmd: readonly string[]): Promise<void> {
    await this.#node.call('ExecSync', { containerId, cmd, timeout: 30 });
  }

  async removeContainer(containerId: string): Promise<void> {
    await this.#node.call('StopContainer', { containerId, timeout: 0 });
    await this.#node.call('RemoveContainer', { containerId });
  }

  /** The pod, and what is in it. */
  async remove(): Promise<void> {
    if (this.#removed) return;
    this.#removed = true;
    await this.#node.call('StopPodSandbox', { podSandboxId: this.id });
    await this.#node.call('RemovePodSandbox', { podSandboxId: this.id });
    removeEmptyCgroups(`kubepods/besteffort/pod${this.uid}`);
  }
}
