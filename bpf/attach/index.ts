/** Attaches a program by what its section says: one table from section names to attach kinds. */
import {
  BpfError,
  isSystemError,
  lastWarning,
  NotSupportedByKernelError,
  permissionError,
  UnsupportedAttachError,
  type SystemError,
} from '../errors.js';
import { Link } from '../link.js';
import type { NativeObject } from '../native.js';
import { cgroup } from './cgroup.js';
import { generic } from './generic.js';
import { iter } from './iter.js';
import type { AttachKind, AttachOptions, AttachRequest } from './kind.js';
import { kprobe } from './kprobe.js';
import { kprobeMulti } from './kprobe_multi.js';
import { ksyscall } from './ksyscall.js';
import { perfEvent } from './perf_event.js';
import { rawTracepoint } from './raw_tracepoint.js';
import { socket } from './socket.js';
import { tc } from './tc.js';
import { tracepoint } from './tracepoint.js';
import { tracing } from './tracing.js';
import { uprobe } from './uprobe.js';

export type { AttachOptions } from './kind.js';

const KINDS: Readonly<Record<string, AttachKind>> = {
  tracepoint,
  tp: tracepoint,
  raw_tracepoint: rawTracepoint,
  raw_tp: rawTracepoint,
  tp_btf: tracing,
  fentry: tracing,
  fexit: tracing,
  fmod_ret: tracing,
  lsm: tracing,
  kprobe,
  kretprobe: kprobe,
  uprobe,
  uretprobe: uprobe,
  perf_event: perfEvent,
  iter,
  ksyscall,
  kretsyscall: ksyscall,
  'kprobe.multi': kprobeMulti,
  'kretprobe.multi': kprobeMulti,
  cgroup,
  cgroup_skb: cgroup,
  sockops: cgroup,
  classifier: tc,
  tc,
  tcx: tc,
  socket,
  socket1: socket,
  usdt: generic,
  freplace: generic,
};

/** `?raw_tp.w/x` → kind `raw_tp`, target `x`. The marks: optional (`?`), sleepable (`.s`), writable (`.w`). */
export function parseSection(section: string): { kind: string; target: string } {
  const slash = section.indexOf('/');
  const name = slash < 0 ? section : section.slice(0, slash);
  return {
    kind: name.replace(/^\?/, '').replace(/\.[sw]$/, ''),
    target: slash < 0 ? '' : section.slice(slash + 1),
  };
}

export function attachKindOf(section: string): AttachKind | undefined {
  const { kind } = parseSection(section);
  return Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
}

interface AttachableProgram {
  readonly name: string;
  readonly section: string;
}

/** See `Program.attach`. `onClose` hears of the link's end. */
export function attach(
  native: NativeObject,
  program: AttachableProgram,
  options: AttachOptions,
  onClose: (link: Link) => void,
): Link {
  const { kind, target: sectionTarget } = parseSection(program.section);
  const target = options.target ?? sectionTarget;
  const hook = target === '' ? kind : `${kind}/${target}`;
  const attacher = attachKindOf(program.section);
  if (attacher === undefined)
    throw new UnsupportedAttachError(
      `Cannot attach program ${program.name}: no way to attach ${program.section} yet.`,
      {
        program: program.name,
        hook,
      },
    );
  const request: AttachRequest = { native, program: program.name, kind, target, sectionTarget, options };
  try {
    return new Link(program.name, hook, attacher.attach(request), onClose);
  } catch (error) {
    throw isSystemError(error) ? attachError(error, attacher, request, hook) : error;
  }
}

function attachError(
  cause: SystemError,
  attacher: AttachKind,
  request: AttachRequest,
  hook: string,
): BpfError {
  const { program } = request;
  const log = cause.log ?? '';
  const detail = { program, hook, log, cause };
  const missing = attacher.missing?.(request, cause.code);
  if (missing !== undefined) {
    const option = missing.option === undefined ? '' : ` (${missing.option})`;
    const message = `Cannot attach program ${program} to ${hook}: ${missing.why}${option}.`;
    return new NotSupportedByKernelError(message, {
      ...detail,
      ...(missing.option !== undefined && { option: missing.option }),
    });
  }
  if (cause.code === 'EPERM' || cause.code === 'EACCES')
    return permissionError(`to attach program ${program} to ${hook}`, attacher.capabilities, detail);
  if (attacher === generic && cause.code === 'ENOTSUP')
    return new UnsupportedAttachError(
      `Cannot attach program ${program}: no way to attach ${hook} yet.`,
      detail,
    );
  if (cause.code === 'EEXIST')
    return new BpfError(`Program ${program} is already attached to ${hook}.`, detail);
  return new BpfError(
    `Cannot attach program ${program} to ${hook}: ${lastWarning(log) || cause.message}.`,
    detail,
  );
}
