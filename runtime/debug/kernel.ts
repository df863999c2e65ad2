// What runs here: versions, the kernel, its types, and the settings that restrict eBPF.

import { readdirSync, statSync } from 'node:fs';
import { arch, release, version } from 'node:os';
import { KERNEL_BTF_PATH, libbpfVersion, securityFile } from '../../bpf/features.js';
import { type Row, type Verdict, info, no, rowsOf, sentence, textOf, unknown, yes } from './row.js';

const NOT_READABLE = 'securityfs is not mounted or not readable, or has no such file';

/** `igVersion` is that of this program, such as `0.1.0`. */
export function versionRows(igVersion: string): Row[] {
  return rowsOf('ig', {
    version: info(`v${igVersion}`),
    node: info(`${process.version}, ${arch()}`),
    libbpf: libbpf(),
  });
}

function libbpf(): Verdict {
  try {
    return info(libbpfVersion());
  } catch (error) {
    return no(sentence(error));
  }
}

export function kernelRows(): Row[] {
  return rowsOf('kernel', {
    release: info(`${release()} ${version()}`),
    distribution: info(distribution()),
    container: inContainer(),
    'virtual machine': inVirtualMachine(),
    BTF: kernelBtf(),
    'BTF of modules': moduleBtf(),
  });
}

function distribution(): string {
  const text = textOf('/etc/os-release') ?? textOf('/usr/lib/os-release') ?? '';
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(text)?.[1] ?? 'unknown';
}

/** By what engines leave in the root of their containers, and systemd in its own. */
function inContainer(): Verdict {
  for (const [path, name] of [
    ['/.dockerenv', 'docker'],
    ['/run/.containerenv', 'podman'],
  ] as const) {
    if (textOf(path) !== undefined) return yes(`${name}: ${path}`);
  }
  const said = textOf('/run/systemd/container') ?? process.env['container'] ?? '';
  if (said !== '') return yes(said);
  return process.env['KUBERNETES_SERVICE_HOST'] === undefined ? no('no sign of one') : yes('a pod');
}

function inVirtualMachine(): Verdict {
  const dmi = ['sys_vendor', 'product_name'].map((name) => textOf(`/sys/class/dmi/id/${name}`) ?? '');
  const name = dmi.filter((text) => text !== '').join(' ');
  if (/^flags\s*:.* hypervisor\b/m.test(textOf('/proc/cpuinfo') ?? ''))
    return yes(name === '' ? 'the processor says so' : name);
  return name === '' ? unknown('the machine does not say') : no(name);
}

function kernelBtf(): Verdict {
  try {
    return yes(`${KERNEL_BTF_PATH}, ${statSync(KERNEL_BTF_PATH).size} bytes`);
  } catch {
    return no(`${KERNEL_BTF_PATH} is not there: built without CONFIG_DEBUG_INFO_BTF`);
  }
}

function moduleBtf(): Verdict {
  try {
    const modules = readdirSync('/sys/kernel/btf').filter((name) => name !== 'vmlinux');
    return modules.length > 0 ? yes(`of ${modules.length}`) : no('no loaded module has any');
  } catch {
    return no('/sys/kernel/btf is not there');
  }
}

export function securityRows(): Row[] {
  const modules = securityFile('lsm');
  const hidden = unknown(NOT_READABLE);
  return rowsOf('security', {
    'security modules': modules === undefined ? hidden : info(modules),
    'bpf among them':
      modules === undefined
        ? hidden
        : modules.split(',').includes('bpf')
          ? yes()
          : no('lsm programs load, but never run: add bpf to the kernel parameter lsm='),
    lockdown: lockdown(),
    'unprivileged eBPF': unprivileged(),
    'kernel.perf_event_paranoid': setting('/proc/sys/kernel/perf_event_paranoid'),
    'kernel.kptr_restrict': setting('/proc/sys/kernel/kptr_restrict'),
    'net.core.bpf_jit_enable': setting('/proc/sys/net/core/bpf_jit_enable'),
    'net.core.bpf_jit_harden': setting('/proc/sys/net/core/bpf_jit_harden'),
  });
}

/** `none [integrity] confidentiality`: the one in brackets is in force. */
function lockdown(): Verdict {
  const text = securityFile('lockdown');
  if (text === undefined) return unknown(NOT_READABLE);
  const level = /\[(\w+)\]/.exec(text)?.[1] ?? text;
  return level === 'none' ? no('none') : yes(level);
}

function unprivileged(): Verdict {
  const value = textOf('/proc/sys/kernel/unprivileged_bpf_disabled');
  if (value === undefined) return unknown('kernel.unprivileged_bpf_disabled is not there');
  return value === '0' ? yes() : no(`kernel.unprivileged_bpf_disabled is ${value}`);
}

function setting(path: string): Verdict {
  const value = textOf(path);
  return value === undefined ? unknown('not there, or not readable') : info(value);
}
