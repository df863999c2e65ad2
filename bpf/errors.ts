/** The errors of everything eBPF: what a caller may branch on, and how the kernel's answers become one of them. */
import { readFileSync } from 'node:fs';

/** What the addon throws: a system call's outcome, and libbpf's log where libbpf was asked. */
export interface SystemError extends Error {
  errno: number;
  code: string;
  log?: string;
}

export interface BpfErrorDetail {
  /** The program concerned, by its C function's name. */
  program?: string;
  /** The hook it was for, as in its section: `kprobe/tcp_connect`. */
  hook?: string;
  /** libbpf's log of the failed step, the last MiB, with the verifier's if it spoke. */
  log?: string;
  cause?: unknown;
}

/** Any failure of this room. */
export class BpfError extends Error {
  readonly program: string | undefined;
  readonly hook: string | undefined;
  readonly log: string;

  constructor(message: string, detail: BpfErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = new.target.name;
    this.program = detail.program;
    this.hook = detail.hook;
    this.log = detail.log ?? '';
  }
}

/** The addon is not built or does not fit this machine. */
export class AddonError extends BpfError {}

/** The running kernel lacks what the program needs; `option` names the kernel option that brings it, if known. */
export class NotSupportedByKernelError extends BpfError {
  readonly option: string | undefined;

  constructor(message: string, detail: BpfErrorDetail & { option?: string } = {}) {
    super(message, detail);
    this.option = detail.option;
  }
}

/** The kernel refused for want of privilege; `capabilities` are those that would do and are missing here. */
export class PermissionError extends BpfError {
  readonly capabilities: readonly string[];

  constructor(message: string, detail: BpfErrorDetail & { capabilities?: readonly string[] } = {}) {
    super(message, detail);
    this.capabilities = detail.capabilities ?? [];
  }
}

/** The kernel's verifier refused a program; `log` holds everything it said. */
export class VerifierError extends BpfError {}

/** No way to attach programs of this section yet. */
export class UnsupportedAttachError extends BpfError {}

/** The hook's name, or what the caller gave in its place, makes no sense. */
export class InvalidTargetError extends BpfError {}

/** Bytes that are not BTF, or BTF that contradicts itself. */
export class BtfError extends BpfError {}

/** An ELF file is none, is cut off, or is larger than any compiler makes. */
export class ElfError extends BpfError {}

export function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && typeof (error as Partial<SystemError>).errno === 'number';
}

/** Linux capability numbers, include/uapi/linux/capability.h. */
const CAPABILITY_BITS = {
  CAP_NET_ADMIN: 12n,
  CAP_NET_RAW: 13n,
  CAP_SYS_PTRACE: 19n,
  CAP_SYS_ADMIN: 21n,
  CAP_SYS_RESOURCE: 24n,
  CAP_PERFMON: 38n,
  CAP_BPF: 39n,
} as const;

export type Capability = keyof typeof CAPABILITY_BITS;

/** Those of `wanted` that this process lacks. */
export function missingCapabilities(wanted: readonly Capability[]): Capability[] {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/thread-self/status', 'latin1'))?.[1];
  const held = BigInt(`0x${effective ?? '0'}`);
  return wanted.filter((name) => ((held >> CAPABILITY_BITS[name]) & 1n) === 0n);
}

/** The refusal of `what` ("loading the program x"), saying which capability would have allowed it. */
export function permissionError(
  what: string,
  wanted: readonly Capability[],
  detail: BpfErrorDetail,
): PermissionError {
  const missing = missingCapabilities(['CAP_SYS_ADMIN']).length === 0 ? [] : missingCapabilities(wanted);
  const remedy =
    missing.length > 0
      ? `this process lacks ${missing.join(' and ')}: run as root or grant it`
      : 'although this process has the capabilities: look for seccomp, kernel lockdown or kernel.perf_event_paranoid';
  return new PermissionError(`The kernel refused ${what}; ${remedy}.`, { ...detail, capabilities: missing });
}

const LAST_LINES = 3;

/** What `load` met, from libbpf's errno and log. */
export function loadError(
  cause: SystemError,
  objectName: string,
  sectionOf: (program: string) => string,
): BpfError {
  const log = cause.log ?? '';
  const program =
    /prog '([^']+)': failed to load: /.exec(log)?.[1] ?? /prog '([^']+)': failed to /.exec(log)?.[1];
  const hook = program === undefined ? undefined : sectionOf(program);
  const detail: BpfErrorDetail = {
    log,
    cause,
    ...(program !== undefined && { program }),
    ...(hook !== undefined && { hook }),
  };
  const what = program === undefined ? `eBPF object ${objectName}` : `program ${program} (${hook ?? ''})`;

  // Before what the verifier said until then, which no longer means anything.
  if (cause.code === 'EAGAIN')
    return new BpfError(`Loading ${what} was interrupted several times; try again.`, detail);
  const helper = /invalid func unknown#(\d+)/.exec(log)?.[1];
  if (helper !== undefined)
    return new NotSupportedByKernelError(
      `The kernel has no eBPF helper ${helper}, which ${what} needs: it is too old for this program.`,
      detail,
    );
  const verifier = verifierLines(log);
  if (verifier.length > 0) {
    const said = verifier.slice(-LAST_LINES).join('; ');
    return new VerifierError(`The kernel's verifier refused ${what}: ${said}.`, detail);
  }
  const noTarget = /failed to find kernel BTF type ID of '([^']+)'/.exec(log)?.[1];
  if (noTarget !== undefined)
    return new NotSupportedByKernelError(`The kernel has no hook ${noTarget}, which ${what} needs.`, detail);
  if (/failed to find valid kernel BTF|kernel BTF is missing|Error loading vmlinux BTF/.test(log)) {
    const message = `The kernel has no BTF type information, which ${what} needs: it must be built with CONFIG_DEBUG_INFO_BTF.`;
    return new NotSupportedByKernelError(message, { ...detail, option: 'CONFIG_DEBUG_INFO_BTF' });
  }
  if (cause.code === 'EPERM' || cause.code === 'EACCES')
    return permissionError(`to load ${what}`, ['CAP_BPF', 'CAP_PERFMON'], detail);
  const map = /map '([^']+)': failed to create: /.exec(log)?.[1];
  if (map !== undefined)
    return new BpfError(
      `The kernel refused to create map ${map} of ${objectName}: ${lastWarning(log)}.`,
      detail,
    );
  if (program !== undefined && cause.code === 'EINVAL')
    return new NotSupportedByKernelError(`The kernel does not know this kind of program: ${what}.`, detail);
  return new BpfError(`Cannot load ${what}: ${lastWarning(log) || cause.message}.`, detail);
}

/** The verifier's own lines, without the closing statistics. */
function verifierLines(log: string): string[] {
  const end = log.lastIndexOf('-- END PROG LOAD LOG --');
  if (end < 0) return [];
  const begin = log.lastIndexOf('-- BEGIN PROG LOAD LOG --', end);
  const text = log.slice(begin < 0 ? 0 : log.indexOf('\n', begin), log.lastIndexOf('\n', end));
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(
      (line) => line !== '' && !/^(processed \d+ insns|verification time|stack depth|libbpf: )/.test(line),
    );
}

/** libbpf's last message that says more than that loading failed. */
export function lastWarning(log: string): string {
  const lines = log
    .split('\n')
    .filter(
      (line) =>
        line.startsWith('libbpf: ') &&
        !/failed to load object|: failed to load: |failed to perform CO-RE relocations/.test(line),
    );
  return (lines.at(-1) ?? '').replace(/^libbpf: /, '').trim();
}
