// @ts-check
// Measures a tracer while two processes do nothing but execute a tiny program.

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BINARIES, MEASURED, OUT, PROGRAMS } from './build.js';
import { Subject, runJson } from './process.js';

/** Execs at once; the load of the targets. */
const GENERATORS = 2;
/** Short rounds until events flow, then a long one, in which a tracer with a compiler at run time gets going. */
const WARM_ROUND_SECONDS = 0.3;
const WARM_UP_SECONDS = 4;
const WARM_ROUNDS_MAX = 60;
/** Output of a warm-up round that shows that events are flowing. */
const FLOWING_BYTES = 2048;
/** After the load: more than any tracer here lets events wait. */
const SETTLE_MS = 300;

/**
 * @typedef {object} LoadResult
 * @property {number} execsPerSecond reached by the load
 * @property {number} untracedPerSecond what it reached around this measurement without the tracer
 * @property {number} executed
 * @property {number} delivered events of these execs in the output
 * @property {number} lostReported what the tracer says it lost
 * @property {number} cpuUsPerEvent user and system time of the tracer, in µs per event delivered
 * @property {import('./process.js').Memory} memory
 */

/** @type {(name: string, seconds: number) => Promise<{ executed: number, seconds: number }>} */
export function execute(name, seconds) {
  return runJson([PROGRAMS.execgen, name, String(GENERATORS), String(seconds)]);
}

/** Execs per second while nothing is traced. @type {(seconds: number) => Promise<number>} */
export async function measureUntraced(seconds) {
  const { executed, seconds: elapsed } = await execute(BINARIES.warm, seconds);
  return executed / elapsed;
}

/**
 * Measures a tracer, and the untraced machine right before and after it: machines change their speed in seconds.
 * Throws when the tracer does not run.
 * @type {(tracer: import('./tracers.js').Tracer, seconds: number) => Promise<LoadResult>}
 */
export async function measureLoad(tracer, seconds) {
  const before = await measureUntraced(seconds / 2);
  const traced = await measureTraced(tracer, seconds);
  const after = await measureUntraced(seconds / 2);
  return { ...traced, untracedPerSecond: (before + after) / 2 };
}

/** @type {(tracer: import('./tracers.js').Tracer, seconds: number) => Promise<Omit<LoadResult, 'untracedPerSecond'>>} */
async function measureTraced(tracer, seconds) {
  const subject = new Subject(tracer.command, join(OUT, 'tracer'));
  try {
    await warmUp(subject, tracer.name);
    const cpuBefore = subject.cpuSeconds();
    const { executed, seconds: elapsed } = await execute(BINARIES.measured, seconds);
    await sleep(SETTLE_MS);
    const cpuSeconds = subject.cpuSeconds() - cpuBefore;
    const memory = subject.memory();
    await subject.stop();
    const output = readFileSync(subject.outputPath);
    const delivered = countLines(output, MEASURED);
    return {
      execsPerSecond: executed / elapsed,
      executed,
      delivered,
      lostReported: lostReported(`${subject.errors}\n${linesWith(output, 'Lost ')}`),
      cpuUsPerEvent: (cpuSeconds * 1e6) / delivered,
      memory,
    };
  } finally {
    await subject.stop();
    rmSync(subject.outputPath);
  }
}

/**
 * Has the tracer see execs, by another name than the measured ones: until its output grows, then for a while.
 * @type {(subject: Subject, name: string) => Promise<void>}
 */
async function warmUp(subject, name) {
  for (let round = 0, before = 0; subject.outputBytes <= before + FLOWING_BYTES; round++) {
    if (!subject.running || round === WARM_ROUNDS_MAX)
      throw new Error(`${name} shows no events: ${subject.errors.trim().split('\n').at(-1)}`);
    before = subject.outputBytes;
    await execute(BINARIES.warm, WARM_ROUND_SECONDS);
    await sleep(SETTLE_MS);
  }
  await execute(BINARIES.warm, WARM_UP_SECONDS);
  await sleep(SETTLE_MS);
}

/** @type {(output: Buffer, word: string) => number} */
function countLines(output, word) {
  let lines = 0;
  for (let at = output.indexOf(word); at >= 0; lines++) {
    const end = output.indexOf(0x0a, at);
    if (end < 0) return lines + 1;
    at = output.indexOf(word, end);
  }
  return lines;
}

/** @type {(output: Buffer, word: string) => string} */
function linesWith(output, word) {
  const lines = [];
  for (let at = output.indexOf(word); at >= 0; at = output.indexOf(word, at + 1)) {
    const end = output.indexOf(0x0a, at);
    lines.push(output.toString('utf8', at, end < 0 ? undefined : end));
  }
  return lines.join('\n');
}

/**
 * `12 lost` as ig and the floor say it, `Lost 12 events` as the peers do.
 * @type {(words: string) => number}
 */
export function lostReported(words) {
  let lost = 0;
  for (const [, ours, peers] of words.matchAll(/\b(\d+) lost\b|\bLost (\d+) events\b/g)) {
    lost += Number(ours ?? peers);
  }
  return lost;
}
