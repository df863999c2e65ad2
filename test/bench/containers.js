// @ts-check
// Measures what the number of containers costs: the same number of events, from few containers and from many.

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { IG, OUT, PROGRAMS } from './build.js';
import { accountedFor } from './capacity.js';
import { lostReported } from './load.js';
import { Subject } from './process.js';

/** Every event is of another container than the one before, in both rows. */
export const CROWDS = [
  { name: '10 containers', count: 10 },
  { name: '1,000 containers', count: 1000 },
];
const EVENTS = 10_000;
const WARM_UP_EVENTS = 3000;
const SETTLE_MS = 300;
const START_TIMEOUT_MS = 20_000;
const POLL_MS = 20;

/**
 * @typedef {object} CrowdResult
 * @property {number} cpuUsPerEvent user and system time of ig, in µs per event
 * @property {number} eventsPerSecond as fast as the containers executed
 * @property {number} missing events sent that are not delivered
 * @property {number} lost by ig's own account
 */

/** @type {(crowd: typeof CROWDS[number]) => Promise<CrowdResult>} */
export async function measureCrowd({ name, count }) {
  const crowd = await Crowd.start(count);
  const command = [...IG, 'run', 'trace_exec', '-o', 'json', '-v', '--runtimes', 'docker'];
  const subject = new Subject(command, join(OUT, 'containers'));
  try {
    await waitUntilTracing(subject, name);
    await crowd.execute(WARM_UP_EVENTS / count);
    await sleep(SETTLE_MS);
    const cpuBefore = subject.cpuSeconds();
    const startedMs = performance.now();
    await crowd.execute(EVENTS / count);
    const seconds = (performance.now() - startedMs) / 1000;
    await sleep(SETTLE_MS);
    const cpuSeconds = subject.cpuSeconds() - cpuBefore;
    await subject.stop();
    return {
      cpuUsPerEvent: (cpuSeconds * 1e6) / EVENTS,
      eventsPerSecond: EVENTS / seconds,
      missing: EVENTS + WARM_UP_EVENTS - accountedFor(subject.errors),
      lost: lostReported(subject.errors),
    };
  } finally {
    await subject.stop();
    await crowd.end();
  }
}

/** Waits until its programs are attached. @type {(subject: Subject, name: string) => Promise<void>} */
export async function waitUntilTracing(subject, name) {
  for (let waitedMs = 0; waitedMs < START_TIMEOUT_MS; waitedMs += POLL_MS) {
    await sleep(POLL_MS);
    if (!subject.running) break;
    if (/^Tracing\.$/m.test(subject.errors)) return;
  }
  throw new Error(`ig did not start for ${name}: ${subject.errors.trim()}`);
}

/** Containers as far as the kernel can tell, see test/engines/many.c. */
export class Crowd {
  /** @type {import('node:child_process').ChildProcess} */ #child;
  /** @type {string} */ #cgroups;
  #said = '';

  /** @type {(count: number) => Promise<Crowd>} */
  static async start(count) {
    const mount = /^cgroup2 (\S+) /m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1];
    if (mount === undefined) throw new Error('no cgroup v2 tree is mounted');
    const cgroups = join(mount, `ig-bench-${process.pid}`);
    mkdirSync(cgroups);
    const crowd = new Crowd(cgroups, count);
    await crowd.#until('ready', 1);
    return crowd;
  }

  /** @param {string} cgroups @param {number} count */
  constructor(cgroups, count) {
    this.#cgroups = cgroups;
    this.#child = spawn(PROGRAMS.many, [String(count), cgroups], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.stdout?.on('data', (chunk) => (this.#said += String(chunk)));
  }

  /** Has every container execute a program, `rounds` times. @param {number} rounds */
  async execute(rounds) {
    this.#said = '';
    this.#child.stdin?.write('\n'.repeat(rounds));
    await this.#until('done', rounds);
  }

  /** The mount namespaces of the containers. @returns {number[]} */
  mntns() {
    return this.#names().map((name) => {
      const pid = readFileSync(join(this.#cgroups, name, 'cgroup.procs'), 'utf8').trim();
      return statSync(`/proc/${pid}/ns/mnt`).ino;
    });
  }

  async end() {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin?.end();
    await ended;
    for (const name of this.#names()) rmdirSync(join(this.#cgroups, name));
    rmdirSync(this.#cgroups);
  }

  #names() {
    return readdirSync(this.#cgroups).filter((name) => name.length === 64);
  }

  /** @param {string} word @param {number} times */
  async #until(word, times) {
    while (this.#said.split(word).length <= times) {
      if (this.#child.exitCode !== null) throw new Error(`${PROGRAMS.many} ended`);
      await sleep(POLL_MS);
    }
  }
}
