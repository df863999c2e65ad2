/**
 * Packets of a network interface (`classifier/ingress/NAME`, `tc/egress`, …; ingress where the section does not say).
 * By links of tcx, as they go with their process; a filter of a clsact qdisc, which older kernels have, would stay.
 */
import { InvalidTargetError } from '../errors.js';
import type { AttachKind } from './kind.js';

export const tc: AttachKind = {
  capabilities: ['CAP_NET_ADMIN'],
  attach({ native, program, sectionTarget, options }) {
    const direction = sectionTarget.split('/')[0];
    if (direction !== '' && direction !== 'ingress' && direction !== 'egress')
      throw new InvalidTargetError(
        `Program ${program} is for the direction "${direction}": it must be ingress or egress.`,
        { program },
      );
    if (options.target === undefined)
      throw new InvalidTargetError(
        `Program ${program} can only be attached to a network interface that is named: attach_to in gadget.yaml.`,
        { program },
      );
    return [native.attachTcx(program, direction === 'egress', options.target)];
  },
  missing({ target }, code) {
    if (code === 'ENODEV') return { why: `there is no network interface ${target}` };
    // Unknown to the kernel, or known and left out.
    return code === 'EINVAL'
      ? {
          why: 'the kernel has no links for network interfaces, as Linux 6.6 has',
          option: 'CONFIG_NET_XGRESS',
        }
      : undefined;
  },
};
