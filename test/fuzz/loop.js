// The thread that runs one target: mutates, tries, and keeps what reaches new code.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { Coverage } from './coverage.js';
import { Mutator } from './mutate.js';
import { MAX_INPUT_BYTES, TARGETS } from './targets.js';

/** Taking the coverage costs milliseconds, so it is shared by some inputs. */
const BATCH = 24;
const SLOW_MS = 3000;
const MAX_MESSAGE_LENGTH = 1000;

const { name, limits, progress, input } = workerData;
const target = TARGETS[name];
const coverage = new Coverage();
const mutator = new Mutator(limits.seed, target.words ?? []);
const reported = new Set();

/** Runs one input, and reports it unless it is accepted or refused as it should be. */
async function attempt(bytes) {
  input.set(bytes);
  progress[1] = bytes.length;
  progress[0]++;
  const startMs = performance.now();
  try {
    await target.run(bytes);
  } catch (error) {
    const fault = faultOf(error);
    if (fault !== undefined) report(fault, bytes);
  }
  return performance.now() - startMs;
}

function faultOf(error) {
  if (!(error instanceof Error)) return `threw ${typeof error}`;
  if (!target.refusals.some((kind) => error instanceof kind)) return `threw ${error.stack}`;
  if (error.message.includes('\n')) return `says more than one line: ${JSON.stringify(error.message)}`;
  if (error.message.length > MAX_MESSAGE_LENGTH) return `says ${error.message.length} characters`;
  return undefined;
}

function report(failure, bytes) {
  // One report for each place and kind, whatever is said of the input.
  const kind = failure.split('\n').slice(1, 3).join('') || failure.replace(/\d/g, '').slice(0, 20);
  if (reported.has(kind)) return;
  reported.add(kind);
  parentPort.postMessage({ failure, bytes });
}

async function isSlow(bytes) {
  const tookMs = await attempt(bytes);
  // The machine may have been busy: a slow input is slow again.
  return tookMs > SLOW_MS && (await attempt(bytes)) > SLOW_MS;
}

function seeds() {
  const kept = new URL(`corpus/${name}/`, import.meta.url);
  const files = existsSync(kept) ? readdirSync(kept).sort() : [];
  return [
    ...target.seeds().map((seed) => Buffer.from(seed)),
    ...files.map((file) => readFileSync(new URL(file, kept))),
  ];
}

const corpus = seeds();
for (const bytes of corpus) await attempt(bytes);
coverage.take();
const startMs = Date.now();
let done = 0;
while (done < limits.iterations && Date.now() - startMs < limits.ms) {
  const batch = Array.from({ length: BATCH }, () => {
    const bytes = mutator.mutate(mutator.choose(corpus), corpus).subarray(0, MAX_INPUT_BYTES);
    return target.repair?.(bytes) ?? bytes;
  });
  for (const bytes of batch) if (await isSlow(bytes)) report(`took more than ${SLOW_MS} ms`, bytes);
  done += BATCH;
  if (!coverage.hasNew()) continue;
  for (const bytes of batch) {
    await attempt(bytes);
    if (coverage.take() > 0) corpus.push(bytes);
  }
}
const rate = Math.round((done * 1000) / (Date.now() - startMs));
parentPort.postMessage({
  summary: `${done} inputs, ${rate} a second; ${coverage.size} pieces of code reached with ${corpus.length} of them`,
});
