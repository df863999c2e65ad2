// Texts for stderr, which do not hold the command up when nobody reads them, and do not fall into a line of the output.

import { fstatSync } from 'node:fs';
import { plainWrite } from '../pipeline/plain-write.js';
import type { SinkPort } from '../pipeline/sink.js';

/** How often a reader that takes nothing is tried again. */
const RETRY_MS = 20;
/** How long the end of the process waits for a reader that takes nothing: Ctrl-C on a terminal is to be answered. */
const END_PATIENCE_MS = 5000;
const TERMINAL_END_PATIENCE_MS = 100;
/** More is not kept for a reader that takes nothing. */
const MAX_WAITING_BYTES = 4 << 20;

let write: SinkPort['write'] | undefined;
let waiting: Buffer = Buffer.alloc(0);
let timer: NodeJS.Timeout | undefined;
let isBusy = (): boolean => false;

/** Writes now, or as soon as the reader takes it. */
export function writeStderr(text: string): void {
  if (write === undefined) {
    write = plainWrite(2);
    process.on('exit', finish);
  }
  if (waiting.length > MAX_WAITING_BYTES) return;
  waiting = Buffer.concat([waiting, Buffer.from(text)]);
  tryToWrite();
}

/** Has texts wait while `busy`, which tells that another thread is in the middle of a line on the same terminal. */
export function deferStderrWhile(busy: () => boolean): void {
  const device = deviceOf(2);
  if (device !== undefined && device === deviceOf(1)) isBusy = busy;
}

function tryToWrite(): void {
  clearTimeout(timer);
  if (!isBusy()) take(0);
  if (waiting.length > 0) timer = setTimeout(tryToWrite, RETRY_MS).unref();
}

/** Returns how many bytes were taken within the time. */
function take(timeoutMs: number): number {
  try {
    const count = write!(2, waiting, 0, waiting.length, timeoutMs);
    waiting = waiting.subarray(count);
    return count;
  } catch {
    // Nobody reads stderr: there is nowhere left to say so.
    waiting = Buffer.alloc(0);
    return 0;
  }
}

/** What still waits when the process ends goes out, if anybody takes it. */
function finish(): void {
  if (waiting.length > 0 && isBusy()) waiting = Buffer.concat([Buffer.from('\n'), waiting]);
  const patienceMs = deviceOf(2) === undefined ? END_PATIENCE_MS : TERMINAL_END_PATIENCE_MS;
  while (waiting.length > 0 && take(patienceMs) > 0);
}

/** Which terminal a descriptor is, or other character device; not by isatty, whose module takes milliseconds to load. */
function deviceOf(fd: number): number | undefined {
  try {
    const stat = fstatSync(fd);
    return stat.isCharacterDevice() ? stat.rdev : undefined;
  } catch {
    return undefined;
  }
}
