// Reads the files in which runc and crun remember their containers: which process, which cgroup, which bundle.
//
// runc: ROOT/ID/state.json (libcontainer's State, https://github.com/opencontainers/runc/blob/v1.1.5/libcontainer/container_linux.go);
// crun: ROOT/ID/status (https://github.com/containers/crun/blob/1.8.1/src/libcrun/status.c). Both write it before the
// container's first process begins.

import { join } from 'node:path';
import { bootNowNs } from '../../bpf/clock.js';
import { isContainerId } from './cgroup.js';
import { arrayAt, countAt, stringAt, stringsAt } from './engines/json.js';
import { isThere, namesIn, readJson, readStart } from './host-files.js';
import { mntnsOf, startTicksOf } from './proc.js';

export interface RuntimeState {
  readonly id: string;
  /** Where the runtime keeps it: ROOT/ID. */
  readonly folder: string;
  /** Its first process, as the host numbers it. */
  readonly pid: number;
  /** When that one began, in clock ticks since the start of the machine, as proc(5) has it. */
  readonly startTicks: number;
  /** RFC 3339; empty when unknown, as the following. */
  readonly created: string;
  readonly bundle: string;
  /** Its cgroup in each hierarchy, as paths from that one's root (`/default/bb1`). */
  readonly cgroups: readonly string[];
}

/** Those of runc grow with the container's mounts and devices. */
const MAX_STATE_BYTES = 1 << 20;
/** Where its pid is. */
const STATE_HEAD_BYTES = 1024;
/** Bounds of what is looked through. */
const MAX_ROOTS = 64;
const MAX_LISTED = 2048;
const MAX_SCANNED = 128;

/** What runc and crun take for an id (`runc run ID`); names a folder. */
function isRuntimeId(id: string): boolean {
  return /^[\w+.-]{1,255}$/.test(id) && id !== '.' && id !== '..';
}

/** Where runtimes keep state: on their own, under containerd (a folder for each of its namespaces), docker, a user's podman. */
function roots(): string[] {
  const found = ['/run/runc', '/run/crun'];
  for (const folder of ['/run/containerd/runc', '/run/docker/runtime-runc']) {
    found.push(...namesIn(folder, MAX_ROOTS).map((namespace) => join(folder, namespace)));
  }
  for (const user of namesIn('/run/user', MAX_ROOTS)) {
    found.push(`/run/user/${user}/runc`, `/run/user/${user}/crun`);
  }
  return found;
}

/** What the usual places held at one moment. */
interface Listing {
  /** CLOCK_BOOTTIME: it has every container whose first process had begun by then. */
  readonly atBootNs: number;
  readonly idsByRoot: ReadonlyMap<string, ReadonlySet<string>>;
  /** By mount namespace of its first process: the container, as root and id. Made when it is first asked for. */
  byMntns?: ReadonlyMap<number, readonly [string, string]>;
}

/** Kept, as thousands of processes may be sighted in a second, whoever makes mount namespaces. */
let latest: Listing | undefined;

/** What the places hold, or held after `seenBootNs`; 0 is now. */
function listingAfter(seenBootNs: number): Listing {
  if (latest === undefined || seenBootNs === 0 || latest.atBootNs < seenBootNs) {
    const atBootNs = bootNowNs();
    const idsByRoot = new Map(roots().map((root) => [root, new Set(namesIn(root, MAX_LISTED))]));
    latest = { atBootNs, idsByRoot };
  }
  return latest;
}

/**
 * The containers of these ids in the usual places, as they were when a process was seen (CLOCK_BOOTTIME; 0 is now);
 * more than one when several runtimes have one of the same id.
 */
export function statesOf(ids: readonly string[], seenBootNs: number): RuntimeState[] {
  const { idsByRoot } = listingAfter(seenBootNs);
  return ids
    .filter(isRuntimeId)
    .flatMap((id) =>
      Array.from(idsByRoot, ([root, listed]) =>
        listed.has(id) || listed.size === MAX_LISTED ? stateIn(root, id) : undefined,
      ),
    )
    .filter((state) => state !== undefined);
}

