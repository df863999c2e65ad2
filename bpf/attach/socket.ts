/** Packets of all interfaces of this network namespace, in and out (`socket`), as a packet socket gets them. */
import { InvalidTargetError } from '../errors.js';
import type { AttachKind } from './kind.js';

export const socket: AttachKind = {
  capabilities: ['CAP_NET_RAW'],
  attach({ native, program, options }) {
    if (options.target !== undefined)
      throw new InvalidTargetError(`Program ${program} sees all interfaces, and cannot be attached to one.`, {
        program,
      });
    return [native.attachSocket(program)];
  },
  missing: (_, code) =>
    code === 'EAFNOSUPPORT'
      ? { why: 'the kernel has no packet sockets', option: 'CONFIG_PACKET' }
      : undefined,
};
