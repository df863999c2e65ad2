/** Kinds that libbpf attaches by itself, from the section alone. */
import { InvalidTargetError } from '../errors.js';
import type { AttachKind } from './kind.js';

export const generic: AttachKind = {
  capabilities: ['CAP_PERFMON', 'CAP_NET_ADMIN'],
  attach({ native, program, kind, options }) {
    if (options.target !== undefined)
      throw new InvalidTargetError(
        `Program ${program} (${kind}) is attached where its section says, not elsewhere.`,
        {
          program,
        },
      );
    return [native.attach(program)];
  },
};
