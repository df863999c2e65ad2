// The program as a whole: what it was started with, what it wants to be called for, and how it speaks.

import type { Level } from './wit';

/** The run's log at one level. */
export type LogLine = (text: string) => void;

/** Nobody reads a level that is undefined; `log.debug?.(…)` costs nothing then. */
export interface Log {
  error: LogLine;
  warn: LogLine | undefined;
  info: LogLine | undefined;
  debug: LogLine | undefined;
  trace: LogLine | undefined;
}

export const LEVELS: readonly Level[] = ['error', 'warn', 'info', 'debug', 'trace'];

const params = new Map<string, string>();
const TICK_MIN_MS = 10;
const TICK_MAX_MS = 24 * 60 * 60 * 1000;

/** What was logged since it was taken last: levels and texts, in turns. */
let lines: (number | string)[] = [];

export const handlers = {
  tickMs: 0,
  tick: undefined as ((now: bigint) => void) | undefined,
  finish: undefined as (() => void) | undefined,
  /** False once the program's top level has run: nothing can be declared any more. */
  declaring: true,
};

/** What the program says. */
export const log: Log = {
  error: (text) => void lines.push(0, text),
  warn: undefined,
  info: undefined,
  debug: undefined,
  trace: undefined,
};

/** The value of a parameter; empty if there is none of that key. */
export function param(key: string): string {
  return params.get(key) ?? '';
}

/**
 * Stops the program with this sentence: at its top level, the run does not start; later, the batch is lost, the
 * sentence is shown, and the program starts anew.
 */
export function fail(sentence: string): never {
  throw new Error(sentence);
}

/**
 * What to do every `everyMs` milliseconds, from 10 to a day, also when nothing happens. `now` is on the clock of events'
 * timestamps, in nanoseconds since the machine started.
 */
export function onTick(everyMs: number, handler: (now: bigint) => void): void {
  requireDeclaring('onTick');
  if (!Number.isInteger(everyMs) || everyMs < TICK_MIN_MS || everyMs > TICK_MAX_MS) {
    fail(`onTick is given ${everyMs} ms, but takes a whole number from ${TICK_MIN_MS} to ${TICK_MAX_MS}`);
  }
  handlers.tickMs = everyMs;
  handlers.tick = handler;
}

/** What to do once, after the last event: the last chance to emit. */
export function onFinish(handler: () => void): void {
  requireDeclaring('onFinish');
  handlers.finish = handler;
}

/** Throws when the program's top level has run already. */
export function requireDeclaring(what: string): void {
  if (!handlers.declaring)
    fail(`${what} must be called at the top level of the program, before the first event`);
}

/** Takes what the program was started with. */
export function start(given: readonly (readonly [string, string])[], level: Level): void {
  for (const [key, value] of given) params.set(key, value);
  LEVELS.slice(1, LEVELS.indexOf(level) + 1).forEach((name, i) => {
    log[name] = (text) => void lines.push(i + 1, text);
  });
}

/** What was logged since the last call. */
export function takeLines(): readonly (number | string)[] {
  const taken = lines;
  if (taken.length > 0) lines = [];
  return taken;
}
