// @ts-check
// Traces execs at a steady rate for as long as asked: memory and descriptors must stay flat, the account exact.
//
//   node test/soak/soak.js [--seconds 3600] [--rate N]     as root, after `make build`; see docs/operate.md
//
// Without --rate, at half of what this machine can execute while it is traced. Ends with status 1 when something grows,
// or events are missing.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const IG = fileURLToPath(new URL('../../dist/runtime/cli/ig.js', import.meta.url));
const PROGRAMS = fileURLToPath(new URL('../live/programs', import.meta.url));
const COMM = 'ig-soak';
const FLAGS = [
  'run',
  'trace_exec',
  '--host',
  '--comm',
  COMM,
  '--paths',
  '--exits',
  '--hash',
  '-o',
  'json',
  '-v',
];
/** An exec and an exit. */
const EVENTS_PER_EXEC = 2;
const CEILING_SECONDS = 3;
/** The part of the run in which memory may still grow, and the number of looks at it in all. */
const WARM_UP = 0.4;
const LOOKS = 60;
/** What garbage not yet collected may differ by, in MB of 10^6 bytes: at first, and after many minutes. */
const MAX_GROWTH_MB = { short: 5, long: 20 };
const LONG_SECONDS = 300;

/** @typedef {{ memoryMb: number, fds: number, threads: number }} Look */

/** @type {(line: string) => void} */
function say(line) {
  process.stdout.write(`${line}\n`);
}

/** @type {(text: string, key: string) => number} */
function numberOf(text, key) {
  return Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text)?.[1]);
}

/**
 * ig and its children; files it has mapped do not count.
 * @type {(pid: number) => Look}
 */
function look(pid) {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  const sum = { memoryMb: 0, fds: 0, threads: 0 };
  for (const one of [String(pid), ...children]) {
    const status = readFileSync(`/proc/${one}/status`, 'utf8');
    sum.memoryMb += (numberOf(status, 'RssAnon') * 1024) / 1e6;
    sum.threads += numberOf(status, 'Threads');
    sum.fds += readdirSync(`/proc/${one}/fd`).length;
  }
  return sum;
}

/** Runs a program to its end; returns the number it prints. @type {(program: string, ...words: unknown[]) => Promise<number>} */
async function run(program, ...words) {
  const child = spawn(program, words.map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (/** @type {Buffer} */ bytes) => (text += bytes.toString()));
  await once(child, 'close');
  return Number(text);
}

class Traced {
  lines = 0;
  errors = '';
  /** @type {import('node:child_process').ChildProcessByStdio<null, import('node:stream').Readable, import('node:stream').Readable>} */ #child;
  /** @type {Promise<unknown>} */ #closed;

  constructor() {
    this.#child = spawn(process.execPath, [IG, ...FLAGS], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#closed = once(this.#child, 'close');
    process.once('exit', () => this.#child.kill('SIGKILL'));
    this.#child.stderr.on('data', (/** @type {Buffer} */ bytes) => (this.errors += bytes.toString()));
    this.#child.stdout.on('data', (/** @type {Buffer} */ bytes) => {
      for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) this.lines++;
    });
  }

  get pid() {
    return this.#child.pid ?? 0;
  }

  async begin() {
    while (!/^Tracing\.$/m.test(this.errors)) {
      if (this.#child.exitCode !== null) throw new Error(this.errors);
      await sleep(20);
    }
  }

  /** @returns {Promise<{ delivered: number, lost: number }>} */
  async end() {
    this.#child.kill('SIGINT');
    await this.#closed;
    const account = /^(\d+) events delivered.*?, (\d+) lost/m.exec(this.errors);
    if (account === null) throw new Error(`no account in: ${this.errors}`);
    return { delivered: Number(account[1]), lost: Number(account[2]) };
  }
}

