// What `ig image pull` and `ig image push` share: configuration, registry, progress and the line that tells the result.

import type { Reference } from '../../../oci/reference.js';
import { RegistryRepository } from '../../../oci/registry.js';
import { type Config, loadConfig } from '../../config/config.js';
import { UsageError, say } from '../fail.js';
import type { TransferFlags } from './commands.js';
import { counted, printOut, sizeText } from './print.js';
import { type ProgressReport, openProgress } from './progress.js';

export interface Transfer {
  readonly config: Config;
  readonly repository: RegistryRepository;
  readonly progress: ProgressReport;
}

export interface Transferred {
  readonly digest: string;
  /** How many signatures came along that were not there before. */
  readonly signatures: number;
}

/**
 * Runs `action` with the registry of `reference` and prints what it did: `Pulled REFERENCE@DIGEST …`.
 * Throws UsageError, ConfigError or OciError.
 */
export async function transfer(
  verb: 'Pulled' | 'Pushed',
  reference: Reference,
  flags: TransferFlags,
  action: (transfer: Transfer) => Promise<Transferred>,
): Promise<void> {
  if (!['columns', 'json'].includes(flags.output)) {
    throw new UsageError(`--output is columns or json, not ${flags.output}`);
  }
  const config = await loadConfig(flags);
  for (const warning of config.warnings) say(`Warning: ${warning}`);
  const repository = new RegistryRepository(reference, config.registry);
  const progress = await openProgress();
  let result: Transferred;
  try {
    result = await action({ config, repository, progress });
  } finally {
    progress.close();
    await repository.close();
  }
  const { digest, signatures } = result;
  const { totalBytes: size, transferredBytes: transferred } = progress;
  const name = String(reference);
  if (flags.output === 'json') {
    await printOut(`${JSON.stringify({ reference: name, digest, size, transferred, signatures })}\n`);
    return;
  }
  const full = name.endsWith(`@${digest}`) ? name : `${name}@${digest}`;
  const signed = signatures === 0 ? 'no new signature' : counted(signatures, 'signature');
  await printOut(`${verb} ${full}: ${sizeText(size)}, ${sizeText(transferred)} transferred, ${signed}\n`);
}
