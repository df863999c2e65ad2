// What the rest of the program knows about a container.

/** The engines that can name a container; `''` when none of them knows it. */
export type RuntimeName = 'docker';

export interface PodIdentity {
  readonly namespace: string;
  readonly podName: string;
  readonly containerName: string;
}

/** A running container, or one that ended a moment ago. Plain data: it is posted to workers. */
export interface Container {
  /** The engine's full id: 64 hex digits for every engine so far. */
  readonly id: string;
  /** The engine's name for it, without a leading slash; the first 12 digits of the id when no engine knows it. */
  readonly name: string;
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
  readonly k8s?: PodIdentity;
  /** When it ended, `Date.now()`; undefined while it runs. */
  readonly removedAtMs?: number;
}

/** The name shown for a container that no engine knows. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}
