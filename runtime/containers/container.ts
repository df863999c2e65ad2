// What the rest of the program knows about a container.

import type { Accounts } from './accounts.js';

/** The engines that can name a container. */
export const RUNTIMES = ['docker', 'containerd', 'cri-o', 'podman'] as const;
export type RuntimeName = (typeof RUNTIMES)[number];

/** What Kubernetes calls a container, and what it says of its pod. */
export interface PodIdentity {
  readonly namespace: string;
  readonly podName: string;
  /** Empty when unknown. */
  readonly podUid: string;
  /** Name within the pod; empty for the pod's sandbox. */
  readonly containerName: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Whether the pod is in the host's network namespace; undefined when nobody said. */
  readonly hostNetwork?: boolean;
  /** `Deployment`, `DaemonSet`, …; empty when it cannot be told, as is the name. */
  readonly ownerKind: string;
  readonly ownerName: string;
  /** Id of the sandbox ("pause") container that holds the pod's namespaces; empty when unknown. */
  readonly sandboxId: string;
}

/** A running container, or one that ended a moment ago. Plain data: it is posted to workers. */
export interface Container {
  /** Unique on this machine, see `containerKey` in cgroup.ts: the id where that is 64 hex digits. */
  readonly key: string;
  /** The engine's full id: 64 hex digits, or what the user of `ctr` or `runc` chose. */
  readonly id: string;
  /** The engine's name for it, without a leading slash; its id, cut to 12 hex digits, when no engine knows it. */
  readonly name: string;
  /** Empty when no engine knows it. */
  readonly runtime: RuntimeName | '';
  /** A process in it, as the host numbers it: its first one where an engine told. */
  readonly pid: number;
  /** Inode number of its mount namespace (`stat -Lc %i /proc/PID/ns/mnt`). */
  readonly mntns: number;
  /** Inode number of its directory in the cgroup v2 tree, where there is one. */
  readonly cgroupId?: number;
  /** As the user wrote it: `busybox:latest`. Empty when unknown, as the following. */
  readonly imageName: string;
  /** `sha256:…` of the image's manifest; empty for images that were never pulled or pushed. */
  readonly imageDigest: string;
  /** `sha256:…` of the image's configuration. */
  readonly imageId: string;
  /** RFC 3339, as the engine writes it. */
  readonly startedAt: string;
  /** Its pod, for containers of Kubernetes. */
  readonly pod?: PodIdentity;
  /** What its own files call users and groups; undefined unless asked for, and until they are read. */
  readonly accounts?: Accounts;
  /** Folder of its OCI bundle (`config.json`, `rootfs`); empty when unknown. */
  readonly bundle: string;
  /** When it ended, `Date.now()`; undefined while it runs. */
  readonly removedAtMs?: number;
}

/** A pod's sandbox: it holds namespaces, and is no container that anybody asked for. */
export function isSandbox({ pod }: Pick<Container, 'pod'>): boolean {
  return pod?.containerName === '';
}

/** The name shown for a container that no engine knows. */
export function shortId(id: string): string {
  return id.length === 64 ? id.slice(0, 12) : id;
}
