// @ts-check
// Runs what uses the native addon where mistakes with memory show, and fails when there is one:
//
//   node test/sanitizers/sanitizers.js [address] [tests] [threads] [valgrind]
//
// `address`: exercise.js under AddressSanitizer, UndefinedBehaviorSanitizer and LeakSanitizer.
// `tests`: the addon's own tests, and those that end its threads, under the first two.
// `threads`: exercise.js under ThreadSanitizer: what the addon's threads share.
// `valgrind`: exercise.js under valgrind, which looks into libbpf and libelf, too; takes minutes.
//
// `make test-sanitizers` builds what it needs first. Node and V8 are not built for any of it: what they do among themselves is not looked at.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BUILD = join(ROOT, 'build/sanitizers');
const ADDON = join(ROOT, 'dist/bpf/addon/ig_bpf.node');
const EXERCISE = fileURLToPath(new URL('exercise.js', import.meta.url));
const TESTS = ['addon', 'below', 'sandbox', 'swap', 'trace-exec'].map((name) => `test/live/${name}.test.ts`);

/** Puts another addon in the place of the built one, for one program and its children only. */
const IN_PLACE = 'mount --bind "$0" "$1" && shift && exec "$@"';

const WITH_TRACEFS =
  '[ -d /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"';

/** Of all leaks, those of what the addon, or libbpf for it, has asked for. */
const OURS = /\((?:[^)]*\/)?(?:ig_bpf\.node|libbpf\.so[^+]*|libelf\.so[^+]*)\+0x/;
/** Node frees a promise's deferred only when it is settled, which it refuses to an environment that ends. */
const NOT_OURS = /napi_create_promise/;

/** @type {Record<string, () => void>} */
const PARTS = {
  address() {
    underAddress('address', [process.execPath, EXERCISE, '5'], {
      // What libbpf allocates is built without frame pointers, so that the exact way of walking the stack is needed.
      ASAN_OPTIONS: 'detect_leaks=1:fast_unwind_on_malloc=0:malloc_context_size=25',
      LSAN_OPTIONS: 'exitcode=0',
    });
  },
  tests() {
    const vitest = ['node_modules/.bin/vitest', 'run', '--config', 'test/vitest.config.ts', ...TESTS];
    // A test looks at memory that grows: what is freed must not be kept for long.
    underAddress('tests', vitest, { ASAN_OPTIONS: 'detect_leaks=0:quarantine_size_mb=2' });
  },
  threads() {
    // It needs the memory at the usual addresses, from its first program on.
    const settings = [
      `LD_PRELOAD=${runtimeLibrary('tsan')}`,
      'TSAN_OPTIONS=ignore_noninstrumented_modules=1',
    ];
    const command = ['setarch', '-R', 'env', ...settings, process.execPath, EXERCISE, '5'];
    run('threads', withAddon('threads', command), {});
  },
  valgrind() {
    const suppressions = fileURLToPath(new URL('valgrind.supp', import.meta.url));
    // It cannot tell what is undefined: it does not know what the kernel writes into the verifier's log, nor V8's code.
    const flags = ['--undef-value-errors=no', '--error-exitcode=9', '--num-callers=30', '--fair-sched=try'];
    const command = [
      'valgrind',
      '-q',
      ...flags,
      `--suppressions=${suppressions}`,
      process.execPath,
      EXERCISE,
      '1',
    ];
    // Nor does it know the system calls by which ig mounts tracefs where it is not.
    run('valgrind', ['unshare', '-m', 'sh', '-c', WITH_TRACEFS, 'sh', ...command], {});
  },
};

/**
 * Runs a program with the addon for AddressSanitizer, and its children likewise.
 * @type {(part: string, command: readonly string[], options: Record<string, string>) => void}
 */
function underAddress(part, command, options) {
  const reports = join(BUILD, part);
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports, { recursive: true });
  const log = `:log_path=${join(reports, 'report')}`;
  const env = {
    LD_PRELOAD: ['asan', 'ubsan', 'stdc++'].map(runtimeLibrary).join(':'),
    UBSAN_OPTIONS: `print_stacktrace=1${log}`,
    ...options,
    ASAN_OPTIONS: options['ASAN_OPTIONS'] + log,
  };
  try {
    run(part, withAddon('address', command), env);
  } finally {
    judge(part, reports);
  }
}

/** The command with the addon that is built for this. @type {(kind: string, command: readonly string[]) => string[]} */
function withAddon(kind, command) {
  const addon = join(BUILD, `${kind}.node`);
  if (!existsSync(addon)) throw new Error(`${addon} is missing: run "make test-sanitizers"`);
  return ['unshare', '-m', 'sh', '-c', IN_PLACE, addon, ADDON, ...command];
}

/** @type {(name: string) => string} */
function runtimeLibrary(name) {
  return execFileSync('g++', [`-print-file-name=lib${name}.so`], { encoding: 'utf8' }).trim();
}

/** @type {(part: string, command: readonly string[], env: Record<string, string>) => void} */
function run(part, [program = '', ...args], env) {
  const started = performance.now();
  const { status, signal, error } = spawnSync(program, args, {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (error !== undefined) throw error;
  if (status !== 0) fail(`${part} ended with ${signal ?? `exit code ${status}`}`);
  process.stdout.write(`${part}: ${Math.round((performance.now() - started) / 1000)} s\n`);
}

/** Prints what is wrong of what the sanitizers reported. @type {(part: string, reports: string) => void} */
function judge(part, reports) {
  for (const name of readdirSync(reports)) {
    const text = readFileSync(join(reports, name), 'utf8');
    const leaks = text.split(/^(?=(?:Direct|Indirect) leak of )/m).slice(1);
    const ours = leaks.filter((leak) => OURS.test(leak) && !NOT_OURS.test(leak));
    const wrong = leaks.length === 0 ? text : ours.join('');
    if (wrong !== '') fail(`${part}, see ${join(reports, name)}:\n${wrong}`);
  }
}

/** @type {(words: string) => void} */
function fail(words) {
  process.stderr.write(`${words}\n`);
  process.exitCode = 1;
}

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PARTS);
const unknown = wanted.find((name) => !(name in PARTS));
if (unknown !== undefined) throw new Error(`the parts are ${Object.keys(PARTS).join(', ')}, not ${unknown}`);
for (const name of wanted) PARTS[name]?.();
