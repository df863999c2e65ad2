// @ts-check
// Measures how the cost of an event grows with the work: fields that are written, terms of a filter, containers that are
// known, gadgets at once.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BINARIES, IG, IMAGES, OUT, PROGRAMS } from './build.js';
import { accountedFor, waitUntilRunning } from './capacity.js';
import { Crowd, waitUntilTracing } from './containers.js';
import { NO_EXECS, measureCost } from './filters.js';
import { execute, lostReported, measureUntraced } from './load.js';
import { Subject, calm, runJson, sum } from './process.js';

/** @typedef {import('./summary.js').Cost<'fields' | 'terms' | 'known'> & { measure: (seconds: number) => Promise<number> }} Curve */

const FIELD_COUNTS = [1, 2, 5, 10, 20, 40];
const TERM_COUNTS = [0, 1, 2, 4, 8, 16];
const CONTAINER_COUNTS = [0, 10, 100, 1000];
const GADGET_COUNTS = [1, 2, 4, 8, 16];
/** Of the fields, those that a user would ask for first; the others follow by name. */
const FIRST_FIELDS = [
  ...['proc.comm', 'args', 'proc.pid', 'timestamp', 'proc.parent.comm'],
  ...['proc.parent.pid', 'proc.creds.user', 'filename', 'error', 'proc.creds.uid'],
];
/** All hold for every event; numbers and texts in turns. */
const TERMS = [
  ...['proc.pid>=0', 'proc.comm!=none', 'proc.parent.pid>=0', 'filename!=none'],
  ...['inode>=0', 'proc.parent.comm!=none', 'proc.creds.uid>=0', 'proc.comm!=other1'],
  ...['proc.creds.gid>=0', 'filename!=other1', 'cgroup_id>=0', 'proc.parent.comm!=other1'],
  ...['dev_major>=0', 'proc.comm!=other2', 'args_count>=0', 'filename!=other2'],
];
/** And half as much for each gadget, as all compile their code at once. */
const WARM_UP_SECONDS = 1;

/** @returns {Promise<Curve[]>} */
export async function findCurves() {
  return [...(await fieldCurves()), ...termCurve(), ...containerCurves()];
}

/** @type {(count: number) => string} */
const fieldsName = (count) => (count === 1 ? '1 field' : `${count} fields`);

/** @returns {Promise<Curve[]>} */
async function fieldCurves() {
  const written = await fieldsWritten();
  const counts = [...FIELD_COUNTS.filter((count) => count < written.length), written.length];
  const base = fieldsName(FIELD_COUNTS[0] ?? 0);
  /** @type {Curve[]} */
  const curves = [];
  for (const count of counts) {
    const name = fieldsName(count);
    for (const metric of /** @type {const} */ (['json', 'columns'])) {
      const flags = ['-o', metric, '--fields', written.slice(0, count).join(',')];
      const pipeline = { name, image: IMAGES.execs, flags };
      const measure = (/** @type {number} */ seconds) => measureCost(pipeline, seconds);
      curves.push({ section: 'fields', name, metric, base, measure });
    }
  }
  return curves;
}

/** The fields that stand in the JSON of a made-up exec. @returns {Promise<string[]>} */
async function fieldsWritten() {
  const script = ['sh', '-c', '"$@" | head -n 1', 'sh'];
  const command = [...script, ...IG, 'run', IMAGES.execs, '--host', '-o', 'json', ...NO_EXECS];
  const subject = new Subject(command, join(OUT, 'fields'));
  try {
    await waitUntilRunning(subject, 'one event');
    await runJson([PROGRAMS.feeder, '0.1', '0']);
  } finally {
    await subject.stop();
  }
  const names = leaves(JSON.parse(readFileSync(subject.outputPath, 'utf8')));
  return [...FIRST_FIELDS, ...names.filter((name) => !FIRST_FIELDS.includes(name))];
}

/** @type {(record: object, prefix?: string) => string[]} */
function leaves(record, prefix = '') {
  return Object.entries(record).flatMap(([name, value]) =>
    typeof value === 'object' && !Array.isArray(value)
      ? leaves(value, `${prefix}${name}.`)
      : [`${prefix}${name}`],
  );
}

