// @ts-check
// A program under measurement: started, watched through /proc, and stopped as its user would.

import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** USER_HZ, what /proc/PID/stat counts in, on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;
const STOP_TIMEOUT_MS = 10_000;
const CALM_LOOK_MS = 300;
const CALM_LOOKS = 100;
/** Of one CPU, for each program. */
const CALM_SHARE = 0.1;

/** @typedef {{ peakMb: number, steadyMb: number }} Memory megabytes of 10^6 bytes, of the process and its children */

export class Subject {
  /** @type {string} */ outputPath;
  /** @type {string} */ errorPath;
  /** @type {import('node:child_process').ChildProcess} */ #child;
  /** @type {Promise<string>} */ #ended;

  /**
   * Starts `command` with its output in files `PATH.out` and `PATH.err`; `output` goes elsewhere.
   * @param {readonly string[]} command
   * @param {string} path
   * @param {string} [output]
   */
  constructor(command, path, output) {
    this.outputPath = output ?? `${path}.out`;
    this.errorPath = `${path}.err`;
    const files = [openSync(this.outputPath, 'w'), openSync(this.errorPath, 'w')];
    const [program = '', ...args] = command;
    this.#child = spawn(program, args, { stdio: ['ignore', ...files] });
    files.forEach(closeSync);
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
  }

  /** @returns {boolean} */
  get running() {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get outputBytes() {
    return statSync(this.outputPath).size;
  }

  get errors() {
    return readFileSync(this.errorPath, 'utf8');
  }

  /** User and system time so far, of all threads of it and its children that still run, in seconds. */
  cpuSeconds() {
    const threads = this.#tree().flatMap((pid) =>
      readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}`),
    );
    return sum(threads.map(threadCpuSeconds));
  }

  /** @returns {Memory} */
  memory() {
    const statuses = this.#tree().map((pid) => readFileSync(`/proc/${pid}/status`, 'utf8'));
    /** @type {(key: string) => number} */
    const total = (key) =>
      sum(statuses.map((text) => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0)));
    return { peakMb: (total('VmHWM') * 1024) / 1e6, steadyMb: (total('VmRSS') * 1024) / 1e6 };
  }

  /** Interrupts it as Ctrl-C does and waits for its end. */
  async stop() {
    if (this.running) this.#child.kill('SIGINT');
    const late = sleep(STOP_TIMEOUT_MS, undefined, { ref: false }).then(() => this.#child.kill('SIGKILL'));
    await Promise.race([this.#ended, late]);
    return this.#ended;
  }

  /** @returns {number[]} */
  #tree() {
    if (!this.running) throw new Error(`it has ended: ${this.errors.trim().split('\n').at(-1)}`);
    /** @type {number[]} */
    const pids = this.#child.pid === undefined ? [] : [this.#child.pid];
    for (const pid of pids) {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
      if (children !== '') pids.push(...children.split(' ').map(Number));
    }
    return pids;
  }
}

/**
 * Waits until they have done what they had begun, and hardly use the CPU any more; not for ever.
 * @type {(subjects: readonly Subject[]) => Promise<void>}
 */
export async function calm(subjects) {
  let before = NaN;
  for (let look = 0; look < CALM_LOOKS; look++) {
    const cpuSeconds = sum(subjects.map((subject) => subject.cpuSeconds()));
    if (cpuSeconds - before < (CALM_SHARE * subjects.length * CALM_LOOK_MS) / 1000) return;
    before = cpuSeconds;
    await sleep(CALM_LOOK_MS);
  }
}

/**
 * The scheduler's own nanoseconds where the kernel shows them: a tick is too long for a tracer that hardly runs.
 * @type {(thread: string) => number}
 */
function threadCpuSeconds(thread) {
  try {
    return Number(readFileSync(`${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e9;
  } catch {
    return threadCpuTicks(thread) / TICKS_PER_SECOND;
  }
}

/** @type {(thread: string) => number} */
function threadCpuTicks(thread) {
  try {
    const fields = readFileSync(`${thread}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return 0; // it has just ended
  }
}

/** @type {(numbers: readonly number[]) => number} */
export function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

/**
 * Runs a program of ours to its end; its last line of output, which is JSON. `onLine` hears each line.
 * @type {(command: readonly string[], onLine?: (line: string) => void) => Promise<any>}
 */
export function runJson(command, onLine = () => undefined) {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => (errors += chunk));
  child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => {
    text += chunk;
  });
  return new Promise((resolve, reject) => {
    child.stdout.on('data', (/** @type {string} */ chunk) => {
      try {
        chunk.split('\n').slice(0, -1).forEach(onLine);
      } catch (error) {
        reject(error);
      }
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(JSON.parse(text.trim().split('\n').at(-1) ?? ''));
      else reject(new Error(`${program} ended with exit code ${code}: ${errors.trim()}`));
    });
  });
}
