// `ig image remove`: takes names out of the local store, and frees what only they referred to.

import { OciError } from '../../../oci/errors.js';
import type { Layout } from '../../../oci/layout.js';
import { type Removed, removeImages } from '../../../oci/prune.js';
import { type Reference, parseReference } from '../../../oci/reference.js';
import { fail, say } from '../fail.js';
import type { CommonFlags } from './commands.js';
import { counted, printOut, sizeText } from './print.js';
import { openStore, storedImage } from './store.js';

/** Prints what was removed, one line for each; the rest is done although one fails. */
export async function remove(images: readonly string[], flags: CommonFlags): Promise<void> {
  const store = openStore();
  const references = images.map(parseReference);
  const failures: unknown[] = [];
  for (const reference of references) {
    try {
      await printOut(`${describeRemoved(String(reference), await removeOne(store, reference))}\n`);
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      failures.push(error);
    }
  }
  for (const error of failures.slice(0, -1)) say(`Error: ${(error as Error).message}`);
  if (failures.length > 0) fail(failures.at(-1), flags.verbose === true);
}

async function removeOne(store: Layout, reference: Reference): Promise<Removed> {
  const name = String(reference);
  await storedImage(store, name);
  const repository = `${reference.registry}/${reference.repository}`;
  const isMeant = (candidate: string, digest: string): boolean =>
    candidate === name || (digest === reference.digest && isOf(candidate, repository));
  return removeImages(store, isMeant, name);
}

/** A digest stands for every name that this repository has for it. */
function isOf(name: string, repository: string): boolean {
  return name.startsWith(`${repository}:`) || name.startsWith(`${repository}@`);
}

function describeRemoved(asked: string, { names, count, sizeBytes, busy }: Removed): string {
  const others = names.filter((name) => name !== asked);
  const also = others.length === 0 ? '' : ` with ${others.join(', ')}`;
  if (busy.length > 0) {
    const kept = `its content stays until \`ig image prune\`, as process ${busy.join(', ')} is writing images`;
    return `Removed ${asked}${also}; ${kept}`;
  }
  return `Removed ${asked}${also}; freed ${sizeText(sizeBytes)} in ${counted(count, 'file')}`;
}
