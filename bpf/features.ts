/** Facts about this machine's eBPF. */
import { closeSync, existsSync, readFileSync } from 'node:fs';
import { addonPath, native } from './native.js';

/** Where a kernel built with CONFIG_DEBUG_INFO_BTF shows its types. */
export const KERNEL_BTF_PATH = '/sys/kernel/btf/vmlinux';

export function hasKernelBtf(): boolean {
  return existsSync(KERNEL_BTF_PATH);
}

/** The number of CPUs there may ever be: the number of values in a per-CPU map's element. */
export function numPossibleCpus(): number {
  return native().numPossibleCpus();
}

/** One more than the highest number that a CPU of this machine may have; numbers may be left out. */
export function cpuNumbersEnd(): number {
  // cpu(5) of sysfs: ranges such as 0-3,8-11.
  return Number(/(\d+)\s*$/.exec(readFileSync('/sys/devices/system/cpu/possible', 'latin1'))![1]) + 1;
}

/** Such as `v1.1`. */
export function libbpfVersion(): string {
  return native().libbpfVersion();
}

/** Where securityfs is, if it is mounted. */
const SECURITYFS = '/sys/kernel/security';

/**
 * What securityfs says: the active security modules as a comma list, or how far the kernel is locked down. Where it is
 * not mounted, it is for a moment, where nobody else sees it. Undefined if the kernel has no such file, or if this
 * process may not read it.
 */
export function securityFile(name: 'lsm' | 'lockdown'): string | undefined {
  if (existsSync(`${SECURITYFS}/lsm`)) return textOf(`${SECURITYFS}/${name}`);
  let mount: number;
  try {
    mount = native().mountDetached('securityfs');
  } catch {
    return undefined;
  }
  try {
    return textOf(`/proc/self/fd/${mount}/${name}`);
  } finally {
    closeSync(mount);
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    return undefined;
  }
}

/** A function of ours that runs while the addon is loaded, and never again: a harmless place for a uprobe. */
export function harmlessUprobeTarget(): string {
  return `${addonPath()}:napi_register_module_v1`;
}

/**
 * Creates a map of the type, by libbpf's name (`ringbuf`, `hash`, …), and drops it. Throws SystemError with the
 * kernel's refusal; `ENOTSUP` where libbpf does not know the type.
 */
export function probeMapType(type: string): void {
  native().probeMapType(type);
}

/** How the kernel's BTF names a thing: enum BTF_KIND_*, include/uapi/linux/btf.h. */
const BTF_KINDS = { typedef: 8, func: 12 } as const;

export interface KernelType {
  readonly kind: keyof typeof BTF_KINDS;
  readonly name: string;
}

/** The ids of types in the kernel's own BTF, 0 for those it does not have. Throws SystemError if it has no BTF. */
export function kernelTypeIds(types: readonly KernelType[]): number[] {
  return native().kernelBtfIds(
    types.map(({ name }) => name),
    types.map(({ kind }) => BTF_KINDS[kind]),
  );
}

/** The program that a call is tried in. */
export interface ProbeProgram {
  /** libbpf's name: `raw_tracepoint`, `kprobe`, `tracing`, … */
  readonly type: string;
  /** enum bpf_attach_type, include/uapi/linux/bpf.h; for `tracing`. */
  readonly attachType?: number;
  /** What a `tracing` program is for, in the kernel's BTF. */
  readonly btfId?: number;
}

/** What is called: a helper by its number (enum bpf_func_id), or a kfunc by its id in the kernel's BTF. */
export type Callee = { readonly helper: number } | { readonly kfunc: number };

/**
 * Whether programs of this type may call that, as the verifier says of one that does. Its other complaints, such as
 * missing arguments, come later and do not count. Throws SystemError when the kernel refuses before it verifies.
 */
export function probeCall(program: ProbeProgram, callee: Callee): boolean {
  const { type, attachType = 0, btfId = 0 } = program;
  try {
    native().probeProgram(type, attachType, btfId, callAndReturn(callee));
    return true;
  } catch (error) {
    const { log = '' } = error as { log?: string };
    if (log === '') throw error;
    return !REFUSED_CALL.test(log);
  }
}

/** Of a helper: unknown to any program, or to this type (before and since Linux 6.10); of a kfunc. */
const REFUSED_CALL =
  /invalid func |unknown func |program of this type cannot use helper|calling kernel function|kernel function \S+ is not allowed|does not support calling kernel function|unknown opcode|BPF_CALL uses reserved fields/;

/** struct bpf_insn, include/uapi/linux/bpf.h: opcode, registers, 16-bit offset, 32-bit immediate value. */
function callAndReturn(callee: Callee): Uint8Array {
  const BPF_PSEUDO_KFUNC_CALL = 2;
  const instructions = Buffer.alloc(3 * 8);
  const isKfunc = 'kfunc' in callee;
  instructions.writeUInt8(0x85, 0); // call
  instructions.writeUInt8(isKfunc ? BPF_PSEUDO_KFUNC_CALL << 4 : 0, 1);
  instructions.writeInt32LE(isKfunc ? callee.kfunc : callee.helper, 4);
  instructions.writeUInt8(0xb7, 8); // r0 = 0
  instructions.writeUInt8(0x95, 16); // exit
  return instructions;
}
