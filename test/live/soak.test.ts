// A run that goes on for a while: nothing grows, nothing is missing. `make soak` takes an hour.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const SOAK = fileURLToPath(new URL('../soak/soak.js', import.meta.url));

it('keeps its memory, its descriptors and its threads, and accounts for every event', () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [SOAK, '--seconds', '14', '--rate', '2000'],
    {
      encoding: 'utf8',
    },
  );
  expect(status, stdout + stderr).toBe(0);
});
