// How every failure ends: one sentence on stderr, the cause and logs with --verbose, a non-zero exit status.

import { writeSync } from 'node:fs';

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

/** Prints the failure and ends the process. */
export function fail(error: unknown, verbose: boolean): never {
  const message = error instanceof Error ? error.message : String(error);
  say(`Error: ${message.length > MAX_MESSAGE_LENGTH ? `${message.slice(0, MAX_MESSAGE_LENGTH)}…` : message}`);
  if (verbose) detail(error);
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
  try {
    writeSync(2, `${visible(line)}\n`);
  } catch {
    // Nobody reads stderr: there is nowhere left to say so.
  }
}

function detail(error: unknown): void {
  for (let depth = 0; error instanceof Error && depth < 5; depth++) {
    if (depth > 0) say(`caused by: ${error.message}`);
    const log = (error as { log?: unknown }).log;
    if (typeof log === 'string' && log !== '') say(log.trimEnd());
    error = error.cause;
  }
}
