/** Facts about this machine's eBPF. */
import { existsSync } from 'node:fs';
import { native } from './native.js';

/** Where a kernel built with CONFIG_DEBUG_INFO_BTF shows its types. */
export const KERNEL_BTF_PATH = '/sys/kernel/btf/vmlinux';

export function hasKernelBtf(): boolean {
  return existsSync(KERNEL_BTF_PATH);
}

/** The number of CPUs there may ever be: the number of values in a per-CPU map's element. */
export function numPossibleCpus(): number {
  return native().numPossibleCpus();
}

/** Such as `v1.1`. */
export function libbpfVersion(): string {
  return native().libbpfVersion();
}