/** @returns {Curve[]} */
function termCurve() {
  const nameOf = (/** @type {number} */ count) => (count === 1 ? '1 term' : `${count} terms`);
  return TERM_COUNTS.map((count) => {
    const name = nameOf(count);
    const filter = count === 0 ? [] : ['-F', TERMS.slice(0, count).join(',')];
    const pipeline = { name, image: IMAGES.execsWithoutWasm, flags: [...filter, '-o', 'none'] };
    const measure = (/** @type {number} */ seconds) => measureCost(pipeline, seconds);
    return { section: 'terms', name, metric: 'terms', base: nameOf(TERM_COUNTS[0] ?? 0), measure };
  });
}

/** Events of the host beside so many containers, and events of the containers, each of another than the one before. */
function containerCurves() {
  /** @type {Curve[]} */
  const curves = [];
  const [none, few] = CONTAINER_COUNTS.map((count) => `${count.toLocaleString('en-US')} containers`);
  for (const count of CONTAINER_COUNTS) {
    const name = `${count.toLocaleString('en-US')} containers`;
    /** @type {(metric: string, base: string | undefined) => void} */
    const add = (metric, base = '') => {
      const measure = (/** @type {number} */ seconds) =>
        measureBeside(name, count, metric === 'own', seconds);
      curves.push({ section: 'known', name, metric, base, measure });
    };
    add('host', none);
    if (count > 0) add('own', few);
  }
  return curves;
}

/** @type {(name: string, count: number, isOwn: boolean, seconds: number) => Promise<number>} */
async function measureBeside(name, count, isOwn, seconds) {
  const crowd = await Crowd.start(count);
  try {
    const pipeline = { name, image: IMAGES.execsWithoutWasm, flags: ['-o', 'json', '--runtimes', 'docker'] };
    return await measureCost(isOwn ? { ...pipeline, mntns: crowd.mntns() } : pipeline, seconds);
  } finally {
    await crowd.end();
  }
}

export const GADGETS = GADGET_COUNTS.map((count) => ({
  name: count === 1 ? '1 gadget' : `${count} gadgets`,
  count,
}));

/**
 * @typedef {object} GadgetsResult
 * @property {number} execsPerSecond reached by the load
 * @property {number} keptOfUntraced that divided by what it reached right before without the gadgets
 * @property {number} eventsPerCpuSecond of all gadgets; each has an event of each exec
 * @property {number} cpuUsPerEvent
 * @property {number} missing events that are not in a gadget's account
 * @property {number} lost
 */

/** So many `ig run trace_exec`, under the exec load. @type {(gadgets: typeof GADGETS[number], seconds: number) => Promise<GadgetsResult>} */
export async function measureGadgets({ name, count }, seconds) {
  const untraced = await measureUntraced(seconds / 2);
  const command = [...IG, 'run', 'trace_exec', '--host', '-v', '-o', 'json'];
  const subjects = Array.from(
    { length: count },
    (_, i) => new Subject(command, join(OUT, `gadget-${i}`), '/dev/null'),
  );
  const cpuSeconds = () => sum(subjects.map((subject) => subject.cpuSeconds()));
  try {
    for (const subject of subjects) await waitUntilTracing(subject, name);
    const warm = await execute(BINARIES.warm, WARM_UP_SECONDS * (1 + count / 2));
    await calm(subjects);
    const cpuBefore = cpuSeconds();
    const { executed, seconds: elapsed } = await execute(BINARIES.measured, seconds);
    await calm(subjects);
    const cpu = cpuSeconds() - cpuBefore;
    await Promise.all(subjects.map((subject) => subject.stop()));
    const errors = subjects.map((subject) => subject.errors);
    const events = executed * count;
    return {
      execsPerSecond: executed / elapsed,
      keptOfUntraced: executed / elapsed / untraced,
      eventsPerCpuSecond: events / cpu,
      cpuUsPerEvent: (cpu * 1e6) / events,
      missing: sum(errors.map((words) => Math.max(0, executed + warm.executed - accountedFor(words)))),
      lost: sum(errors.map(lostReported)),
    };
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()));
  }
}