/** The container of this id in one runtime's folder. */
export function stateIn(root: string, id: string): RuntimeState | undefined {
  if (!isRuntimeId(id)) return undefined;
  const folder = join(root, id);
  if (!isThere(folder)) return undefined;
  const runc = readJson(join(folder, 'state.json'), MAX_STATE_BYTES);
  if (runc !== undefined) return stateOfRunc(runc, id, folder);
  const crun = readJson(join(folder, 'status'), MAX_STATE_BYTES);
  return crun === undefined ? undefined : stateOfCrun(crun, id, folder);
}

function stateOfRunc(json: unknown, id: string, folder: string): RuntimeState {
  const label = arrayAt(json, 'config', 'labels').find(
    (text): text is string => typeof text === 'string' && text.startsWith('bundle='),
  );
  return {
    id,
    folder,
    pid: countAt(json, 'init_process_pid'),
    startTicks: countAt(json, 'init_process_start'),
    created: stringAt(json, 'created'),
    bundle: label?.slice('bundle='.length) ?? '',
    cgroups: Object.entries(stringsAt(json, 'cgroup_paths')).map(belowMount),
  };
}

/** `/sys/fs/cgroup/CONTROLLER/PATH`, or for the v2 tree (whose name is empty) also `/sys/fs/cgroup/PATH`. */
function belowMount([controller, path]: readonly [string, string]): string {
  const tree = controller === '' ? /^\/sys\/fs\/cgroup(\/unified(?=\/))?/ : /^\/sys\/fs\/cgroup\/[^/]+/;
  return path.replace(tree, '');
}

function stateOfCrun(json: unknown, id: string, folder: string): RuntimeState {
  const path = stringAt(json, 'cgroup-path');
  return {
    id,
    folder,
    pid: countAt(json, 'pid'),
    startTicks: countAt(json, 'process-start-time'),
    created: stringAt(json, 'created'),
    bundle: stringAt(json, 'bundle'),
    cgroups: path === '' ? [] : [path.startsWith('/') ? path : `/${path}`],
  };
}

/** The container whose first process is in this mount namespace, when a process was seen there, as in {@link statesOf}. */
export function stateOfNamespace(mntns: number, seenBootNs: number): RuntimeState | undefined {
  const listing = listingAfter(seenBootNs);
  listing.byMntns ??= firstProcesses(listing);
  const [root, id] = listing.byMntns.get(mntns) ?? [];
  const state = root === undefined || id === undefined ? undefined : stateIn(root, id);
  // A container that ended keeps its pid in the file, which may be another process's by now.
  return state !== undefined && startTicksOf(state.pid) === state.startTicks ? state : undefined;
}

function firstProcesses({ idsByRoot }: Listing): Map<number, readonly [string, string]> {
  const found = new Map<number, readonly [string, string]>();
  let left = MAX_SCANNED;
  for (const [root, listed] of idsByRoot) {
    // Those of engines are told by their cgroup.
    const ids = [...listed].filter((name) => isRuntimeId(name) && !isContainerId(name));
    for (const id of ids.slice(0, Math.max(0, left))) {
      const mntns = mntnsOf(pidIn(root, id));
      if (mntns !== undefined && !found.has(mntns)) found.set(mntns, [root, id]);
    }
    left -= ids.length;
  }
  return found;
}

/** The first process as the beginning of the file says: the rest is long. */
function pidIn(root: string, id: string): number {
  for (const name of ['state.json', 'status']) {
    const head = readStart(join(root, id, name), STATE_HEAD_BYTES)?.toString('latin1');
    if (head === undefined) continue;
    return Number(/"(?:init_process_)?pid" *: *(\d{1,10})[,\s}]/.exec(head)?.[1] ?? 0);
  }
  return 0;
}
