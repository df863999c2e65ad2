/** Hooks that BTF names and the load already resolved: `tp_btf`, `fentry`, `fexit`, `fmod_ret`, `lsm`. */
import { readFileSync } from 'node:fs';
import { InvalidTargetError } from '../errors.js';
import type { AttachKind } from './kind.js';

export const tracing: AttachKind = {
  capabilities: ['CAP_PERFMON'],
  attach({ native, program, options }) {
    if (options.target !== undefined)
      throw new InvalidTargetError(
        `Program ${program} cannot be attached elsewhere once loaded: set its target before the load.`,
        { program },
      );
    return [native.attach(program)];
  },
  missing({ kind }, code) {
    if (kind === 'lsm' && !activeSecurityModules().includes('bpf'))
      return {
        why: 'eBPF is not among the active security modules (kernel parameter lsm=)',
        option: 'CONFIG_BPF_LSM',
      };
    if (code === 'ENOTSUP')
      return {
        why: 'the kernel cannot patch its functions for eBPF on this machine',
        option: 'CONFIG_DYNAMIC_FTRACE',
      };
    return undefined;
  },
};

function activeSecurityModules(): string[] {
  try {
    return readFileSync('/sys/kernel/security/lsm', 'latin1').trim().split(',');
  } catch {
    return ['bpf']; // securityfs is not mounted: no ground for an opinion
  }
}
