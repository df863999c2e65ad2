/** Raw tracepoints (`raw_tracepoint/NAME`): the tracepoint's own arguments, without tracefs. */
import type { AttachKind } from './kind.js';

export const rawTracepoint: AttachKind = {
  capabilities: ['CAP_PERFMON'],
  attach: ({ native, program, target }) => [native.attachRawTracepoint(program, target)],
  missing: ({ target }, code) =>
    code === 'ENOENT' ? { why: `the kernel has no tracepoint ${target}` } : undefined,
};
