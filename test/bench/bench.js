// @ts-check
// `make bench`: measures ig against the untraced machine, a floor in C and the peers that are installed.
//
//   node test/bench/bench.js [--runs N] [--seconds S] [--quick] [--only load,capacity,filters,containers,curves,start] [--json FILE] [--compare FILE]
//
// It fails when something cannot be measured, never because a number is bad.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, build } from './build.js';
import { PIPELINES, measureCapacity } from './capacity.js';
import { CROWDS, measureCrowd } from './containers.js';
import { GADGETS, findCurves, measureGadgets } from './curves.js';
import { findFilters, measureCost } from './filters.js';
import { measureLoad } from './load.js';
import { machineFacts } from './machine.js';
import { comparison, report } from './report.js';
import { measureStart, starts } from './startup.js';
import { summarize, summarizeCosts, summarizeLoad } from './summary.js';
import { findTracers } from './tracers.js';

const PARTS = ['load', 'capacity', 'filters', 'containers', 'curves', 'start'];
const CROWD_METRICS = ['eventsPerSecond', 'cpuUsPerEvent', 'cpuToFirst', 'missing', 'lost'];
const GADGETS_METRICS = ['execsPerSecond', 'keptOfUntraced', 'eventsPerCpuSecond', ...CROWD_METRICS.slice(1)];

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

/** @type {(runs: number, seconds: number, notes: string[]) => Promise<Record<'examples' | 'chain' | 'module', import('./summary.js').Section>>} */
async function benchFilters(runs, seconds, notes) {
  progress('building filters');
  const { subjects, missing } = await findFilters();
  notes.push(...missing);
  return benchCosts(runs, subjects, (subject) => measureCost(subject, seconds / 2), notes);
}

/** @type {(runs: number, seconds: number, notes: string[]) => Promise<Record<'fields' | 'terms' | 'known' | 'gadgets', import('./summary.js').Section>>} */
async function benchCurves(runs, seconds, notes) {
  const costs = await benchCosts(runs, await findCurves(), (subject) => subject.measure(seconds / 2), notes);
  const gadgets = await benchRows(
    runs,
    GADGETS,
    (row) => measureGadgets(row, seconds),
    GADGETS_METRICS,
    notes,
  );
  return { ...costs, gadgets };
}

/**
 * A window of half the time is enough for these: the feeder never sleeps for long.
 * @template {string} Name
 * @template {import('./summary.js').Cost<Name>} Subject
 * @param {number} runs
 * @param {readonly Subject[]} subjects
 * @param {(subject: Subject) => Promise<number>} measure
 * @param {string[]} notes
 * @returns {Promise<Record<Name, import('./summary.js').Section>>}
 */
async function benchCosts(runs, subjects, measure, notes) {
  /** @type {(number | undefined)[][]} */
  const results = [];
  for (let run = 0; run < runs; run++) {
    /** @type {Map<Subject, number | undefined>} */
    const us = new Map();
    for (const subject of inTurns(run, subjects)) {
      const what = `run ${run + 1}, ${subject.section}, ${subject.name}, ${subject.metric}`;
      us.set(subject, await attempt(notes, what, () => measure(subject)));
    }
    results.push(subjects.map((subject) => us.get(subject)));
  }
  return summarizeCosts(results, subjects);
}

/**
 * Rows with the CPU time per event also divided by the first row's of the same run, as `cpuToFirst`.
 * @template {{ name: string }} Row
 * @param {number} runs
 * @param {readonly Row[]} rows
 * @param {(row: Row) => Promise<{ cpuUsPerEvent: number }>} measure
 * @param {readonly string[]} metrics
 * @param {string[]} notes
 * @returns {Promise<import('./summary.js').Section>}
 */
async function benchRows(runs, rows, measure, metrics, notes) {
  const names = rows.map(({ name }) => name);
  /** @type {Record<string, Record<string, number> | undefined>[]} */
  const results = [];
  for (let run = 0; run < runs; run++) {
    /** @type {Record<string, { cpuUsPerEvent: number } | undefined>} */
    const measured = {};
    for (const row of inTurns(run, rows)) {
      measured[row.name] = await attempt(notes, `run ${run + 1}, ${row.name}`, () => measure(row));
    }
    const first = measured[names[0] ?? '']?.cpuUsPerEvent ?? NaN;
    const entries = Object.entries(measured).flatMap(([name, own]) =>
      own === undefined ? [] : [[name, { ...own, cpuToFirst: own.cpuUsPerEvent / first }]],
    );
    results.push(Object.fromEntries(entries));
  }
  return summarize(results, names, metrics);
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
    containers: only.includes('containers')
      ? await benchRows(runs, CROWDS, measureCrowd, CROWD_METRICS, notes)
      : {},
    capacity: only.includes('capacity') ? await benchCapacity(runs, seconds, notes) : {},
    ...(only.includes('filters')
      ? await benchFilters(runs, seconds, notes)
      : { examples: {}, chain: {}, module: {} }),
    ...(only.includes('curves')
      ? await benchCurves(runs, seconds, notes)
      : { fields: {}, terms: {}, known: {}, gadgets: {} }),
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
