// `ig list-gadgets`: what can be run without a pull.

import { writeSync } from 'node:fs';
import { Layout, defaultStorePath } from '../../oci/layout.js';
import { fullReference } from '../../oci/reference.js';
import { isArtefact } from '../../oci/referrers.js';
import { builtinLayout } from '../open-image.js';
import { UsageError } from './fail.js';

interface Row {
  readonly name: string;
  readonly from: 'built-in' | 'store';
  readonly reference: string;
  readonly digest: string;
}

/** Prints the list in mode `columns`, `json` or (for shell completion) `names`. */
export async function listGadgets(mode: string): Promise<void> {
  const rows = [
    ...(await entries(builtinLayout(), 'built-in')),
    ...(await entries(new Layout(defaultStorePath()), 'store')),
  ];
  switch (mode) {
    case 'json':
      writeSync(1, `${JSON.stringify(rows, null, 2)}\n`);
      break;
    case 'names':
      writeSync(1, rows.map((row) => `${row.name}\n`).join(''));
      break;
    case 'columns':
      writeSync(1, table(rows));
      break;
    default:
      throw new UsageError(`\`ig list-gadgets\` prints columns, json or names, not ${mode}`);
  }
}

async function entries(layout: Layout, from: Row['from']): Promise<Row[]> {
  return (await layout.list()).flatMap(({ reference, digest, descriptor }) => {
    // What other programs named in another way cannot be run by that name, and shells complete what is listed here.
    const full = fullReference(reference ?? '');
    if (full === undefined || isArtefact(descriptor)) return [];
    const name = from === 'built-in' ? full.name : String(full);
    return [{ name, from, reference: String(full), digest }];
  });
}

function table(rows: readonly Row[]): string {
  const width = (values: readonly string[]): number => Math.max(...values.map((value) => value.length));
  const name = width(['NAME', ...rows.map((row) => row.name)]);
  const lines = rows.map((row) => `${row.name.padEnd(name)} ${row.from.padEnd(8)} ${row.digest}`);
  return `${['NAME'.padEnd(name), 'FROM'.padEnd(8), 'DIGEST'].join(' ')}\n${lines.join('\n')}${lines.length > 0 ? '\n' : ''}`;
}
