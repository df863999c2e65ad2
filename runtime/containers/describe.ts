// All that can be told of one container: what its engine said, and what /proc and its OCI bundle show.

import { join } from 'node:path';
import { findBundle } from './bundle.js';
import { cgroupDirectoryOf, isContainerId, parseCgroupLines } from './cgroup.js';
import type { Container } from './container.js';
import { readText } from './host-files.js';
import { launcherOf } from './launcher.js';
import { hostNetns, mntnsOf, namespaceOf } from './proc.js';
import { parentOf } from './sighting.js';

/** The JSON of a container. What is not known is left out. */
export interface ContainerDescription {
  readonly runtime: {
    readonly runtimeName?: string;
    readonly containerId?: string;
    readonly containerName?: string;
    readonly containerPid?: number;
    readonly containerImageName?: string;
    readonly containerImageId?: string;
    readonly containerImageDigest?: string;
    /** RFC 3339, as the engine writes it. */
    readonly containerStartedAt?: string;
  };
  /** Only of containers of pods. */
  readonly k8s?: {
    readonly namespace?: string;
    readonly podName?: string;
    readonly containerName?: string;
    readonly podLabels?: Readonly<Record<string, string>>;
    readonly podUID?: string;
    readonly hostnetwork?: boolean;
    readonly owner?: { readonly kind?: string; readonly name?: string };
  };
  /** The text of `config.json`. */
  readonly ociConfig?: string;
  readonly bundle?: string;
  readonly sandboxId?: string;
  /** Inode numbers of its namespaces. */
  readonly mntns?: number;
  readonly netns?: number;
  /** Whether it is in the host's network namespace. */
  readonly hostNetwork?: boolean;
  /** Where the directory of its cgroup is (v2), and that one's inode number. */
  readonly cgroupPath?: string;
  readonly cgroupID?: number;
  /** Its cgroup below the roots of the two trees. */
  readonly cgroupV1?: string;
  readonly cgroupV2?: string;
}

/** What the machine's files say of a container; lost when its process ends, so to be read in time. */
export type ContainerFacts = Pick<
  ContainerDescription,
  'bundle' | 'ociConfig' | 'netns' | 'hostNetwork' | 'cgroupPath' | 'cgroupID' | 'cgroupV1' | 'cgroupV2'
>;

/** Far more than runtimes write; a larger file is none of theirs. */
const MAX_CONFIG_BYTES = 1 << 20;
const MAX_CGROUPS_BYTES = 1 << 16;

/** Reads what /proc and the bundle tell now. Of a container that has ended, or is out of reach, that is little. */
export function factsOf(container: Container): ContainerFacts {
  const { pid, mntns, cgroupId } = container;
  const facts = { ...namespacesOf(pid), ...cgroupsOf(pid, container.key) };
  // The pid may be another process's by now. A namespace that nobody may look into is 0.
  const isOwn = pid > 0 && (mntnsOf(pid) ?? 0) === mntns;
  const bundle = bundleOf(container, isOwn);
  return known({
    ...(isOwn && facts),
    ...(cgroupId !== undefined && { cgroupID: cgroupId }),
    bundle,
    ociConfig: bundle === '' ? undefined : readText(join(bundle, 'config.json'), MAX_CONFIG_BYTES),
  });
}

/** Engines need not tell it; then its launcher knows, or it is in one of the usual places. */
function bundleOf({ id, bundle, pid }: Container, isOwnPid: boolean): string {
  if (bundle !== '') return bundle;
  const launched = isOwnPid ? launcherOf(parentOf(pid) ?? 0, id)?.bundle : undefined;
  return launched || (isContainerId(id) ? findBundle(id) : '');
}

export function describeContainer(
  container: Container,
  facts: ContainerFacts = factsOf(container),
): ContainerDescription {
  const { pod } = container;
  const runtime = known({
    runtimeName: container.runtime,
    containerId: container.id,
    containerName: container.name,
    containerPid: container.pid === 0 ? undefined : container.pid,
    containerImageName: container.imageName,
    containerImageId: container.imageId,
    containerImageDigest: container.imageDigest,
    containerStartedAt: container.startedAt,
  });
  const others = known({
    k8s: podOf(container, facts),
    sandboxId: pod?.sandboxId,
    mntns: container.mntns === 0 ? undefined : container.mntns,
    hostNetwork: pod?.hostNetwork,
    ...facts,
  });
  return { runtime, ...others };
}

function podOf({ pod }: Container, facts: ContainerFacts): ContainerDescription['k8s'] {
  if (pod === undefined) return undefined;
  const owner = known({ kind: pod.ownerKind, name: pod.ownerName });
  return known({
    namespace: pod.namespace,
    podName: pod.podName,
    containerName: pod.containerName,
    podLabels: pod.labels,
    podUID: pod.podUid,
    hostnetwork: pod.hostNetwork ?? facts.hostNetwork,
    owner: Object.keys(owner).length === 0 ? undefined : owner,
  });
}

function namespacesOf(pid: number): Pick<ContainerFacts, 'netns' | 'hostNetwork'> {
  const netns = namespaceOf(pid, 'net');
  return netns === undefined ? {} : { netns, hostNetwork: netns === hostNetns() };
}

function cgroupsOf(
  pid: number,
  key: string,
): Pick<ContainerFacts, 'cgroupPath' | 'cgroupID' | 'cgroupV1' | 'cgroupV2'> {
  const { v1, v2 } = parseCgroups(readText(`/proc/${pid}/cgroup`, MAX_CGROUPS_BYTES) ?? '', key);
  const directory = v2 === undefined ? undefined : cgroupDirectoryOf(v2);
  return known({ cgroupPath: directory?.path, cgroupID: directory?.inode, cgroupV1: v1, cgroupV2: v2 });
}

/**
 * The container's own cgroups in the text of /proc/PID/cgroup, whose processes may be in groups below. The v1
 * hierarchies need not agree: the longest path is where the engine put it.
 */
export function parseCgroups(text: string, key: string): { v1?: string; v2?: string } {
  const lines = parseCgroupLines(text);
  const paths = (unified: boolean): string[] =>
    lines.filter((line) => line.unified === unified).map(({ path }) => ownPart(path, key));
  const v1 = paths(false).sort((a, b) => b.length - a.length)[0];
  const v2 = paths(true)[0];
  return { ...(v1 !== undefined && { v1 }), ...(v2 !== undefined && { v2 }) };
}

function ownPart(path: string, key: string): string {
  const at = path.indexOf(key);
  const end = at < 0 ? -1 : path.indexOf('/', at + key.length);
  return end < 0 ? path : path.slice(0, end);
}

type Known<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without what is undefined or empty. */
function known<T extends object>(given: T): Known<T> {
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined && value !== ''),
  ) as Known<T>;
}
