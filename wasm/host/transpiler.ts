// Runs the transpiler on a component in a thread of its own: a component can make it panic, hang, or take memory.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { InvalidModuleError, quoted } from './errors.js';

/** What the transpiler returns. */
export interface TranspilerOutput {
  readonly files: readonly (readonly [name: string, content: Uint8Array])[];
  readonly imports: readonly string[];
  readonly exports: readonly (readonly [name: string, type: string])[];
}

const TIMEOUT_MS = 60_000;
const HEAP_MAX_MIB = 1024;

const OPTIONS = {
  name: 'guest',
  map: [],
  instantiation: { tag: 'sync' },
  importBindings: { tag: 'js' },
  base64Cutoff: 0,
  noTypescript: false,
  noNodejsCompat: false,
  tlaCompat: false,
  validLiftingOptimization: false,
  tracing: false,
  noNamespacedExports: false,
  multiMemory: false,
};

const WORKER = `
  const { parentPort, workerData } = require('node:worker_threads');
  import(workerData.transpiler).then(async ({ $init, generate }) => {
    await $init;
    parentPort.postMessage({ output: generate(workerData.component, workerData.options) });
  }).catch((error) => parentPort.postMessage({ failure: error?.payload ?? error?.message ?? String(error) }));
`;

/** Transpiles a component. Throws InvalidModuleError when the transpiler refuses it or does not come back. */
export async function runTranspiler(component: Uint8Array): Promise<TranspilerOutput> {
  const path = createRequire(import.meta.url).resolve('@bytecodealliance/jco-transpile/component');
  const worker = new Worker(WORKER, {
    eval: true,
    workerData: { transpiler: pathToFileURL(path).href, component, options: OPTIONS },
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX_MIB },
    stderr: true, // a panic's stack trace says nothing to the user
  });
  try {
    return await answerOf(worker);
  } finally {
    await worker.terminate();
  }
}

function answerOf(worker: Worker): Promise<TranspilerOutput> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string, cause?: unknown): void =>
      reject(
        new InvalidModuleError(
          `the gadget's Wasm component is not valid: ${quoted(reason.replace(/\s+/g, ' '))}`,
          { cause },
        ),
      );
    const timer = setTimeout(() => fail(`it was not translated within ${TIMEOUT_MS / 1000} s`), TIMEOUT_MS);
    worker.once('message', ({ output, failure }: { output?: TranspilerOutput; failure?: string }) => {
      clearTimeout(timer);
      if (output === undefined) fail(failure ?? 'no reason given');
      else resolve(output);
    });
    worker.once('error', (error) => {
      clearTimeout(timer);
      fail(error.message, error);
    });
  });
}
