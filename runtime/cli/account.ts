// The last lines of a run: what was delivered and what was lost, by cause.

import { HASH_FAILURES, type HashFailure } from '../hashing/file.js';
import { MAX_FILE_BYTES } from '../hashing/open-file.js';
import type { Counter } from '../pipeline/control.js';
import type { HeldBackOf } from '../held-back.js';
import type { Account } from '../session.js';

const CAUSES: Partial<Record<Counter, string>> = {
  lostGuest: 'Wasm module failed',
  lostUnnamed: 'container not known in time',
  lostOutput: 'output not read',
  lostTooLarge: 'record too large',
  lostAtEnd: 'left over at the end',
};

const UNHASHED: Readonly<Record<HashFailure, string>> = {
  gone: 'gone or changed before they could be read',
  tooLarge: `larger than ${MAX_FILE_BYTES >> 20} MiB`,
  busy: 'not read in time',
};

/** What is said of events without the hash of their file; undefined when all have it. */
export function unhashedLine(unhashed: Account['unhashed']): string | undefined {
  const causes = HASH_FAILURES.filter((failure) => unhashed[failure] > 0);
  if (causes.length === 0) return undefined;
  const count = causes.reduce((sum, cause) => sum + unhashed[cause], 0);
  const told = causes.map((cause) => `${unhashed[cause]} ${UNHASHED[cause]}`).join(', ');
  return `${count} events without the hash of their file (${told})`;
}

/** What is said of hooks that the kernel passed over; undefined when it did not. */
export function passedOverLine(passedOver: ReadonlyMap<string, number>): string | undefined {
  if (passedOver.size === 0) return undefined;
  const told = [...passedOver].map(([program, times]) => `${program} ${times} times`).join(', ');
  return `Warning: the kernel passed over ${told}, as it was not done with it on the same CPU; events may be missing`;
}

/** What is said of new mount namespaces that were not noticed in time; undefined when all were. */
export function unnoticedLine(unnoticed: number): string | undefined {
  if (unnoticed === 0) return undefined;
  return `Warning: ${unnoticed} new mount namespaces were not noticed in time; their first events may be missing, or have a wrong name`;
}

/**
 * The line to print; undefined when nothing was lost, unless `always`. That the output was not read is no loss when
 * its reader has `closed` it.
 */
export function accountLine(
  account: Pick<Account, 'counts' | 'kernelLosses'>,
  always: boolean,
  closed = false,
): string | undefined {
  const { counts } = account;
  const losses = lossesOf(account).filter(([, count]) => count > 0);
  const told = losses.filter(([cause]) => !closed || cause !== CAUSES.lostOutput);
  if (told.length === 0 && !always) return undefined;
  const filtered = counts.filtered > 0 ? `, ${counts.filtered} filtered out` : '';
  const lost = losses.reduce((sum, [, count]) => sum + count, 0);
  const causes = losses.map(([cause, count]) => `${count} ${cause}`).join(', ');
  return `${counts.delivered} events delivered${filtered}, ${lost} lost${causes === '' ? '' : ` (${causes})`}`;
}

/** All causes of loss that there can be, in the words of the line, with their counts. */
export function lossesOf({
  counts,
  kernelLosses,
}: Pick<Account, 'counts' | 'kernelLosses'>): [cause: string, count: number][] {
  const ours = Object.entries(CAUSES).map(([counter, cause]): [string, number] => [
    cause,
    counts[counter as Counter],
  ]);
  return [...kernelLosses, ...ours];
}

/** The same for machines: `ring_buffer_full`. */
export function lossesByKey(account: Pick<Account, 'counts' | 'kernelLosses'>): Record<string, number> {
  return Object.fromEntries(
    lossesOf(account).map(([cause, count]) => [cause.toLowerCase().replace(/[^a-z0-9]+/g, '_'), count]),
  );
}

/** Workloads that are named. */
const MAX_NAMED = 5;

/** The line on those that --fair held back, who lost most first; undefined when there are none. */
export function heldBackLine(heldBack: readonly HeldBackOf[]): string | undefined {
  if (heldBack.length === 0) return undefined;
  const named = heldBack.filter(({ who }) => who !== undefined).slice(0, MAX_NAMED);
  const rest = heldBack.filter((one) => !named.includes(one)).reduce((sum, { count }) => sum + count, 0);
  const all = [...named, ...(rest > 0 ? [{ who: 'others', count: rest }] : [])];
  const parts = all.map(({ who, count }, i) => `${count}${i === 0 ? ' events' : ''} of ${who}`);
  return `Not shown by --fair: ${parts.join(', ')}.`;
}
