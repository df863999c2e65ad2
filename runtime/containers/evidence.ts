// What the machine itself tells of a container that no engine names: runtimes' files, bundles, command lines, cgroups.

import { type BundleFacts, findBundle, readBundle } from './bundle.js';
import { cgroupPathsOf, containerKey, isUnit, namedCgroupIn, podUidOf } from './cgroup.js';
import { type PodIdentity, type RuntimeName, shortId } from './container.js';
import type { EngineContainer } from './engines/engine.js';
import { readText } from './host-files.js';
import { type Launcher, launcherOf } from './launcher.js';
import { hostNetns, mntnsOf, namespaceOf } from './proc.js';
import { type RuntimeState, stateIn, stateOfNamespace, statesOf } from './runtime-state.js';
import type { Sighting } from './sighting.js';

export interface Evidence {
  /** Empty where the files do not tell. */
  readonly runtime: RuntimeName | '';
  readonly details: EngineContainer;
}

/** A cgroup deeper than this was not made by a runtime. */
const MAX_NAMES = 16;

/**
 * Undefined for a process of the host, as far as can be seen. `id` is what its cgroups have told already. Takes a
 * millisecond or two, and little more where somebody filled the folders that are looked into.
 */
export function evidenceOf(seen: Sighting, id: string | undefined): Evidence | undefined {
  return id === undefined ? ofNamed(seen) : ofId(id, seen);
}

/** A container of an engine, whose cgroup told its id. */
function ofId(id: string, seen: Sighting): Evidence {
  const state = statesOf([id], seen.bootNs)[0];
  const facts = readBundle(state?.bundle || findBundle(id), id);
  if (facts !== undefined && (facts.name !== '' || facts.pod !== undefined)) {
    return evidence({ key: id, id, seen, state, facts });
  }
  // Started a moment ago, or with its files in unusual places: its parent knows.
  const launcher = launcherOf(seen.parentPid, id);
  return evidence({ key: id, id, seen, state, launcher, facts: facts ?? bundleOf(launcher) });
}

function bundleOf(launcher: Launcher | undefined): BundleFacts | undefined {
  return launcher === undefined ? undefined : readBundle(launcher.bundle, launcher.id);
}

/** A container with an id that somebody chose, and maybe with no cgroup of its own. */
function ofNamed(seen: Sighting): Evidence | undefined {
  const paths = cgroupPathsOf(seen.pid);
  const names = new Set([
    ...paths.flatMap((path) => path.split('/').reverse()),
    seen.cgroup,
    seen.parentCgroup,
  ]);
  const launcher = launcherOf(seen.parentPid, undefined);
  const states = statesOf([...names].slice(0, MAX_NAMES).map(runtimeIdOf), seen.bootNs);
  const state =
    states.find((one) => cgroupKey(one, seen, paths) !== undefined) ??
    stateOfLauncher(launcher, seen) ??
    stateOfNamespace(seen.mntns, seen.bootNs);
  if (state !== undefined) {
    const facts = readBundle(state.bundle, state.id);
    const key = cgroupKey(state, seen, paths) ?? state.folder;
    return evidence({ key, id: state.id, seen, state, launcher, facts });
  }
  const path = paths.find((one) => namesOf(one) === namesOfSighting(seen)) ?? namesOfSighting(seen);
  if (launcher !== undefined && isOwnCgroup(seen)) {
    const { id } = launcher;
    return evidence({ key: containerKey(path) ?? id, id, seen, launcher, facts: bundleOf(launcher) });
  }
  return ofCgroup(seen, [path, ...paths]);
}

/** `runc-ID.scope` and `crun-ID.scope` are cgroups as systemd makes them for the runtimes. */
function runtimeIdOf(cgroupName: string): string {
  return isUnit(cgroupName) ? (/^(?:runc|crun)-(.+)\.scope$/.exec(cgroupName)?.[1] ?? '') : cgroupName;
}

function stateOfLauncher(launcher: Launcher | undefined, seen: Sighting): RuntimeState | undefined {
  if (launcher === undefined) return undefined;
  if (launcher.root !== '') return stateIn(launcher.root, launcher.id);
  return statesOf([launcher.id], seen.bootNs).find(
    ({ pid }) => pid === seen.pid || mntnsOf(pid) === seen.mntns,
  );
}

