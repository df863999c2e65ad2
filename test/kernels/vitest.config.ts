// How `make test-kernels` runs tests, in each guest: with time for an emulator. Those here, and with --all others, too.

import { defineConfig } from 'vitest/config';

const here = (name: string): string => new URL(name, import.meta.url).pathname;

export default defineConfig({
  root: here('../..'),
  test: {
    include: ['test/kernels/*.test.ts', 'test/live/trace-exec*.test.ts'],
    // They measure a terminal and a load that an emulator has no time for.
    exclude: ['test/live/trace-exec-{terminal,load,cli}.test.ts'],
    reporters: [here('reporter.ts')],
    fileParallelism: false,
    // One process for all files: loading the modules again takes an emulator half a minute.
    isolate: false,
    env: { IG_TEST_PATIENCE: '5' },
    testTimeout: 300_000,
    hookTimeout: 600_000,
    // Written by the run on this machine, read by the guests.
    experimental: { fsModuleCache: true, fsModuleCachePath: here('../../build/kernels/modules') },
  },
});
