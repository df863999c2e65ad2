// Starts guests of other kernels beside the tests: they use the processor only while nobody else does.

import { fork } from 'node:child_process';
import { closeSync, mkdirSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';

/** What a test came to in a guest. */
export interface GuestResult {
  readonly file: string;
  readonly group: string;
  readonly name: string;
  readonly state: 'passed' | 'failed' | 'skipped' | 'pending';
  /** Why it failed, or was skipped. */
  readonly note: string;
}

/** A kernel, as kernels/kernels.js tells it whenever a test has ended. */
export interface Guest {
  readonly name: string;
  readonly release: string;
  readonly results: readonly GuestResult[];
  /** Why there are no results. */
  readonly skipped?: string;
  /** What went wrong beside them. */
  readonly failure?: string;
  /** Whether more will come. */
  readonly running?: true;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** Files: a GuestReport, and the log of the guests' tests. */
    guests: { readonly report: string; readonly log: string };
  }
}

export interface GuestReport {
  readonly guests: readonly Guest[];
  readonly complete: boolean;
}

export const KERNELS = ['6.1', 'newest'];
/** What depends most on the kernel. `make test-kernels` runs all. */
const TESTS = ['hooks', 'trace-exec'];

/** Of vitest's project `guests`: runs before all tests, when test/guests.test.ts is among them. */
export default function start(project: TestProject): () => void {
  const folder = fileURLToPath(new URL('../build/kernels/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  const [report, log] = [join(folder, 'guests.json'), join(folder, 'guests.log')];
  const guests = new Map<string, Guest>();
  const write = (complete: boolean): void => {
    const content: GuestReport = { guests: [...guests.values()], complete };
    writeFileSync(`${report}.new`, JSON.stringify(content));
    renameSync(`${report}.new`, report);
  };
  write(false);
  const output = openSync(log, 'w');
  const tests = TESTS.map((name) => `test/kernels/${name}.test.ts`).join();
  const script = fileURLToPath(new URL('kernels/kernels.js', import.meta.url));
  const child = fork(script, ['--only', KERNELS.join(), '--tests', tests], {
    execPath: 'nice',
    execArgv: ['-n', '19', 'chrt', '--idle', '0', process.execPath],
    stdio: ['ignore', output, output, 'ipc'],
  });
  closeSync(output);
  child.on('message', (message) => {
    const guest = message as Guest;
    guests.set(guest.name, guest);
    write(false);
  });
  child.on('exit', () => write(true));
  project.provide('guests', { report, log });
  return () => {
    // It ends with that, and its guests with it.
    if (child.connected) child.disconnect();
  };
}
