// What the labels and annotations that kubelet gives its containers say: which pod, and who made it.

import { hostname } from 'node:os';
import type { Container, PodIdentity } from './container.js';

type Strings = Readonly<Record<string, string>>;

/** Labels and annotations of one container, and of its pod where they can be had. */
export interface PodFacts {
  /** The container's (or sandbox's) own labels: `io.kubernetes.pod.name` and the like. */
  readonly labels: Strings;
  /** Labels that the user gave the pod; those of the container do not hold them. */
  readonly podLabels?: Strings;
  readonly podAnnotations?: Strings;
  readonly hostNetwork?: boolean;
  readonly sandboxId?: string;
}

/** What CRI-O and cri-dockerd label a sandbox with; containers' names have no capitals. */
const SANDBOX = 'POD';

/** Undefined when the labels are not those of a Kubernetes container. A sandbox gets no container name. */
export function podOf({ labels, ...facts }: PodFacts): PodIdentity | undefined {
  const podName = labels['io.kubernetes.pod.name'];
  const namespace = labels['io.kubernetes.pod.namespace'];
  if (!podName || !namespace) return undefined;
  const podLabels = ownLabels(facts.podLabels ?? {});
  const owner = ownerOf(podName, podLabels, facts.podAnnotations ?? {});
  const containerName = labels['io.kubernetes.container.name'] ?? '';
  return {
    namespace,
    podName,
    podUid: labels['io.kubernetes.pod.uid'] ?? '',
    containerName: containerName === SANDBOX ? '' : containerName,
    labels: podLabels,
    ...(facts.hostNetwork === undefined ? {} : { hostNetwork: facts.hostNetwork }),
    ownerKind: owner.kind,
    ownerName: owner.name,
    sandboxId: facts.sandboxId ?? '',
  };
}

/** The user's labels: without those that kubelet, and containerd, add to a sandbox for themselves. */
function ownLabels(labels: Strings): Strings {
  return Object.fromEntries(
    Object.entries(labels).filter(
      ([key]) => !/^io\.(kubernetes\.(pod|container)\.|cri-containerd\.)/.test(key),
    ),
  );
}

interface Owner {
  readonly kind: string;
  readonly name: string;
}

const NOBODY: Owner = { kind: '', name: '' };
/** What Kubernetes appends to a generated name (apimachinery's rand.String: no vowels, no 0, 1, 3). */
const RANDOM = '[bcdfghjklmnpqrstvwxz2456789]{5}';

/** The controller at the top, as far as the labels that controllers put on their pods tell. */
export function ownerOf(podName: string, labels: Strings, annotations: Strings): Owner {
  const source = annotations['kubernetes.io/config.source'];
  if (source === 'file' || source === 'http') return { kind: 'Node', name: nodeName() };
  const job = labels['batch.kubernetes.io/job-name'] ?? labels['job-name'];
  if (job) {
    // A CronJob names its jobs by the minute they are due.
    const cron = /^(.+)-\d{8,10}$/.exec(job)?.[1];
    return cron === undefined ? { kind: 'Job', name: job } : { kind: 'CronJob', name: cron };
  }
  const template = labels['pod-template-hash'];
  if (template) {
    const end = podName.lastIndexOf(`-${template}-`);
    return end > 0 ? { kind: 'Deployment', name: podName.slice(0, end) } : NOBODY;
  }
  if (labels['statefulset.kubernetes.io/pod-name'] === podName) {
    return { kind: 'StatefulSet', name: podName.replace(/-\d+$/, '') };
  }
  const daemon = new RegExp(`^(.+)-${RANDOM}$`).exec(podName)?.[1];
  if (labels['controller-revision-hash'] && labels['pod-template-generation'] && daemon !== undefined) {
    return { kind: 'DaemonSet', name: daemon };
  }
  return NOBODY;
}

/** This machine's name as a Kubernetes node; `NODE_NAME` says it where the hostname is another. */
export function nodeName(): string {
  return process.env['NODE_NAME'] || hostname();
}

/** Whether this machine is a node: there is none without pods, and a process in a pod is told so. */
export function isKubernetesNode(containers: readonly Container[] = []): boolean {
  const { NODE_NAME, KUBERNETES_SERVICE_HOST } = process.env;
  return Boolean(NODE_NAME || KUBERNETES_SERVICE_HOST) || containers.some(({ pod }) => pod !== undefined);
}

/** `k=v,k=v`, in the order of the keys. */
export function formatLabels(labels: Strings): string {
  return Object.keys(labels)
    .sort()
    .map((key) => `${key}=${labels[key]}`)
    .join(',');
}
