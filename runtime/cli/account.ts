// The last line of a run: what was delivered and what was lost, by cause.

import type { Counter, Counts } from '../pipeline/control.js';
import type { Account } from '../session.js';

const CAUSES: Partial<Record<Counter, string>> = {
  lostGuest: 'Wasm module failed',
  lostUnnamed: 'container not known in time',
  lostOutput: 'output not read',
  lostTooLarge: 'record too large',
};

/** The line to print; undefined when nothing was lost, unless `always`. */
export function accountLine({ counts, kernelLosses }: Account, always: boolean): string | undefined {
  const losses = [...kernelLosses, ...userLosses(counts)].filter(([, count]) => count > 0);
  if (losses.length === 0 && !always) return undefined;
  const filtered = counts.filtered > 0 ? `, ${counts.filtered} filtered out` : '';
  const lost = losses.reduce((sum, [, count]) => sum + count, 0);
  const causes = losses.map(([cause, count]) => `${count} ${cause}`).join(', ');
  return `${counts.delivered} events delivered${filtered}, ${lost} lost${causes === '' ? '' : ` (${causes})`}`;
}

function userLosses(counts: Counts): [string, number][] {
  return Object.entries(CAUSES).map(([counter, cause]) => [cause, counts[counter as Counter]]);
}
