// A line of what `ig debug` tells, and how an error becomes the few words of one.

import { readFileSync } from 'node:fs';
import { type Capability, PermissionError, isSystemError, missingCapabilities } from '../../bpf/errors.js';

/** `info` is of what is neither there nor missing: a version, a setting. */
export type State = 'yes' | 'no' | 'unknown' | 'info';

/** What was found out; `detail` is the value, the place or the reason, and may be empty. */
export interface Verdict {
  readonly state: State;
  readonly detail: string;
}

export interface Row extends Verdict {
  /** What kind of thing it is: `kernel`, `program`, `map`, … */
  readonly group: string;
  /** Its name, unique in the group. */
  readonly what: string;
}

export const yes = (detail = ''): Verdict => ({ state: 'yes', detail });
export const no = (detail: string): Verdict => ({ state: 'no', detail });
export const unknown = (detail: string): Verdict => ({ state: 'unknown', detail });
export const info = (detail: string): Verdict => ({ state: 'info', detail });

/** What is longer says no more. */
const MAX_DETAIL_LENGTH = 1000;

/** Lines of a group from its names. */
export function rowsOf(group: string, verdicts: Readonly<Record<string, Verdict>>): Row[] {
  return Object.entries(verdicts).map(([what, { state, detail }]) => ({
    group,
    what,
    state,
    detail: detail.replace(/\s+/g, ' ').trim().slice(0, MAX_DETAIL_LENGTH),
  }));
}

/** A file's text without the newline at its end; undefined if it cannot be read. */
export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trimEnd();
  } catch {
    return undefined;
  }
}

/**
 * The kernel's refusal: `unknown` if it may only be for want of capabilities, of which some are missing, else `no`
 * with the reason in words. `wanted` are those that would do, where the error does not know better.
 */
export function refusal(error: unknown, wanted?: readonly Capability[]): Verdict {
  const system = isSystemError(error) ? error : (error as { cause?: unknown } | undefined)?.cause;
  const isPermission = isSystemError(system) && ['EPERM', 'EACCES'].includes(system.code);
  if (error instanceof PermissionError || isPermission) {
    const missing = lacking(error, wanted);
    return missing.length > 0 ? unknown(`needs ${missing.join(' and ')}`) : no(REFUSED);
  }
  if (!isSystemError(system)) return unknown(sentence(error));
  return no(system.message.slice(system.message.lastIndexOf(': ') + 2).toLowerCase());
}

const REFUSED = 'refused: operation not permitted, although the process has the capabilities';

function lacking(error: unknown, wanted: readonly Capability[] | undefined): readonly string[] {
  if (wanted === undefined) return error instanceof PermissionError ? error.capabilities : [];
  return missingCapabilities(['CAP_SYS_ADMIN']).length === 0 ? [] : missingCapabilities(wanted);
}

/** What an error says, without the full stop. */
export function sentence(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
}
