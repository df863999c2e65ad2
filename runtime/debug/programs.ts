// Which kinds of eBPF programs load here and can be attached, found out by doing so for a moment.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type AttachOptions,
  BpfError,
  type Capability,
  NotSupportedByKernelError,
  ObjectSpec,
  VerifierError,
} from '../../bpf/index.js';
import { harmlessUprobeTarget } from '../../bpf/features.js';
import { type Row, type Verdict, no, refusal, rowsOf, unknown, yes } from './row.js';

interface Probe {
  /** As sections name it. */
  readonly kind: string;
  /** In hooks.bpf.c. */
  readonly program: string;
  /** How it is attached; left out, it is only loaded. */
  readonly attach?: () => AttachOptions;
  readonly capabilities?: readonly Capability[];
}

const asItSays = (): AttachOptions => ({});
const inThisProcess = (): AttachOptions => ({ target: harmlessUprobeTarget(), pid: process.pid });

const TRACING: readonly Capability[] = ['CAP_BPF', 'CAP_PERFMON'];
const NETWORK: readonly Capability[] = ['CAP_BPF', 'CAP_NET_ADMIN'];

const PROBES: readonly Probe[] = [
  { kind: 'tracepoint', program: 'on_tracepoint', attach: asItSays },
  { kind: 'raw_tp', program: 'on_raw_tp', attach: asItSays },
  { kind: 'tp_btf', program: 'on_tp_btf', attach: asItSays },
  { kind: 'kprobe', program: 'on_kprobe', attach: asItSays },
  { kind: 'kretprobe', program: 'on_kretprobe', attach: asItSays },
  { kind: 'kprobe.multi', program: 'on_kprobe_multi', attach: asItSays },
  { kind: 'fentry', program: 'on_fentry', attach: asItSays },
  { kind: 'fexit', program: 'on_fexit', attach: asItSays },
  { kind: 'fmod_ret', program: 'on_fmod_ret', attach: asItSays },
  { kind: 'lsm', program: 'on_lsm', attach: asItSays },
  { kind: 'iter', program: 'on_iter', attach: asItSays },
  { kind: 'uprobe', program: 'on_uprobe', attach: inThisProcess },
  { kind: 'uretprobe', program: 'on_uretprobe', attach: inThisProcess },
  { kind: 'perf_event', program: 'on_perf_event', attach: () => ({ frequencyHz: 1 }) },
  { kind: 'tc', program: 'on_tc', attach: () => ({ target: 'lo' }), capabilities: NETWORK },
  { kind: 'socket', program: 'on_socket', capabilities: ['CAP_BPF'] },
  { kind: 'xdp', program: 'on_xdp', capabilities: NETWORK },
  { kind: 'cgroup_skb', program: 'on_cgroup_skb', capabilities: NETWORK },
  { kind: 'cgroup/sock_create', program: 'on_cgroup_sock', capabilities: NETWORK },
  { kind: 'cgroup/connect4', program: 'on_cgroup_connect', capabilities: NETWORK },
  { kind: 'cgroup/dev', program: 'on_cgroup_device', capabilities: NETWORK },
  { kind: 'cgroup/sysctl', program: 'on_cgroup_sysctl', capabilities: NETWORK },
  { kind: 'cgroup/getsockopt', program: 'on_cgroup_sockopt', capabilities: NETWORK },
  { kind: 'sockops', program: 'on_sockops', capabilities: NETWORK },
  { kind: 'sk_msg', program: 'on_sk_msg', capabilities: NETWORK },
  { kind: 'sk_skb', program: 'on_sk_skb', capabilities: NETWORK },
  { kind: 'sk_lookup', program: 'on_sk_lookup', capabilities: NETWORK },
];

/** A line per kind of program, by the name that sections have for it. */
export async function programRows(): Promise<Row[]> {
  const elf = probeObject();
  const verdicts: Record<string, Verdict> = {};
  for (const probe of PROBES) verdicts[probe.kind] = await verdictOf(elf, probe);
  verdicts['usdt'] = usdt(verdicts['uprobe']!);
  return rowsOf('program', verdicts);
}

/** In dist/, and seen from the sources; in that order. */
const PLACES = ['hooks.bpf.o', '../../dist/runtime/debug/hooks.bpf.o'];

function probeObject(): Uint8Array {
  const here = dirname(fileURLToPath(import.meta.url));
  const path = PLACES.map((place) => join(here, place)).find((place) => existsSync(place));
  if (path === undefined) throw new BpfError(`${join(here, 'hooks.bpf.o')} is missing: run "make build".`);
  return readFileSync(path);
}

async function verdictOf(
  elf: Uint8Array,
  { program, attach, capabilities = TRACING }: Probe,
): Promise<Verdict> {
  const spec = ObjectSpec.open(elf, 'ig_debug');
  for (const { name } of spec.programs) spec.setAutoload(name, name === program);
  let loaded;
  try {
    loaded = await spec.load();
  } catch (error) {
    return loadVerdict(error, capabilities);
  }
  try {
    if (attach === undefined) return yes('loads; attaching was not tried');
    loaded.program(program).attach(attach());
    return yes('loads and attaches');
  } catch (error) {
    return attachVerdict(error);
  } finally {
    loaded.close();
  }
}

function loadVerdict(error: unknown, capabilities: readonly Capability[]): Verdict {
  if (error instanceof VerifierError)
    return no(lastLine(error.log) ?? 'the verifier refuses an empty program');
  if (error instanceof NotSupportedByKernelError) {
    if (error.option !== undefined) return no(`needs ${error.option}`);
    if (/has no hook/.test(error.message)) return unknown('the kernel has no function or hook to try it on');
    return no('this kernel does not know such programs');
  }
  return refusal(error, capabilities);
}

/** The kernel may refuse a type by a line of the verifier's log, such as one of a missing trampoline. */
function lastLine(log: string): string | undefined {
  const end = log.lastIndexOf('-- END PROG LOAD LOG --');
  const lines = log.slice(0, Math.max(end, 0)).split('\n');
  return lines
    .map((line) => line.trim())
    .findLast((line) => line !== '' && !/^(processed|libbpf:)/.test(line));
}

function attachVerdict(error: unknown): Verdict {
  if (!(error instanceof NotSupportedByKernelError)) {
    const { state, detail } = refusal(error);
    return { state, detail: state === 'no' ? `loads, but does not attach: ${detail}` : detail };
  }
  // "Cannot attach program NAME to HOOK: WHY (OPTION)."
  const why = /^[^:]*?: (.*?)\.?$/s.exec(error.message)?.[1] ?? error.message;
  return no(`loads, but does not attach: ${why}`);
}

const UPROBE_FORMAT = '/sys/bus/event_source/devices/uprobe/format';

/** A USDT probe is a uprobe; where a counter switches it on, the kernel has to count. */
function usdt(uprobe: Verdict): Verdict {
  if (uprobe.state !== 'yes') return uprobe;
  const counts = existsSync(join(UPROBE_FORMAT, 'ref_ctr_offset'));
  return yes(counts ? 'as uprobe' : 'as uprobe; not those that a semaphore switches on');
}