/** The key of the container's cgroup when the process is in it, or below. */
function cgroupKey({ cgroups }: RuntimeState, seen: Sighting, paths: readonly string[]): string | undefined {
  const own = cgroups.find((cgroup) => {
    if (cgroup.length < 2) return false;
    if (paths.length > 0) return paths.some((path) => path === cgroup || path.startsWith(`${cgroup}/`));
    // The process is gone: of its cgroups two names are left.
    const names = namesOf(cgroup);
    return names === namesOfSighting(seen) || names.endsWith(`/${seen.parentCgroup}`);
  });
  return own === undefined ? undefined : containerKey(own);
}

/** The last two names of a path, as a sighting has them: `/default/bb1`, `//bb1` below the root. */
function namesOf(path: string): string {
  const [name = '', parent = ''] = path.split('/').reverse();
  return `/${parent}/${name}`;
}

function namesOfSighting({ parentCgroup, cgroup }: Sighting): string {
  return `/${parentCgroup}/${cgroup}`;
}

/** What remains where no file tells: the cgroup's name, and whether it looks like a container at all. */
function ofCgroup(seen: Sighting, paths: readonly string[]): Evidence | undefined {
  if (!seen.ownPids) return undefined;
  const named = paths.map(namedCgroupIn).find((one) => one !== undefined);
  if (named !== undefined) {
    return evidence({ key: containerKey(named.path)!, id: named.name, seen });
  }
  if (isUnit(seen.cgroup) || !isOwnCgroup(seen) || hasRootOfHost(seen)) return undefined;
  const key = containerKey(paths[0]!);
  return key === undefined ? undefined : evidence({ key, id: seen.cgroup, seen });
}

/** Whether the process was put into a cgroup, other than it would be in as its parent's child. */
function isOwnCgroup(seen: Sighting): boolean {
  if (seen.cgroup === '' || seen.sharesCgroup) return false;
  const others = [...cgroupPathsOf('self'), ...(seen.parentPid > 0 ? cgroupPathsOf(seen.parentPid) : [])];
  return !others.some((path) => namesOf(path) === namesOfSighting(seen));
}

/** Whether it surely sees the host's files from the root on. Told by the kernel: looking would ask who serves them. */
function hasRootOfHost({ pid, mntns }: Sighting): boolean {
  if (mntnsOf(pid) !== mntns) return false;
  const own = rootMount(pid);
  return own !== undefined && own === (rootMount(1) ?? rootMount('self'));
}

const MAX_MOUNTINFO_BYTES = 1 << 16;

/** Device, and folder within, of what a process has at `/`, of proc(5); empty when that is no mount's root. */
function rootMount(pid: number | 'self'): string | undefined {
  // The last mount on a place covers the others.
  const text = readText(`/proc/${pid}/mountinfo`, MAX_MOUNTINFO_BYTES);
  if (text === undefined) return undefined;
  const mounts = [...text.matchAll(/^\d+ \d+ (\d+:\d+ \S+) \/ /gm)];
  return mounts.at(-1)?.[1] ?? '';
}

interface Findings {
  readonly key: string;
  readonly id: string;
  readonly seen: Sighting;
  readonly state?: RuntimeState | undefined;
  readonly launcher?: Launcher | undefined;
  readonly facts?: BundleFacts | undefined;
}

function evidence({ key, id, seen, state, launcher, facts }: Findings): Evidence {
  const pod = facts?.pod === undefined ? undefined : ofProcess(facts.pod, seen);
  return {
    runtime: facts?.runtime || launcher?.runtime || '',
    details: {
      key,
      id,
      name: facts?.name || launcher?.name || shortId(id),
      pid: state?.pid || seen.pid,
      imageName: facts?.imageName ?? '',
      imageDigest: facts?.imageDigest ?? '',
      imageId: facts?.imageId ?? '',
      startedAt: state?.created ?? '',
      bundle: state?.bundle || facts?.bundle || launcher?.bundle || '',
      ...(pod && { pod }),
    },
  };
}

/** What the process shows of its pod beyond the annotations. */
function ofProcess(pod: PodIdentity, { pid, parentCgroup }: Sighting): PodIdentity {
  const netns = namespaceOf(pid, 'net');
  return {
    ...pod,
    podUid: pod.podUid || (podUidOf(parentCgroup) ?? ''),
    ...(netns !== undefined && { hostNetwork: netns === hostNetns() }),
  };
}
