// Which kinds of maps can be made here, and what programs may call.

import { type Capability, isSystemError } from '../../bpf/errors.js';
import { type ProbeProgram, kernelTypeIds, probeCall, probeMapType } from '../../bpf/features.js';
import { type Row, type Verdict, no, refusal, rowsOf, unknown, yes } from './row.js';

/** By libbpf's names. */
const MAP_TYPES = [
  'hash',
  'array',
  'percpu_hash',
  'percpu_array',
  'lru_hash',
  'lru_percpu_hash',
  'lpm_trie',
  'perf_event_array',
  'ringbuf',
  'user_ringbuf',
  'stack_trace',
  'queue',
  'stack',
  'bloom_filter',
  'prog_array',
  'array_of_maps',
  'hash_of_maps',
  'cgroup_array',
  'cgroup_storage',
  'cgrp_storage',
  'sk_storage',
  'task_storage',
  'inode_storage',
  'sockmap',
  'sockhash',
] as const;

/** That hold sockets. */
const NETWORK_MAPS: readonly string[] = ['sockmap', 'sockhash'];

export function mapRows(): Row[] {
  const verdicts = MAP_TYPES.map((type): [string, Verdict] => [type, mapVerdict(type)]);
  return rowsOf('map', Object.fromEntries(verdicts));
}

function mapVerdict(type: (typeof MAP_TYPES)[number]): Verdict {
  try {
    probeMapType(type);
    return yes();
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOTSUP') return unknown('libbpf does not know this type');
    if (isSystemError(error) && error.code === 'EINVAL') return no('this kernel does not know this type');
    return refusal(error, NETWORK_MAPS.includes(type) ? ['CAP_BPF', 'CAP_NET_ADMIN'] : ['CAP_BPF']);
  }
}

/** Kinds of programs in which calls are tried; those of kind `tracing` are for a hook that every kernel has. */
const PROGRAMS = {
  raw_tp: { type: 'raw_tracepoint' },
  kprobe: { type: 'kprobe' },
  tp_btf: { type: 'tracing', attachType: 23, of: { kind: 'typedef', name: 'btf_trace_sched_process_exec' } },
  iter: { type: 'tracing', attachType: 28, of: { kind: 'func', name: 'bpf_iter_task' } },
  socket: { type: 'socket_filter' },
} as const;

type ProgramKind = keyof typeof PROGRAMS;

/** Helpers that gadgets use, by enum bpf_func_id (include/uapi/linux/bpf.h), in programs that may call them. */
const HELPERS: Readonly<Record<ProgramKind, Readonly<Record<string, number>>>> = {
  raw_tp: {
    bpf_ktime_get_ns: 5,
    bpf_ktime_get_boot_ns: 125,
    bpf_get_current_pid_tgid: 14,
    bpf_get_current_uid_gid: 15,
    bpf_get_current_comm: 16,
    bpf_get_current_task: 35,
    bpf_get_current_task_btf: 158,
    bpf_get_current_cgroup_id: 80,
    bpf_get_current_ancestor_cgroup_id: 123,
    bpf_get_ns_current_pid_tgid: 120,
    bpf_probe_read_kernel: 113,
    bpf_probe_read_kernel_str: 115,
    bpf_probe_read_user: 112,
    bpf_probe_read_user_str: 114,
    bpf_perf_event_output: 25,
    bpf_ringbuf_output: 130,
    bpf_ringbuf_reserve: 131,
    bpf_ringbuf_submit: 132,
    bpf_ringbuf_query: 134,
    bpf_ringbuf_reserve_dynptr: 198,
    bpf_get_stackid: 27,
    bpf_get_stack: 67,
    bpf_get_task_stack: 141,
    bpf_tail_call: 12,
    bpf_for_each_map_elem: 164,
    bpf_map_lookup_percpu_elem: 195,
    bpf_loop: 181,
    bpf_snprintf: 165,
    bpf_strncmp: 182,
    bpf_task_pt_regs: 175,
    bpf_find_vma: 180,
    bpf_task_storage_get: 156,
    bpf_cgrp_storage_get: 210,
    bpf_send_signal: 109,
  },
  kprobe: { bpf_get_attach_cookie: 174, bpf_get_func_ip: 173, bpf_override_return: 58 },
  tp_btf: { bpf_sk_storage_get: 107, bpf_skb_output: 111 },
  iter: { bpf_d_path: 147 },
  socket: { bpf_get_socket_cookie: 46 },
};

/** Functions of the kernel that are no helpers, but which newer gadgets call: tried in `tp_btf` programs. */
const KFUNCS = [
  'bpf_rcu_read_lock',
  'bpf_task_from_pid',
  'bpf_cgroup_from_id',
  'bpf_task_get_cgroup1',
  'bpf_iter_num_new',
  'bpf_iter_task_vma_new',
  'bpf_copy_from_user_str',
  'bpf_strcmp',
] as const;

const TRACING: readonly Capability[] = ['CAP_BPF', 'CAP_PERFMON'];

/** Helpers and kfuncs. */
export function callRows(): Row[] {
  const ids = typeIds();
  const helpers = Object.entries(HELPERS).flatMap(([kind, numbers]) => {
    const program = programOf(kind as ProgramKind, ids);
    return Object.entries(numbers).map(([name, helper]): [string, Verdict] => [
      name,
      program === undefined ? noBtf() : callVerdict(program, { helper }, kind),
    ]);
  });
  const kfuncs = KFUNCS.map((name): [string, Verdict] => [name, kfuncVerdict(name, ids)]);
  return [...rowsOf('helper', Object.fromEntries(helpers)), ...rowsOf('kfunc', Object.fromEntries(kfuncs))];
}

/** Ids by name in the kernel's BTF; undefined if it has none, or is not readable. */
type TypeIds = ReadonlyMap<string, number> | undefined;

function typeIds(): TypeIds {
  const types = [
    PROGRAMS.tp_btf.of,
    PROGRAMS.iter.of,
    ...KFUNCS.map((name) => ({ kind: 'func', name }) as const),
  ];
  try {
    const ids = kernelTypeIds(types);
    return new Map(types.map(({ name }, i) => [name, ids[i]!]));
  } catch {
    return undefined;
  }
}

function programOf(kind: ProgramKind, ids: TypeIds): ProbeProgram | undefined {
  const program = PROGRAMS[kind];
  if (!('of' in program)) return program;
  const btfId = ids?.get(program.of.name) ?? 0;
  return btfId === 0 ? undefined : { type: program.type, attachType: program.attachType, btfId };
}

function kfuncVerdict(name: (typeof KFUNCS)[number], ids: TypeIds): Verdict {
  const program = programOf('tp_btf', ids);
  if (ids === undefined || program === undefined) return noBtf();
  const kfunc = ids.get(name) ?? 0;
  return kfunc === 0 ? no('this kernel has no such function') : callVerdict(program, { kfunc }, 'tp_btf');
}

function noBtf(): Verdict {
  return unknown('the kernel has no BTF to try it with');
}

function callVerdict(program: ProbeProgram, callee: Parameters<typeof probeCall>[1], kind: string): Verdict {
  try {
    return probeCall(program, callee)
      ? yes(`in ${kind} programs`)
      : no(`not in ${kind} programs of this kernel`);
  } catch (error) {
    const verdict = refusal(error, TRACING);
    // The program it was tried in is refused already.
    return verdict.state === 'no' ? unknown(`${kind} programs: ${verdict.detail}`) : verdict;
  }
}
