// Finds container ids in cgroup names: every engine puts the id into the name of the container's cgroup.

import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

// docker, containerd (cgroupfs driver): ID; docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope,
// libpod-ID.scope, libpod-ID, nerdctl-ID.scope (systemd driver); …slice:cri-containerd:ID (driver mismatch).
const CONTAINER_CGROUP = /^(?:(.*)[-:])?([0-9a-f]{64})(?:\.scope)?$/;
/** conmon watches a container from the host side, in a cgroup named after it. */
const NOT_INSIDE = /(^|-)conmon$/;

/** Whether it is an id as engines make them, which no two containers share. */
export function isContainerId(key: string): boolean {
  return /^[0-9a-f]{64}$/.test(key);
}

/** The container id in the name of one cgroup, or undefined. */
export function containerIdOf(cgroupName: string): string | undefined {
  const match = CONTAINER_CGROUP.exec(cgroupName);
  if (match === null || NOT_INSIDE.test(match[1] ?? '')) return undefined;
  return match[2];
}

/** The id of the innermost container on a cgroup path: `/docker/ID/init.scope` is in container ID. */
export function containerIdInPath(path: string): string | undefined {
  for (const name of path.split('/').reverse()) {
    const id = containerIdOf(name);
    if (id !== undefined) return id;
  }
  return undefined;
}

/**
 * What tells a container apart from all others of the machine, made of its cgroup's path: its id where that is
 * 64 hex digits, else the last two names (`default/bb1`), as ids that users choose are unique in their folder only.
 * A path as an OCI bundle's `linux.cgroupsPath` has it will do as well, also systemd's form `slice:prefix:name`.
 * Undefined for the root.
 */
export function containerKey(path: string): string | undefined {
  const systemd = /^([^:/]*):([^:/]*):([^:/]+)$/.exec(path);
  const plain = systemd === null ? path : `${systemd[1]}/${systemd[2]}-${systemd[3]}.scope`;
  const id = containerIdInPath(plain);
  if (id !== undefined) return id;
  const names = plain.split('/').filter((name) => name !== '');
  return names.length === 0 ? undefined : keyOfNames(names.at(-2) ?? '', names.at(-1)!);
}

/** The same from the names of a cgroup and of the one above, which hold no id of 64 hex digits. */
export function keyOfNames(parent: string, name: string): string {
  return `${parent}/${name}`;
}

/** A line of /proc/PID/cgroup: a cgroup of the v2 tree (unified), or of a v1 hierarchy, as a path from its root. */
export interface CgroupLine {
  readonly unified: boolean;
  readonly path: string;
}

/** The lines of a text of /proc/PID/cgroup, that of the v2 tree first. */
export function parseCgroupLines(text: string): CgroupLine[] {
  // Each line is hierarchy-ID:controllers:path; 0:: is the v2 tree (cgroups(7)).
  return [...text.matchAll(/^(\d+):[^:\n]*:(\/.*)$/gm)]
    .map(([, id, path]) => ({ unified: id === '0', path: path! }))
    .sort((a, b) => Number(b.unified) - Number(a.unified));
}

export interface CgroupMembership {
  readonly containerId: string;
  /** The container's own cgroup in the v2 tree (`/docker/ID`); undefined where only v1 knows it. */
  readonly unifiedPath?: string;
}

/** What the text of /proc/PID/cgroup says about the container; undefined for a process in none. */
export function parseCgroupFile(text: string): CgroupMembership | undefined {
  for (const { unified, path } of parseCgroupLines(text)) {
    const containerId = containerIdInPath(path);
    if (containerId === undefined) continue;
    const end = path.indexOf('/', path.indexOf(containerId));
    const own = end < 0 ? path : path.slice(0, end);
    return unified ? { containerId, unifiedPath: own } : { containerId };
  }
  return undefined;
}

