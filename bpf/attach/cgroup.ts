/** What processes of a cgroup do (`cgroup/connect4`, `cgroup_skb/egress`, `sockops`, …). */
import { readFileSync } from 'node:fs';
import { InvalidTargetError, NotSupportedByKernelError } from '../errors.js';
import type { AttachKind } from './kind.js';

export const cgroup: AttachKind = {
  capabilities: ['CAP_NET_ADMIN'],
  attach({ native, program, kind, sectionTarget, options }) {
    const directory = options.target ?? rootOfCgroups();
    if (directory === undefined) {
      const hook = `${kind}/${sectionTarget}`;
      throw new NotSupportedByKernelError(
        `Cannot attach program ${program} to ${hook}: no cgroups of version 2 are mounted; mount them: mount -t cgroup2 nodev /sys/fs/cgroup.`,
        { program, hook },
      );
    }
    if (!directory.startsWith('/'))
      throw new InvalidTargetError(
        `Program ${program} names the cgroup "${directory}": it must be a directory of the cgroup file system.`,
        { program },
      );
    return [native.attachCgroup(program, directory)];
  },
  missing(_, code) {
    // What the kernel says of a directory that is no cgroup of version 2.
    if (code === 'EBADF') return { why: 'that directory is no cgroup of version 2' };
    return code === 'EINVAL'
      ? { why: 'the kernel has no such hook for cgroups', option: 'CONFIG_CGROUP_BPF' }
      : undefined;
  },
};

/** Where version 2 is mounted, alone or beside version 1. */
function rootOfCgroups(): string | undefined {
  return /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'latin1'))?.[1];
}
