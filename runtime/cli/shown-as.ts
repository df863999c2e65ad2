// What the flags ask of the output, as a pipeline takes it: the same for what runs and what is replayed.

import { isatty } from 'node:tty';
import type { OutputRequest } from '../pipeline/messages.js';
import type { OutputFlags } from './run-flags.js';

export interface ShownAs {
  readonly output: OutputRequest;
  readonly filters: readonly string[];
  readonly sort?: string;
  readonly maxEntries: number;
}

export function shownAs({ output, fields, filter, sort, maxEntries }: OutputFlags): ShownAs {
  return {
    output: {
      mode: output,
      fd: 1,
      ...(fields === undefined ? {} : { fields }),
      ...(isatty(1) ? { widthColumns: terminalWidth() } : {}),
    },
    filters: filter,
    maxEntries,
    ...(sort === undefined ? {} : { sort }),
  };
}

export function terminalWidth(): number {
  return process.stdout.columns || 80;
}
