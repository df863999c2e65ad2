/** Tracepoints (`tracepoint/CATEGORY/NAME`): a perf event of the tracepoint's id, which only tracefs knows. */
import { closeSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  BpfError,
  InvalidTargetError,
  NotSupportedByKernelError,
  PermissionError,
  missingCapabilities,
} from '../errors.js';
import { native } from '../native.js';
import type { AttachKind } from './kind.js';

/** enum perf_type_id, include/uapi/linux/perf_event.h. */
const PERF_TYPE_TRACEPOINT = 2;

const MOUNTED = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];

export const tracepoint: AttachKind = {
  capabilities: ['CAP_PERFMON'],
  attach({ native, program, target }) {
    if (!/^[\w.-]+\/[\w.-]+$/.test(target) || target.includes('..'))
      throw new InvalidTargetError(
        `Program ${program} names the tracepoint "${target}": it must be CATEGORY/NAME.`,
        {
          program,
        },
      );
    const id = tracepointId(target);
    if (id === undefined)
      throw new NotSupportedByKernelError(
        `Cannot attach program ${program} to tracepoint/${target}: the kernel has no tracepoint ${target}.`,
        { program, hook: `tracepoint/${target}` },
      );
    // The tracepoint's program runs for every CPU, whichever the event is opened on.
    return [native.attachPerfEvent(program, PERF_TYPE_TRACEPOINT, id, 0, 0)];
  },
};

/**
 * The id of `CATEGORY/NAME`; undefined if this kernel has no such tracepoint. Throws {@link PermissionError} or
 * {@link BpfError} where no tracefs is mounted and none can be.
 */
export function tracepointId(target: string): number | undefined {
  const id = readTracepointFile(target, 'id');
  return id === undefined ? undefined : Number.parseInt(id, 10);
}

/**
 * What tracefs says of the tracepoint `CATEGORY/NAME` in a file: `id`, `format`. Undefined if this kernel has no such
 * tracepoint. Throws BpfError where there is no tracefs and none can be mounted.
 */
export function readTracepointFile(target: string, file: 'id' | 'format'): string | undefined {
  const mounted = MOUNTED.find((path) => existsSync(join(path, 'events')));
  if (mounted !== undefined) return readBelow(mounted, target, file);
  // Minimal systems mount no tracefs. One of our own, which no one else sees, needs no change to the machine.
  const fd = mountTracefs(target);
  try {
    return readBelow(`/proc/self/fd/${fd}`, target, file);
  } finally {
    closeSync(fd);
  }
}

function mountTracefs(target: string): number {
  try {
    return native().mountDetached('tracefs');
  } catch (cause) {
    const capabilities = missingCapabilities(['CAP_SYS_ADMIN']);
    const remedy =
      capabilities.length > 0 ? `; mount it, or give this process ${capabilities.join()}` : '; mount it';
    const message = `Tracepoint ${target} cannot be looked up, as no tracefs is mounted at ${MOUNTED[0]}${remedy}.`;
    const detail = { cause, hook: `tracepoint/${target}` };
    throw capabilities.length > 0
      ? new PermissionError(message, { ...detail, capabilities })
      : new BpfError(message, detail);
  }
}

function readBelow(tracefs: string, target: string, file: string): string | undefined {
  const path = join(tracefs, 'events', target, file);
  return existsSync(path) ? readFileSync(path, 'latin1') : undefined;
}
