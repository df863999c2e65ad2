// Where images and prepared Wasm modules are kept, and how many there are.

import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { readFileBelow } from '../../bpf/below.js';
import { defaultStorePath, entriesOf } from '../../oci/layout.js';
import { parseIndex } from '../../oci/descriptor.js';
import { isArtefact } from '../../oci/referrers.js';
import { cacheDirs } from '../guest.js';
import { type Row, type Verdict, no, rowsOf, sentence, unknown, yes } from './row.js';

/** How long a file system may take; a home on a network may never answer. */
const PATIENCE_MS = 2000;
const MAX_INDEX_BYTES = 16 << 20;

export async function storeRows(): Promise<Row[]> {
  const path = defaultStorePath();
  const images = await storeVerdict(path);
  const [cache] = cacheDirs();
  // Both are in one folder: where the first does not answer, nobody asks for the second.
  const modules = images.state === 'unknown' ? unknown(cache) : await cacheVerdict(cache);
  return rowsOf('store', { images, 'Wasm cache': modules });
}

async function storeVerdict(path: string): Promise<Verdict> {
  const patience = new AbortController();
  const late = sleep(PATIENCE_MS, undefined, { signal: patience.signal });
  try {
    const bytes = await Promise.race([readFileBelow(path, 'index.json', MAX_INDEX_BYTES), late]);
    if (bytes === undefined) return unknown(`${path}: no answer within ${PATIENCE_MS} ms`);
    const images = entriesOf(parseIndex(bytes, 'index.json')).filter(
      ({ descriptor }) => !isArtefact(descriptor),
    );
    return yes(`${path}, images: ${images.length}`);
  } catch (error) {
    return no(`${path}: ${why(error)}`);
  } finally {
    patience.abort();
    await late.catch(() => undefined);
  }
}

async function cacheVerdict(path: string): Promise<Verdict> {
  try {
    return yes(`${path}, modules: ${(await readdir(path)).length}`);
  } catch (error) {
    return no(`${path}: ${why(error)}`);
  }
}

function why(error: unknown): string {
  const { code } = error as { code?: string };
  if (code === 'ENOENT') return 'nothing yet';
  return code === 'EACCES' ? 'permission denied' : sentence(error);
}
