// @ts-check
// Measures how many synthetic events of 256 bytes the pipeline carries when the ring always has more.

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { IG, IMAGES, OUT, PROGRAMS } from './build.js';
import { lostReported } from './load.js';
import { Subject, calm, runJson } from './process.js';

const WARM_UP_SECONDS = 1.5;
const START_TIMEOUT_MS = 20_000;
const POLL_MS = 20;
/** Of what the subject said; a verifier says thousands of lines. */
const ERRORS_SHOWN = 1000;
/** A feeder that waited less than this share of the time was as slow as what it feeds. */
const FEEDER_IDLE_MIN = 0.05;

/**
 * @typedef {object} Capacity
 * @property {number} eventsPerSecond
 * @property {number} eventsPerCpuSecond what one core would carry; of all of ig's threads, so on the careful side
 * @property {number} accounted events delivered or filtered out, by ig's own account
 * @property {number} filtered of them, those that were filtered out
 * @property {number} lost
 * @property {number} missing events sent that the account does not know of
 * @property {boolean} feederBound the feeder was the bottleneck: ig can do more
 */

/** Every event passes this filter, but each is looked at. */
const FILTER = ['-F', 'number>=1'];
const WASM_FILTER = ['-F', 'kibibytes>=0'];

export const PIPELINES = [
  { name: 'Wasm, filter, -o none', image: IMAGES.feed, flags: [...WASM_FILTER, '-o', 'none'] },
  { name: 'Wasm, -o json', image: IMAGES.feed, flags: ['-o', 'json'] },
  { name: 'filter, -o none', image: IMAGES.feedWithoutWasm, flags: [...FILTER, '-o', 'none'] },
  { name: '-o json', image: IMAGES.feedWithoutWasm, flags: ['-o', 'json'] },
];

/**
 * @typedef {object} Pipeline
 * @property {string} name
 * @property {string} image
 * @property {readonly string[]} flags
 * @property {readonly number[]} [mntns] of the containers that the events are of, which alone are shown then
 */

/** @type {(pipeline: Pipeline, seconds: number) => Promise<Capacity>} */
export async function measureCapacity({ name, image, flags, mntns = [] }, seconds) {
  const whose = mntns.length === 0 ? ['--host'] : [];
  const command = [...IG, 'run', image, ...whose, '-v', ...flags];
  const subject = new Subject(command, join(OUT, 'capacity'), '/dev/null');
  try {
    await waitUntilRunning(subject, name);
    await calm([subject]);
    let cpuBefore = 0;
    const {
      sent,
      seconds: elapsed,
      idle,
      total,
    } = await runJson([PROGRAMS.feeder, ...[WARM_UP_SECONDS, seconds, ...mntns].map(String)], (line) => {
      if (line === '{}') cpuBefore = subject.cpuSeconds();
    });
    const cpuSeconds = subject.cpuSeconds() - cpuBefore;
    await subject.stop();
    const accounted = accountedFor(subject.errors);
    const lost = lostReported(subject.errors);
    return {
      eventsPerSecond: sent / elapsed,
      eventsPerCpuSecond: sent / cpuSeconds,
      accounted,
      filtered: filteredOut(subject.errors),
      lost,
      missing: total - accounted - lost,
      feederBound: idle < FEEDER_IDLE_MIN,
    };
  } finally {
    await subject.stop();
  }
}

/** Waits until its program can be fed. @type {(subject: Subject, name: string) => Promise<void>} */
export async function waitUntilRunning(subject, name) {
  for (let waitedMs = 0; waitedMs < START_TIMEOUT_MS; waitedMs += POLL_MS) {
    await sleep(POLL_MS);
    if (!subject.running) break;
    // Empty runs end at once; the program takes them as soon as it is loaded.
    const loaded = await runJson([PROGRAMS.feeder, '0', '0']).catch(() => undefined);
    if (loaded !== undefined) return;
  }
  throw new Error(`ig did not start for "${name}": ${subject.errors.trim().slice(0, ERRORS_SHOWN)}`);
}

/** Events delivered or filtered out, by ig's account. @type {(words: string) => number} */
export function accountedFor(words) {
  return Number(/(\d+) events delivered/.exec(words)?.[1] ?? 0) + filteredOut(words);
}

/** @type {(words: string) => number} */
function filteredOut(words) {
  return Number(/(\d+) filtered out/.exec(words)?.[1] ?? 0);
}
