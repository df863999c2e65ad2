// @ts-check
// `make test-kernels`: runs the tests that look closest at the kernel on this machine's kernel and on several of
// Debian's, each in a virtual machine, one after the other; then prints a table of kernels and tests.
//
//   node test/kernels/kernels.js [--only this,6.1,…] [--all] [--tests FILE,…] [--cache DIR] [--timeout SECONDS]
//   node test/kernels/kernels.js --markdown docs/kernels.md       puts the table there, too, between its marks
//   node test/kernels/kernels.js --only 6.1 --run 'uname -r'      a command of yours, on that kernel

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { findQemu, runInGuest } from './guest.js';
import { intoMarkdown, summary, tableOf } from './table.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FETCH = fileURLToPath(new URL('fetch.sh', import.meta.url));
const THIS = 'this';
const MARK = '@result ';

/**
 * What the release looks like in Debian's archive, which drops old ones as new ones come.
 * @type {readonly (readonly [name: string, release: string])[]}
 */
const KERNELS = [
  ['5.10', '5\\.10\\.[0-9]+-[0-9]+-amd64'],
  ['6.1', '6\\.1\\.[0-9]+-[0-9]+-amd64'],
  ['6.12', '6\\.12\\.[0-9]+\\+deb[0-9]+-amd64'],
  ['6.18', '6\\.18\\.[0-9]+\\+deb[0-9]+-amd64'],
  ['newest', '[0-9]+\\.[0-9]+(\\.[0-9]+)?\\+deb[0-9]+-amd64'],
];

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: [THIS, ...KERNELS.map(([name]) => name)].join(',') },
    tests: { type: 'string', default: 'test/kernels' },
    all: { type: 'boolean', default: false },
    run: { type: 'string' },
    markdown: { type: 'string' },
    cache: { type: 'string', default: process.env['IG_KERNELS'] ?? '/var/cache/ig-kernels' },
    timeout: { type: 'string', default: '1800' },
  },
});

/** @type {(text: string) => void} */
function progress(text) {
  process.stderr.write(`${text}\n`);
}

/**
 * Tells the process that has started this one (test/guests.ts), if it listens.
 * @type {(column: import('./table.js').Column) => void}
 */
function tell(column) {
  process.send?.(column);
}

/** @type {(...args: string[]) => Promise<void>} */
async function fetch(...args) {
  try {
    await promisify(execFile)(FETCH, [flags.cache, ...args]);
  } catch (error) {
    const said = /** @type {{ stderr?: string, message: string }} */ (error);
    throw new Error((said.stderr || said.message).trim().split('\n').at(-1), { cause: error });
  }
}

/** What a guest, or this machine, runs. */
function command() {
  const tests = flags.all ? '' : flags.tests.replaceAll(',', ' ');
  return flags.run ?? `node_modules/.bin/vitest run --config test/kernels/vitest.config.ts ${tests}`;
}

/**
 * Takes results out of what the tests print, and shows how they go on.
 * @type {(column: import('./table.js').Column) => { take: (text: string) => void }}
 */
function listener(column) {
  const { name, results } = column;
  const begin = Date.now();
  let rest = '';
  return {
    take(text) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (!line.startsWith(MARK)) {
          if (line !== '') progress(line);
          continue;
        }
        const result = /** @type {import('./table.js').Result} */ (JSON.parse(line.slice(MARK.length)));
        results.push(result);
        tell({ ...column, running: true });
        const note = result.note === '' ? '' : `: ${result.note}`;
        const seconds = Math.round((Date.now() - begin) / 1000);
        progress(`${name} ${seconds} s: ${result.state}: ${result.group}: ${result.name}${note}`);
      }
    },
  };
}

/** @type {(take: (text: string) => void) => Promise<{ status: number, seconds: number }>} */
async function runHere(take) {
  const begin = Date.now();
  const child = spawn('bash', ['-c', command()], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.on('data', (/** @type {Buffer} */ bytes) => take(bytes.toString()));
  const [status] = /** @type {[number | null]} */ (await once(child, 'close'));
  return { status: status ?? 1, seconds: Math.round((Date.now() - begin) / 1000) };
}

/** Translates the tests' modules where guests read them, as it takes them long. */
async function translateTests() {
  const words = ['list', '--config', 'test/kernels/vitest.config.ts', ...flags.tests.split(',')];
  // What is wrong with one of them, the guest will tell.
  await promisify(execFile)('node_modules/.bin/vitest', words).catch(() => undefined);
}

/** @type {(name: string, take: (text: string) => void) => Promise<import('./guest.js').Outcome>} */
async function runThere(name, take) {
  if (flags.run === undefined) await translateTests();
  const tools = join(flags.cache, 'tools');
  const kernel = join(flags.cache, name);
  const job = { kernel, command: command(), timeoutSeconds: Number(flags.timeout), onOutput: take };
  return runInGuest(findQemu(tools), tools, job);
}

/**
 * The release of the kernel of that name, once it is in the cache.
 * @type {(name: string, pattern: string, others: readonly import('./table.js').Column[]) => Promise<string>}
 */
async function prepare(name, pattern, others) {
  await fetch('tools');
  await fetch('kernel', name, pattern);
  const found = readFileSync(join(flags.cache, name, 'release'), 'utf8').trim();
  const same = others.find(({ release }) => release === found);
  if (same !== undefined) throw new Error(`${found} is that of ${same.name}`);
  return found;
}

/** @type {(name: string, others: readonly import('./table.js').Column[]) => Promise<import('./table.js').Column>} */
async function columnOf(name, others) {
  /** @type {import('./table.js').Column} */
  const column = { name, release: release(), seconds: 0, results: [] };
  const pattern = KERNELS.find(([known]) => known === name)?.[1];
  if (name !== THIS) {
    if (pattern === undefined)
      throw new Error(
        `there is no kernel ${name}: --only takes ${THIS}, ${KERNELS.map(([known]) => known).join(', ')}`,
      );
    try {
      column.release = await prepare(name, pattern, others);
    } catch (error) {
      return { ...column, release: '', skipped: /** @type {Error} */ (error).message };
    }
  }
  progress(`\n${name}: Linux ${column.release}`);
  const { take } = listener(column);
  const outcome = name === THIS ? await runHere(take) : await runThere(name, take);
  column.seconds = outcome.seconds;
  if ('failure' in outcome) column.failure = outcome.failure;
  else if (outcome.status !== 0 && !column.results.some(({ state }) => state === 'failed'))
    column.failure = `the command ended with status ${outcome.status}`;
  return column;
}

process.chdir(ROOT);
// Guests end with this process, and this process with the one that it tells of them.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
const abandoned = () => process.exit(1);
process.on('disconnect', abandoned);
/** @type {import('./table.js').Column[]} */
const columns = [];
for (const name of flags.only.split(',')) {
  const column = await columnOf(name, columns);
  columns.push(column);
  tell(column);
}
process.off('disconnect', abandoned);
if (process.connected) process.disconnect();
const { text, failed } = summary(columns);
if (flags.markdown !== undefined) {
  writeFileSync(flags.markdown, intoMarkdown(readFileSync(flags.markdown, 'utf8'), columns));
}
process.stdout.write(`\n${tableOf(columns)}\n\n${text}\n`);
process.exitCode = failed > 0 ? 1 : 0;
