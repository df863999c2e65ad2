// A short run of the fuzzer; fuzz.js says how to make it a long one.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

/** A busy machine takes thrice as long. */
const TIMEOUT_MS = 300_000;
const FUZZ = fileURLToPath(new URL('fuzz.js', import.meta.url));

it(
  'every parser of what comes from outside takes whatever it is given, or refuses it in one sentence, in bounded time',
  async () => {
    const limits = ['--iterations', '512', '--seconds', '0.8'];
    const outcome = await promisify(execFile)(process.execPath, [FUZZ, ...limits]).catch(
      (error: unknown) => error,
    );
    expect(outcome).toHaveProperty('stderr', '');
    // A line for each: what was tried, and nothing of what went wrong.
    expect(outcome).toHaveProperty(
      'stdout',
      expect.stringMatching(
        /^(?:\w+: \d+ inputs, \d+ a second; \d+ pieces of code reached with \d+ of them\n){34,}$/,
      ),
    );
  },
  TIMEOUT_MS,
);
