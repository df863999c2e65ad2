// How `make test` runs the tests: unit tests beside the code, and those of test/ that need a kernel, engine or registry.

import { defineConfig } from 'vitest/config';

const here = (name: string): string => new URL(name, import.meta.url).pathname;

/** What looks at nothing but its own files, ports and processes. */
const INDEPENDENT = [
  '{runtime,bpf,wasm,oci,gadgets}/**/*.test.ts',
  'test/{registry,fuzz}/**/*.test.ts',
  'test/live/{authoring,authoring-guide,bad-input}.test.ts',
];
const GUESTS = 'test/guests.test.ts';

export default defineConfig({
  root: here('..'),
  test: {
    exclude: ['**/node_modules/**', 'dist/**', 'build/**'],
    reporters: ['default', here('summary-reporter.ts')],
    testTimeout: 60_000,
    hookTimeout: 180_000,
    // Kernels, engines and loads share two processors here: once may be the machine, twice is ig. The end of the run says so.
    retry: 1,
    projects: [
      {
        extends: true,
        test: { name: 'two', include: INDEPENDENT, maxWorkers: 2, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: {
          name: 'one',
          include: ['test/**/*.test.ts'],
          exclude: [...INDEPENDENT, GUESTS],
          // They trace the whole machine and start daemons: one file at a time keeps them out of each other's way.
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'guests',
          include: [GUESTS],
          globalSetup: here('guests.ts'),
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
