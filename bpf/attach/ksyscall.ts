/** System calls, by a probe of the kernel's function for them (`ksyscall/unlinkat`, `kretsyscall/…`). */
import { InvalidTargetError } from '../errors.js';
import { kprobesLacking } from './kprobe.js';
import type { AttachKind } from './kind.js';

export const ksyscall: AttachKind = {
  capabilities: ['CAP_PERFMON'],
  attach({ native, program, kind, options }) {
    if (options.target !== undefined)
      throw new InvalidTargetError(
        `Program ${program} (${kind}) is attached where its section says, not elsewhere.`,
        { program },
      );
    return [native.attach(program)];
  },
  missing: ({ target }, code) =>
    kprobesLacking() ?? (code === 'ENOENT' ? { why: `the kernel has no system call ${target}` } : undefined),
};
