// What the machine itself tells of a container that no engine names: cgroups, runtimes' files, command lines.

import { containerKey, isContainerId, keyOfNames } from './cgroup.js';
import { type RuntimeName, shortId } from './container.js';
import type { EngineContainer } from './engines/engine.js';
import type { Sighting } from './sighting.js';

export interface Evidence {
  /** Empty where the files do not tell. */
  readonly runtime: RuntimeName | '';
  readonly details: EngineContainer;
}

/** Undefined for a process of the host, as far as can be seen. `id` is what its cgroups have told already. */
export function evidenceOf(seen: Sighting, id: string | undefined): Evidence | undefined {
  const names = seen.cgroup === '' ? undefined : keyOfNames(seen.parentCgroup, seen.cgroup);
  const key = id ?? (names === undefined ? undefined : containerKey(names));
  if (key === undefined) return undefined;
  // A unit of systemd may have namespaces of its own and is no container.
  const isUnit = /\.(service|scope|slice)$/.test(seen.cgroup);
  if (!isContainerId(key) && (!seen.ownPids || isUnit)) return undefined;
  return { runtime: '', details: unnamed(key, seen) };
}

function unnamed(key: string, seen: Sighting): EngineContainer {
  const id = key.slice(key.lastIndexOf('/') + 1);
  const nothing = { imageName: '', imageDigest: '', imageId: '', startedAt: '', bundle: '' };
  return { key, id, name: shortId(id), pid: seen.pid, ...nothing };
}
