/** Kernel functions (`kprobe/FUNCTION+OFFSET`, `kretprobe/FUNCTION`). */
import { existsSync, readFileSync } from 'node:fs';
import { InvalidTargetError } from '../errors.js';
import type { AttachKind } from './kind.js';

export const kprobe: AttachKind = {
  capabilities: ['CAP_PERFMON'],
  attach({ native, program, kind, target }) {
    const [, symbol, offset] = /^([\w.$]+)(?:\+(0x[0-9a-fA-F]+|\d+))?$/.exec(target) ?? [];
    const isReturn = kind.startsWith('kret');
    if (symbol === undefined || (isReturn && offset !== undefined))
      throw new InvalidTargetError(
        `Program ${program} names the kernel function "${target}", which is not one.`,
        {
          program,
        },
      );
    return [native.attachKprobe(program, isReturn, symbol, Number(offset ?? 0))];
  },
  missing({ target }, code) {
    const lacking = kprobesLacking();
    if (lacking !== undefined) return lacking;
    const symbol = target.replace(/\+.*/, '');
    if (code === 'ENOENT' && !isKernelSymbol(symbol)) return { why: `the kernel has no function ${symbol}` };
    if (code === 'ENOENT' || code === 'EINVAL' || code === 'EADDRNOTAVAIL')
      return { why: `the kernel lets no one probe ${target}` };
    return undefined;
  },
};

/** Why no kprobe can be, if none can. */
export function kprobesLacking(): { why: string; option: string } | undefined {
  // The kprobe PMU is there since Linux 4.17 wherever kprobe events are.
  return existsSync('/sys/bus/event_source/devices/kprobe')
    ? undefined
    : { why: 'the kernel is built without kprobes', option: 'CONFIG_KPROBE_EVENTS' };
}

/** Whether the kernel, modules included, has a function of that name. */
export function isKernelSymbol(symbol: string): boolean {
  return new RegExp(`^\\S+ [tTwW] ${symbol.replace(/[.$]/g, '\\$&')}(\\s|$)`, 'm').test(
    readFileSync('/proc/kallsyms', 'latin1'),
  );
}
