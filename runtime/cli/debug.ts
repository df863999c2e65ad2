// `ig debug`: prints what this kernel and this process can do.

import { type Row, debugRows } from '../debug/debug.js';
import { didYouMean } from '../data/nearest.js';
import { enginesOf } from './container-flags.js';
import type { DebugFlags } from './debug-command.js';
import { UsageError } from './fail.js';
import { printOut, table } from './image/print.js';
import { version } from './version.js';

type Format = (rows: readonly Row[]) => string | Promise<string>;

const FORMATS: Readonly<Record<string, Format>> = {
  columns: (rows) =>
    table([
      ['GROUP', 'WHAT', 'STATE', 'DETAIL'],
      ...rows.map(({ group, what, state, detail }) => [group, what, state, detail]),
    ]),
  json: (rows) => `${JSON.stringify(rows)}\n`,
  jsonpretty: (rows) => `${JSON.stringify(rows, null, 2)}\n`,
  yaml: async (rows) => (await import('yaml')).stringify(rows),
};

/** Prints in the mode of `--output`. Throws UsageError for another. */
export async function debug(flags: DebugFlags): Promise<void> {
  const modes = Object.keys(FORMATS);
  const format = Object.hasOwn(FORMATS, flags.output) ? FORMATS[flags.output] : undefined;
  if (format === undefined) {
    const hint = didYouMean(flags.output, modes) || `; the modes are ${modes.join(', ')}`;
    throw new UsageError(`unknown output mode ${flags.output}${hint}`);
  }
  const rows = await debugRows({ version: version(), engines: enginesOf(flags) });
  await printOut(await format(rows));
}
