// How every failure ends: one sentence on stderr, the cause and logs with --verbose, a non-zero exit status.

import { writeStderr } from './stderr.js';

/** A flag or argument that is not right. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** Failures whose remedy is another command line: exit status 2, others 1. */
const MISTAKES = new Set([
  'UsageError',
  'ParamError',
  'OutputError',
  'OperatorError',
  'ScopeError',
  'SelectorError',
  'InvalidReferenceError',
  'ConfigError',
]);

/** What is longer is cut: a sentence, or a list of mistakes in a file, that quotes without end. */
const MAX_MESSAGE_LENGTH = 10_000;

/** What the limits of a process cause anywhere, by the codes of errors: what to do. */
const LIMITS: readonly (readonly [code: RegExp, sentence: string])[] = [
  [
    // The second is how the dynamic loader says it.
    /\bEMFILE\b|: Too many open files/,
    'ig may not have enough files open at a time; raise that limit, as with `ulimit -n 1024`, and try again',
  ],
  [/\bENFILE\b/, 'the machine has too many files open (fs.file-max)'],
  [
    /\bERR_WORKER_INIT_FAILED\b/,
    'ig may not start enough threads; raise that limit (pids.max of its cgroup, `ulimit -u`), and try again',
  ],
  [
    /^ENOMEM: |^spawn .* ENOMEM\b|^Array buffer allocation failed|could not allocate memory/,
    'there is not enough memory for ig, which needs some 150 MB; look at limits of its cgroup, and `ulimit -v`',
  ],
  [
    /Cannot allocate Wasm memory/,
    'there is not enough address space for the Wasm module, which takes 10 GB of it, and uses little; raise `ulimit -v`',
  ],
];

function messageOf(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const text = `${cause.message} ${(cause as NodeJS.ErrnoException).code ?? ''}`;
    const limit = LIMITS.find(([code]) => code.test(text));
    if (limit !== undefined) return limit[1];
  }
  return error instanceof Error ? error.message : String(error);
}

/** Prints the failure and ends the process. */
export function fail(error: unknown, verbose: boolean): never {
  const message = messageOf(error);
  say(`Error: ${message.length > MAX_MESSAGE_LENGTH ? `${message.slice(0, MAX_MESSAGE_LENGTH)}…` : message}`);
  if (verbose) detail(error, message);
  process.exit(error instanceof Error && MISTAKES.has(error.name) ? 2 : 1);
}

/** Text with the control characters of what is foreign in it, and those that turn its direction, made visible. */
export function visible(text: string): string {
  return text.replace(
    /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => {
      const code = character.charCodeAt(0);
      return code < 256
        ? `\\x${code.toString(16).padStart(2, '0')}`
        : `\\u${code.toString(16).padStart(4, '0')}`;
    },
  );
}

/** Prints a line to stderr. */
export function say(line: string): void {
  writeStderr(`${visible(line)}\n`);
}

function detail(error: unknown, told: string): void {
  for (let depth = 0; error instanceof Error && depth < 5; depth++) {
    if (error.message !== told) say(`caused by: ${error.message}`);
    const log = (error as { log?: unknown }).log;
    if (typeof log === 'string' && log !== '') say(log.trimEnd());
    error = error.cause;
  }
}