/** What has grown, by more than `allowedMb`. @type {(looks: readonly Look[], allowedMb: number) => string[]} */
function growthOf(looks, allowedMb) {
  const settled = looks.slice(Math.floor(looks.length * WARM_UP));
  const middle = Math.floor(settled.length / 2);
  /** @type {(part: readonly Look[], key: keyof Look) => number} */
  const median = (part, key) => part.map((one) => one[key]).sort((a, b) => a - b)[part.length >> 1] ?? NaN;
  return /** @type {const} */ (['memoryMb', 'fds', 'threads']).flatMap((key) => {
    const [before, after] = [settled.slice(0, middle), settled.slice(middle)].map((part) =>
      median(part, key),
    );
    const allowed = key === 'memoryMb' ? allowedMb : 0;
    const growth = (after ?? NaN) - (before ?? NaN);
    return growth <= allowed ? [] : [`${key} grew from ${before?.toFixed(1)} to ${after?.toFixed(1)}`];
  });
}

/** @type {(seconds: number, rate: number, programs: { tiny: string, pace: string }) => Promise<string[]>} */
async function soak(seconds, rate, { tiny, pace }) {
  const isLong = seconds >= LONG_SECONDS;
  const traced = new Traced();
  await traced.begin();
  /** @type {Look[]} */
  const looks = [];
  const timer = setInterval(
    () => {
      looks.push(look(traced.pid));
      if (isLong) say(`${describe(looks.at(-1))}, ${traced.lines} events`);
    },
    (seconds * 1000) / LOOKS,
  );
  const executed = await run(pace, tiny, rate, seconds);
  clearInterval(timer);
  const { delivered, lost } = await traced.end();
  say(
    `${executed} execs in ${seconds} s: ${delivered} events delivered, ${lost} lost, ${traced.lines} printed`,
  );
  say(`first: ${describe(looks[0])}; last: ${describe(looks.at(-1))}`);
  const mistakes = growthOf(looks, isLong ? MAX_GROWTH_MB.long : MAX_GROWTH_MB.short);
  if (delivered + lost !== executed * EVENTS_PER_EXEC) mistakes.push('events are missing in the account');
  if (traced.lines !== delivered) mistakes.push('what was printed is not what was delivered');
  if (executed === 0) mistakes.push('nothing was executed');
  return mistakes;
}

/** @type {(one: Look | undefined) => string} */
function describe(one) {
  return `${one?.memoryMb.toFixed(1)} MB, ${one?.fds} descriptors, ${one?.threads} threads`;
}

/** Execs per second, flat out and traced. @type {(programs: { tiny: string, burst: string }) => Promise<number>} */
async function ceiling({ tiny, burst }) {
  const traced = new Traced();
  await traced.begin();
  const endMs = performance.now() + CEILING_SECONDS * 1000;
  let executed = 0;
  while (performance.now() < endMs) executed += await run(burst, 1000, tiny);
  await traced.end();
  return executed / CEILING_SECONDS;
}

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '3600' }, rate: { type: 'string' } },
});
const directory = mkdtempSync(join(tmpdir(), 'ig-soak-'));
/** @type {(name: string, output: string, ...flags: string[]) => string} */
const build = (name, output, ...flags) => {
  execFileSync('cc', [
    '-O2',
    '-static',
    ...flags,
    join(PROGRAMS, `${name}.c`),
    '-o',
    join(directory, output),
  ]);
  return join(directory, output);
};
try {
  const programs = {
    tiny: build('tiny', COMM, '-nostdlib', '-ffreestanding', '-fno-stack-protector'),
    burst: build('burst', 'burst'),
    pace: build('pace', 'pace'),
  };
  const rate = Math.floor(Number(values.rate ?? (await ceiling(programs)) / 2));
  say(`${rate} execs a second for ${values.seconds} s`);
  const mistakes = await soak(Number(values.seconds), rate, programs);
  for (const mistake of mistakes) say(mistake);
  process.exitCode = mistakes.length > 0 ? 1 : 0;
} finally {
  rmSync(directory, { recursive: true });
}
