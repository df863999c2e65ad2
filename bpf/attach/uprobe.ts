/** Functions of programs and libraries (`uprobe/PATH:SYMBOL+OFFSET`, `uretprobe/…`), in one process or all. */
import { existsSync } from 'node:fs';
import { InvalidTargetError } from '../errors.js';
import type { AttachKind } from './kind.js';

/** PATH:OFFSET or PATH:SYMBOL or PATH:SYMBOL+OFFSET. */
const TARGET =
  /^(?<path>.+):(?:(?<at>0x[0-9a-fA-F]+|\d+)|(?<symbol>[^:+]+)(?:\+(?<plus>0x[0-9a-fA-F]+|\d+))?)$/;

export const uprobe: AttachKind = {
  capabilities: ['CAP_PERFMON'],
  attach({ native, program, kind, target, options }) {
    const { path, at, symbol, plus } = TARGET.exec(target)?.groups ?? {};
    if (path === undefined)
      throw new InvalidTargetError(
        `Program ${program} names the function "${target}": it must be PATH:SYMBOL or PATH:OFFSET.`,
        { program },
      );
    const isReturn = kind.startsWith('uret');
    const offset = Number(at ?? plus ?? 0);
    return [native.attachUprobe(program, isReturn, options.pid ?? -1, path, symbol ?? '', offset)];
  },
  missing() {
    return existsSync('/sys/bus/event_source/devices/uprobe')
      ? undefined
      : { why: 'the kernel is built without uprobes', option: 'CONFIG_UPROBE_EVENTS' };
  },
};
