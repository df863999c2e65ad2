// What this process may do: user, capabilities, namespaces, limits.

import { readlinkSync } from 'node:fs';
import { type Capability, missingCapabilities } from '../../bpf/errors.js';
import { type Row, type Verdict, info, no, rowsOf, textOf, unknown, yes } from './row.js';

/** What each is for, in the words of docs/operate.md. */
const CAPABILITIES: Readonly<Partial<Record<Capability, string>>> = {
  CAP_BPF: 'every gadget needs it',
  CAP_PERFMON: 'every gadget needs it',
  CAP_SYS_ADMIN: 'for tracepoints where tracefs is not mounted or not readable',
  CAP_NET_ADMIN: 'for programs on sockets, interfaces and cgroups',
  CAP_SYS_PTRACE: 'for containers of others that run already',
  CAP_SYS_RESOURCE: 'before Linux 5.11, to raise the limit of locked memory',
};

/** Numbers of the first namespaces, enum in include/linux/proc_ns.h. */
const FIRST_NAMESPACES = { user: 0xeffffffd, pid: 0xeffffffc, cgroup: 0xeffffffb } as const;

export function processRows(): Row[] {
  const status = textOf('/proc/self/status') ?? '';
  const line = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';
  return rowsOf('process', {
    user: info(`uid ${process.geteuid?.() ?? '?'}, gid ${process.getegid?.() ?? '?'}`),
    ...capabilities(line('CapEff')),
    seccomp: seccomp(line('Seccomp')),
    ...Object.fromEntries(
      Object.entries(FIRST_NAMESPACES).map(([kind, first]) => [
        `host's ${kind} namespace`,
        inFirst(kind, first),
      ]),
    ),
    'locked memory': limit('Max locked memory', 'bytes'),
    'open files': limit('Max open files', ''),
  });
}

function capabilities(effective: string): Record<string, Verdict> {
  const all = Object.keys(CAPABILITIES) as Capability[];
  const missing = new Set(missingCapabilities(all));
  const verdicts = all.map((name): [string, Verdict] => [
    name,
    missing.has(name) ? no(CAPABILITIES[name]!) : yes(),
  ]);
  return { 'effective capabilities': info(`0x${effective}`), ...Object.fromEntries(verdicts) };
}

/** 0: none, 1: strict, 2: a filter (proc(5)). */
function seccomp(mode: string): Verdict {
  if (mode === '') return unknown('the kernel does not say');
  return mode === '0'
    ? no('no filter of system calls')
    : yes('its filter may refuse bpf() and perf_event_open()');
}

function inFirst(kind: string, first: number): Verdict {
  try {
    const id = Number(/\[(\d+)\]/.exec(readlinkSync(`/proc/self/ns/${kind}`))?.[1]);
    return id === first ? yes() : no(`another one, ${id}`);
  } catch {
    return unknown(`/proc/self/ns/${kind} is not readable`);
  }
}

/** The soft limit, as in /proc/self/limits. */
function limit(name: string, unit: string): Verdict {
  const soft = new RegExp(`^${name}\\s+(\\S+)`, 'm').exec(textOf('/proc/self/limits') ?? '')?.[1];
  if (soft === undefined) return unknown('/proc/self/limits does not say');
  return info(soft === 'unlimited' ? soft : `${soft} ${unit}`.trim());
}
