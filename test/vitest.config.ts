// How `make test` runs the tests: unit tests beside the code, and those of test/ that need a kernel, engine or registry.

import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    include: ['{runtime,bpf,wasm,oci,gadgets,test}/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'dist/**', 'build/**'],
    reporters: ['default', new URL('summary-reporter.ts', import.meta.url).pathname],
    // Tests trace the whole machine and start daemons: one file at a time keeps them out of each other's way.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 180_000,
  },
});
