/** All kernel functions whose names match a pattern, at once (`kprobe.multi/tcp_*`, `kretprobe.multi/…`). */
import { InvalidTargetError } from '../errors.js';
import type { AttachKind } from './kind.js';

export const kprobeMulti: AttachKind = {
  capabilities: ['CAP_PERFMON'],
  attach({ native, program, kind, target }) {
    if (!/^[\w.$*?]+$/.test(target))
      throw new InvalidTargetError(
        `Program ${program} names the kernel functions "${target}": it must be a name, in which * and ? may stand.`,
        { program },
      );
    return [native.attachKprobeMulti(program, kind.startsWith('kret'), target)];
  },
  missing({ target }, code) {
    // Older kernels take the program for a kprobe, and the link for one of a perf event.
    if (code === 'ENOTSUP' || code === 'EINVAL' || code === 'EBADF')
      return {
        why: 'the kernel cannot probe many functions at once, as Linux 5.18 can',
        option: 'CONFIG_FPROBE',
      };
    return code === 'ENOENT' ? { why: `the kernel has no function ${target}` } : undefined;
  },
};
