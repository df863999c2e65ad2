// `ig image prune`: frees what no image of the local store refers to.

import { prune as pruneLayout } from '../../../oci/prune.js';
import type { Pruned } from '../../../oci/prune.js';
import { UsageError } from '../fail.js';
import type { PruneFlags } from './commands.js';
import { counted, printOut, sizeText } from './print.js';
import { openStore } from './store.js';

/** Prints what was freed, or with --dry-run would be. Throws OciError or UsageError. */
export async function prune({ output, dryRun = false }: PruneFlags): Promise<void> {
  if (!['columns', 'json'].includes(output)) {
    throw new UsageError(`\`ig image prune\` prints columns or json, not ${output}`);
  }
  const pruned = await pruneLayout(openStore(), { dryRun });
  const { count, sizeBytes, orphans, spared, busy } = pruned;
  const text =
    output === 'json'
      ? JSON.stringify({ count, sizeBytes, orphans, spared, busy, dryRun })
      : describe(pruned, dryRun);
  await printOut(`${text}\n`);
}

function describe({ count, sizeBytes, orphans, spared, busy }: Pruned, dryRun: boolean): string {
  const freed = `${dryRun ? 'Would free' : 'Freed'} ${sizeText(sizeBytes)} in ${counted(count, 'file')}`;
  const details = [
    orphans > 0 ? `${counted(orphans, 'signature')} of images that are gone` : '',
    spared > 0 ? `kept ${counted(spared, 'file')} written less than 10 minutes ago` : '',
    busy.length > 0 ? `images are kept, as process ${busy.join(', ')} is writing some: try again later` : '',
  ].filter((detail) => detail !== '');
  return [freed, ...details].join('; ');
}