/** The container a process is in; undefined when it is in none, or gone. */
export function cgroupOf(pid: number): CgroupMembership | undefined {
  try {
    return parseCgroupFile(readFileSync(`/proc/${pid}/cgroup`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Where the v2 tree is mounted: alone, or beside v1 hierarchies. */
const UNIFIED_MOUNTS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'];

/** The directory of a cgroup of the v2 tree; its inode number is the id the kernel gives it (kernfs, 64-bit). */
export function cgroupDirectoryOf(unifiedPath: string): { path: string; inode: number } | undefined {
  for (const mount of UNIFIED_MOUNTS) {
    try {
      statSync(join(mount, 'cgroup.controllers'));
      const path = join(mount, unifiedPath);
      return { path, inode: statSync(path).ino };
    } catch {
      // Not here: the next place, or no v2 tree at all.
    }
  }
  return undefined;
}

/** The id the kernel gives a cgroup of the v2 tree. */
export function cgroupIdOf(unifiedPath: string): number | undefined {
  return cgroupDirectoryOf(unifiedPath)?.inode;
}

/** Far more cgroups than a machine has, some 10 µs each. */
const MAX_CGROUPS = 20_000;

/** The paths of the cgroups of the v2 tree with these ids, as far as they are there. */
export function cgroupPathsOfIds(ids: ReadonlySet<number>): Map<number, string> {
  const found = new Map<number, string>();
  const root = cgroupDirectoryOf('/')?.path;
  const waiting = root === undefined ? [] : ['/'];
  for (let looked = 0; waiting.length > 0 && looked < MAX_CGROUPS && found.size < ids.size; looked++) {
    const path = waiting.shift()!;
    try {
      const directory = join(root!, path);
      const { ino } = statSync(directory);
      if (ids.has(ino)) found.set(ino, path);
      for (const entry of readdirSync(directory, { withFileTypes: true })) {
        if (entry.isDirectory()) waiting.push(join(path, entry.name));
      }
    } catch {
      // Removed since.
    }
  }
  return found;
}

/** Every cgroup below a root that a process is in, that of the v2 tree first; none when it is gone. */
export function cgroupPathsOf(pid: number | 'self'): string[] {
  try {
    const lines = parseCgroupLines(readFileSync(`/proc/${pid}/cgroup`, 'utf8'));
    return lines.map(({ path }) => path).filter((path) => path !== '/');
  } catch {
    return [];
  }
}

/** Whether it is named as systemd names what it starts, and not as an engine or a user names a container's cgroup. */
export function isUnit(cgroupName: string): boolean {
  return /\.(service|scope|slice|mount|socket|swap)$/.test(cgroupName);
}

export interface NamedCgroup {
  /** As the one who made the container named it. */
  readonly name: string;
  /** Up to and with the container's own cgroup. */
  readonly path: string;
}

/**
 * The system container, or the container of a runtime that has systemd make cgroups, on a cgroup path: LXC
 * (`lxc.payload.NAME`, before 4.0 `lxc/NAME`), what registers with systemd-machined (`machine-NAME.scope`,
 * `systemd-nspawn@NAME.service/payload`), runc and crun (`runc-ID.scope`).
 */
export function namedCgroupIn(path: string): NamedCgroup | undefined {
  const match =
    /^(?:.*\/)?(?:lxc\.payload[./]|lxc\/|(?:runc|crun)-(?=[^/]+\.scope)|machine-(?=[^/]+\.scope)|systemd-nspawn@(?=[^/]+\.service\/))([^/]+)/.exec(
      path,
    );
  if (match === null) return undefined;
  const name = match[1]!.replace(/\.(scope|service)$/, '');
  return { name: unescapeUnit(name), path: match[0] };
}

/** systemd writes bytes that mean something in its names as `\x2d` (systemd.unit(5)). */
function unescapeUnit(name: string): string {
  return name.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

/** The pod's uid in a cgroup's name as kubelet makes it: `podUID`, `kubepods-burstable-podUID.slice`. */
export function podUidOf(cgroupName: string): string | undefined {
  const uid = /(?:^|-)pod([0-9a-f]{32}|[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice)?$/;
  return uid.exec(cgroupName)?.[1]?.replaceAll('_', '-');
}
