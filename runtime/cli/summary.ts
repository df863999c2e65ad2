// The last record of an output, on request: the account of the events, for machines.

import { writeSome } from '../../bpf/write.js';
import type { Account } from '../session.js';
import { lossesByKey } from './account.js';
import { UsageError } from './fail.js';

/** No event has such a key: a dot in a field's name makes an object of what is before it. */
const KEY = 'ig.summary';
/** How long a reader is waited for that takes nothing. */
const PATIENCE_MS = 500;
const MODES = ['json', 'jsonpretty', 'yaml'] as const;

export type SummaryMode = (typeof MODES)[number];

/** What of a run the account does not say. */
export interface RunFacts {
  readonly gadget: string;
  /** Digest of the image. */
  readonly image: string;
}

/** In which form an output of this mode ends with a summary. Throws UsageError when it cannot. */
export function summaryMode(output: string): SummaryMode {
  const named = output.split(/[;,]/).map((part) => part.slice(part.indexOf(':') + 1).trim());
  const mode = MODES.find((mode) => named.includes(mode));
  if (mode !== undefined) return mode;
  throw new UsageError(
    `--summary ends an output of ${MODES.join(', ')} and not of ${output}; there, -v says it on stderr`,
  );
}

/** `emitted` is what the kernel side and Wasm modules made: `delivered`, `filtered` and all of `lost` together. */
export function summaryOf(account: Account, { gadget, image }: RunFacts): object {
  const { counts, made, seconds, passedOver, unnoticed, heldBack, unhashed, unrecorded = 0 } = account;
  const { read, delivered, filtered } = counts;
  const lost = lossesByKey(account);
  const allLost = Object.values(lost).reduce((sum, count) => sum + count, 0);
  return {
    gadget,
    image,
    seconds: Math.round(seconds * 1000) / 1000,
    ...{ emitted: delivered + filtered + allLost, made_by_wasm: made, read, delivered, filtered },
    lost: { total: allLost, ...lost },
    held_back: heldBack.map(({ who = null, count }) => ({ who, events: count })),
    passed_over: Object.fromEntries(passedOver),
    unnoticed_namespaces: unnoticed,
    unhashed: { gone: unhashed.gone, too_large: unhashed.tooLarge, busy: unhashed.busy },
    unrecorded,
  };
}

/** `midLine`: the output ends in the middle of a line. Returns false when the reader did not take all of it. */
export async function writeSummary(
  mode: SummaryMode,
  summary: object,
  { midLine, patient }: { readonly midLine: boolean; readonly patient: boolean },
): Promise<boolean> {
  const bytes = Buffer.from((midLine ? '\n' : '') + (await summaryText(mode, summary)));
  let start = 0;
  try {
    for (let count = 1; count > 0 && start < bytes.length; start += count)
      count = writeSome(1, bytes, start, bytes.length, patient ? PATIENCE_MS : 0);
  } catch {
    return false;
  }
  return start === bytes.length;
}

/** The summary as a record of that mode. */
export async function summaryText(mode: SummaryMode, summary: object): Promise<string> {
  const record = { [KEY]: summary };
  if (mode !== 'yaml') return `${JSON.stringify(record, null, mode === 'json' ? 0 : 2)}\n`;
  const { stringify } = await import('yaml');
  return `---\n${stringify(record)}`;
}
