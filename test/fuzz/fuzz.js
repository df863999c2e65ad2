// Feeds parsers with spoilt input until one does something else than accept it or refuse it in one sentence.
//
//   node test/fuzz/fuzz.js [--target NAME]... [--seconds 60 | --iterations 1000] [--seed 1]
//
// Inputs are mutations of those in targets/ and corpus/NAME/; what reaches code that none before did is mutated
// in its turn (coverage.js). The same seed and number of iterations give the same inputs. Whatever fails is written
// to build/fuzz/: once mended, it goes to corpus/NAME/, where every run begins.

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { MAX_INPUT_BYTES, targetFiles } from './targets.js';

/** No input may keep a parser busy for so long. */
const HANG_MS = 20_000;
/** Of the parser's heap and the fuzzer's own. */
const MAX_HEAP_MIB = 192;
const FOUND = new URL('../../build/fuzz/', import.meta.url);

/** @returns {Promise<number>} how many failures were found */
async function fuzz(name, file, limits) {
  // Shared, so that the input is at hand when the thread hangs or runs out of memory over it.
  const progress = new Int32Array(new SharedArrayBuffer(8));
  const input = new Uint8Array(new SharedArrayBuffer(MAX_INPUT_BYTES));
  const worker = new Worker(new URL('loop.js', import.meta.url), {
    workerData: { name, file, limits, progress, input },
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
  });
  let failures = 0;
  const fail = (what, bytes = Buffer.from(input.subarray(0, progress[1]))) => {
    failures++;
    const kept = new URL(`${name}-${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}`, FOUND);
    mkdirSync(FOUND, { recursive: true });
    writeFileSync(kept, bytes);
    process.stdout.write(`${name}: ${what}\n  input: ${kept.pathname}\n`);
  };
  worker.on('message', ({ failure, bytes, summary }) => {
    if (summary !== undefined) process.stdout.write(`${name}: ${summary}\n`);
    else fail(failure, Buffer.from(bytes));
  });
  worker.on('error', (error) => fail(`ended the thread: ${error.message}`));
  const watchdog = watch(progress, () => {
    fail(`did not end within ${HANG_MS} ms`);
    void worker.terminate();
  });
  await new Promise((resolve) => worker.once('exit', resolve));
  clearInterval(watchdog);
  return failures;
}

function watch(progress, hang) {
  let seen = -1;
  let sinceMs = Date.now();
  return setInterval(() => {
    if (progress[0] !== seen) [seen, sinceMs] = [progress[0], Date.now()];
    else if (Date.now() - sinceMs > HANG_MS) hang();
  }, 500);
}

const files = await targetFiles();
const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true, default: Object.keys(files) },
    seconds: { type: 'string', default: '60' },
    iterations: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: '1' },
  },
});
const limits = {
  ms: Number(values.seconds) * 1000,
  iterations: Number(values.iterations),
  seed: Number(values.seed),
};
let failures = 0;
for (const name of values.target) {
  if (files[name] === undefined) throw new Error(`no target ${name}, only ${Object.keys(files).join(', ')}`);
  failures += await fuzz(name, files[name], limits);
}
process.exitCode = failures === 0 ? 0 : 1;
