// The native addon makes no mistakes with memory that AddressSanitizer sees; more: `make test-sanitizers`.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { ended } from './programs.js';

const SANITIZERS = fileURLToPath(new URL('../sanitizers/sanitizers.js', import.meta.url));

it('uses, frees and leaves memory as it should, whatever it is given and whenever its thread ends', async () => {
  const stdio = ['ignore', 'pipe', 'inherit'] as const;
  const { status, stdout } = await ended(
    spawn(process.execPath, [SANITIZERS, 'address'], { stdio: [...stdio] }),
  );
  expect(stdout).toContain('all of the addon was used');
  expect(status).toBe(0);
});
