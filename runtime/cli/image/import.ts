// `ig image import`: takes the images of a tar file into the local store.

import { Archive } from '../../../oci/archive.js';
import { importImages as importInto } from '../../../oci/import.js';
import { UsageError } from '../fail.js';
import type { OutputFlags } from './commands.js';
import { printOut } from './print.js';
import { openStore } from './store.js';

/** Prints the name and digest of each. Throws OciError or UsageError. */
export async function importImages(file: string, { output }: OutputFlags): Promise<void> {
  if (!['columns', 'json'].includes(output)) {
    throw new UsageError(`\`ig image import\` prints columns or json, not ${output}`);
  }
  const imported = await importInto(await Archive.open(file), openStore());
  const lines = imported.map(({ reference, digest }) => `Imported ${reference}@${digest}\n`).join('');
  await printOut(output === 'json' ? `${JSON.stringify(imported)}\n` : lines);
}
