// The thread that runs one target: mutates, tries, and keeps what reaches new code.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { Coverage } from './coverage.js';
import { Mutator } from './mutate.js';
import { MAX_INPUT_BYTES, targetsIn } from './targets.js';

/** Taking the coverage costs milliseconds, so it is shared by some inputs. */
const BATCH = 64;
const SLOW_MS = 3000;
const MAX_MESSAGE_LENGTH = 1000;

const { name, file, limits, progress, input } = workerData;
const target = (await targetsIn(file))[name];
const coverage = new Coverage();
const mutator = new Mutator(limits.seed, target.words ?? []);
const reported = new Set();

/** Runs one input, and reports it unless it is accepted or refused as it should be. */
async function attempt(bytes) {
  if (bytes.length > MAX_INPUT_BYTES) return 0;
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
  // What a user has typed may well come back as it was.
  if (target.isTyped) return undefined;
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
    ...files.map((one) => readFileSync(new URL(one, kept))),
  ];
}

/** How many bytes an input grows by to see what that costs, and how many batches are between two such inputs. */
const GROWTHS = [4096, 8192, 16_384];
const BATCHES_PER_GROWTH = 4;
/** What is less, in pieces of code or in milliseconds, may be anything. */
const LITTLE_WORK = 300_000;
const LITTLE_MS = 150;

/** Whether an input's cost grows much faster than its length: twice as long must not take thrice as long. */
async function checkGrowth(grow) {
  const costs = [];
  for (const size of GROWTHS) {
    const bytes = target.repair?.(grow(size)) ?? grow(size);
    const ms = Math.min(await attempt(bytes), await attempt(bytes));
    costs.push({ ms, work: coverage.work() });
  }
  const [first, second, third] = costs;
  const hasMoreWork =
    third.work > LITTLE_WORK && third.work > 3 * second.work && second.work > 3 * first.work;
  const isSlower = third.ms > LITTLE_MS && third.ms > 3 * second.ms && second.ms > 3 * first.ms;
  return hasMoreWork || isSlower;
}

async function probeGrowth() {
  const grow = mutator.growth(mutator.choose(corpus));
  // The machine may have been busy: what is slow is slow again.
  if ((await checkGrowth(grow)) && (await checkGrowth(grow)))
    report('takes more than thrice as long when it is twice as long', grow(GROWTHS.at(-1)));
}

/** Keeps those of the inputs that reach something new, which at least one of them does; by halves, as few may. */
async function keepNew(batch) {
  if (batch.length === 1) {
    coverage.accept();
    corpus.push(batch[0]);
    return;
  }
  const middle = batch.length >> 1;
  for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
    for (const bytes of half) await attempt(bytes);
    if (coverage.hasNew()) await keepNew(half);
  }
}

const corpus = seeds();
for (const bytes of corpus) await attempt(bytes);
coverage.hasNew();
coverage.accept();
const startMs = Date.now();
let done = 0;
while (done < limits.iterations && Date.now() - startMs < limits.ms) {
  const batch = Array.from({ length: BATCH }, () => {
    const bytes = mutator.mutate(mutator.choose(corpus), corpus).subarray(0, MAX_INPUT_BYTES);
    return target.repair?.(bytes) ?? bytes;
  });
  for (const bytes of batch) if (await isSlow(bytes)) report(`took more than ${SLOW_MS} ms`, bytes);
  done += BATCH;
  const isNew = coverage.hasNew();
  // Where bytes are choices, more of the same are not more of anything.
  if (!target.isStructured && (done / BATCH) % BATCHES_PER_GROWTH === 0) await probeGrowth();
  if (isNew) await keepNew(batch);
}
const rate = Math.round((done * 1000) / (Date.now() - startMs));
parentPort.postMessage({
  summary: `${done} inputs, ${rate} a second; ${coverage.size} pieces of code reached with ${corpus.length} of them`,
});
