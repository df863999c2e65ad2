/** Iterators (`iter/task`, `iter/tcp`, …): the program runs for each object of a kind when its link is read. */
import type { AttachKind } from './kind.js';

export const iter: AttachKind = {
  capabilities: ['CAP_PERFMON'],
  attach: ({ native, program, options }) => [native.attachIter(program, options.mapFd ?? -1)],
};
