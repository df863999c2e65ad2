// What writers of the cache that were killed leave there.

import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeCached } from './cache.js';
import { TRANSPILER_VERSION } from './transpile.js';

it('is removed by the next writer when it is old, and nothing else is', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ig-cache-test-'));
  for (const name of ['.0123456789abcdef', '.fedcba9876543210', 'other'])
    writeFileSync(join(directory, name), '');
  for (const name of ['.0123456789abcdef', 'other']) utimesSync(join(directory, name), 1, 1);
  await writeCached(directory, 'digest', { source: '', modules: [] });
  expect(readdirSync(directory).sort()).toEqual([
    '.fedcba9876543210',
    `digest-${TRANSPILER_VERSION}`,
    'other',
  ]);
  rmSync(directory, { recursive: true });
});
