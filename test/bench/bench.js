// @ts-check
// `make bench`: measures ig against the untraced machine, a floor in C and the peers that are installed.
//
//   node test/bench/bench.js [--runs N] [--seconds S] [--quick] [--only load,capacity,filters,containers,start] [--json FILE] [--compare FILE]
//
// It fails when something cannot be measured, never because a number is bad.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, build } from './build.js';
import { PIPELINES, measureCapacity } from './capacity.js';
import { CROWDS, measureCrowd } from './containers.js';
import { findFilters, measureFilter } from './filters.js';
import { measureLoad } from './load.js';
import { machineFacts } from './machine.js';
import { comparison, report } from './report.js';
import { measureStart, starts } from './startup.js';
import { summarize, summarizeFilters, summarizeLoad } from './summary.js';
import { findTracers } from './tracers.js';

const PARTS = ['load', 'capacity', 'filters', 'containers', 'start'];

const { values: flags } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: PARTS.join(',') },
    json: { type: 'string', default: join(ROOT, 'build/bench.json') },
    compare: { type: 'string' },
  },
});

/** @type {(name: string, text: string) => number} */
function positive(name, text) {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} takes a number above 0, not ${text}`);
  return value;
}

/** @type {(text: string) => void} */
function progress(text) {
  process.stderr.write(`${text}\n`);
}

/**
 * One measurement; a failure becomes a note.
 * @type {<T>(notes: string[], what: string, measure: () => Promise<T>) => Promise<T | undefined>}
 */
async function attempt(notes, what, measure) {
  progress(what);
  try {
    return await measure();
  } catch (error) {
    const note = `${what} failed: ${error instanceof Error ? error.message : String(error)}`;
    progress(note);
    notes.push(note);
    return undefined;
  }
}

/**
 * Takes the subjects of a run in turns, every other run backwards, so that a drift of the machine hits all alike.
 * @type {<T>(run: number, subjects: readonly T[]) => readonly T[]}
 */
function inTurns(run, subjects) {
  return run % 2 === 0 ? subjects : [...subjects].reverse();
}

/** @type {(runs: number, seconds: number, tracers: readonly import('./tracers.js').Tracer[], notes: string[]) => Promise<import('./summary.js').Section>} */
async function benchLoad(runs, seconds, tracers, notes) {
  /** @type {import('./summary.js').LoadRun[]} */
  const results = [];
  for (let run = 0; run < runs; run++) {
    /** @type {import('./summary.js').LoadRun} */
    const result = {};
    for (const tracer of inTurns(run, tracers)) {
      const what = `run ${run + 1}, exec load, ${tracer.name}`;
      result[tracer.name] = await attempt(notes, what, () => measureLoad(tracer, seconds));
    }
    results.push(result);
  }
  return summarizeLoad(
    results,
    tracers.map(({ name }) => name),
  );
}

/** @type {(runs: number, seconds: number, notes: string[]) => Promise<import('./summary.js').Section>} */
async function benchCapacity(runs, seconds, notes) {
  /** @type {Record<string, Record<string, number> | undefined>[]} */
  const results = [];
  for (let run = 0; run < runs; run++) {
    /** @type {typeof results[number]} */
    const result = {};
    for (const pipeline of inTurns(run, PIPELINES)) {
      const what = `run ${run + 1}, pipeline, ${pipeline.name}`;
      const capacity = await attempt(notes, what, () => measureCapacity(pipeline, seconds));
      result[pipeline.name] = capacity && { ...capacity, feederBound: Number(capacity.feederBound) };
    }
    results.push(result);
  }
  const metrics = ['eventsPerSecond', 'eventsPerCpuSecond', 'lost', 'missing', 'feederBound'];
  return summarize(
    results,
    PIPELINES.map(({ name }) => name),
    metrics,
  );
}

/**
 * A window of half the time is enough: the feeder never sleeps for long.
 * @type {(runs: number, seconds: number, notes: string[]) => Promise<import('./summary.js').FilterSections>}
 */
async function benchFilters(runs, seconds, notes) {
  progress('building filters');
  const { subjects, missing } = await findFilters();
  notes.push(...missing);
  /** @type {(number | undefined)[][]} */
  const results = [];
  for (let run = 0; run < runs; run++) {
    /** @type {Map<import('./filters.js').Subject, number | undefined>} */
    const us = new Map();
    for (const subject of inTurns(run, subjects)) {
      const what = `run ${run + 1}, ${subject.section}, ${subject.name}, ${subject.metric}`;
      us.set(subject, await attempt(notes, what, () => measureFilter(subject, seconds / 2)));
    }
    results.push(subjects.map((subject) => us.get(subject)));
  }
  return summarizeFilters(results, subjects);
}

/** @type {(runs: number, notes: string[]) => Promise<import('./summary.js').Section>} */
async function benchContainers(runs, notes) {
  /** @type {Record<string, Record<string, number> | undefined>[]} */
  const results = [];
  const few = CROWDS[0]?.name ?? '';
  for (let run = 0; run < runs; run++) {
    /** @type {Record<string, import('./containers.js').CrowdResult | undefined>} */
    const measured = {};
    for (const crowd of inTurns(run, CROWDS)) {
      measured[crowd.name] = await attempt(notes, `run ${run + 1}, ${crowd.name}`, () => measureCrowd(crowd));
    }
    const base = measured[few]?.cpuUsPerEvent ?? NaN;
    const entries = Object.entries(measured).flatMap(([name, own]) =>
      own === undefined ? [] : [[name, { ...own, cpuToFew: own.cpuUsPerEvent / base }]],
    );
    results.push(Object.fromEntries(entries));
  }
  const metrics = ['eventsPerSecond', 'cpuUsPerEvent', 'cpuToFew', 'missing', 'lost'];
  return summarize(
    results,
    CROWDS.map(({ name }) => name),
    metrics,
  );
}

/** @type {(runs: number, tracers: readonly import('./tracers.js').Tracer[], notes: string[]) => Promise<import('./summary.js').Section>} */
async function benchStart(runs, tracers, notes) {
  const subjects = starts(tracers);
  const node = subjects[0]?.name ?? '';
  /** @type {Record<string, Record<string, number> | undefined>[]} */
  const results = [];
  for (let run = 0; run < runs; run++) {
    /** @type {Record<string, number | undefined>} */
    const ms = {};
    for (const start of inTurns(run, subjects)) {
      ms[start.name] = await attempt(notes, `run ${run + 1}, start, ${start.name}`, () =>
        measureStart(start),
      );
    }
    const entries = Object.entries(ms).flatMap(([name, own]) =>
      own === undefined ? [] : [[name, { ms: own, toNode: own / (ms[node] ?? NaN) }]],
    );
    results.push(Object.fromEntries(entries));
  }
  return summarize(
    results,
    subjects.map(({ name }) => name),
    ['ms', 'toNode'],
  );
}

async function main() {
  const runs = flags.quick ? 1 : positive('runs', flags.runs);
  const seconds = flags.quick ? 1 : positive('seconds', flags.seconds);
  const only = flags.only.split(',');
  const unknown = only.find((part) => !PARTS.includes(part));
  if (unknown !== undefined) throw new Error(`--only takes ${PARTS.join(', ')}, not ${unknown}`);
  const before = flags.compare === undefined ? undefined : JSON.parse(readFileSync(flags.compare, 'utf8'));
  const machine = machineFacts();
  await build();
  const { tracers, skipped } = findTracers();
  const notes = [...skipped];
  /** @type {import('./report.js').Result} */
  const result = {
    version: 1,
    date: new Date().toISOString(),
    machine,
    settings: { runs, seconds },
    notes,
    tracers: Object.fromEntries(tracers.map(({ name, what }) => [name, what])),
    start: only.includes('start') ? await benchStart(runs, tracers, notes) : {},
    load: only.includes('load') ? await benchLoad(runs, seconds, tracers, notes) : {},
    containers: only.includes('containers') ? await benchContainers(runs, notes) : {},
    capacity: only.includes('capacity') ? await benchCapacity(runs, seconds, notes) : {},
    ...(only.includes('filters')
      ? await benchFilters(runs, seconds, notes)
      : { examples: {}, chain: {}, module: {} }),
  };
  mkdirSync(dirname(flags.json), { recursive: true });
  writeFileSync(flags.json, `${JSON.stringify(result, undefined, 2)}\n`);
  process.stdout.write(report(result));
  if (before !== undefined) process.stdout.write(comparison(before, result));
  progress(`written to ${flags.json}`);
}

try {
  await main();
} catch (error) {
  progress(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
