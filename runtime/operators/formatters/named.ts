// Formatters that look numbers up: error numbers, signals, system calls.

import { numberReaderOf } from '../../data/field.js';
import { ERRNO_NAMES } from '../tables/errno.js';
import { SIGNAL_NAMES } from '../tables/signals.js';
import { syscallNames } from '../tables/syscalls.js';
import { TextTable } from '../text.js';
import type { Formatter } from './formatter.js';

/** The part of a formatter that gives each number its own text, made once. */
export function byTable(textOf: (value: number) => string): Formatter['create'] {
  const table = new TextTable(textOf);
  return (raw) => {
    const read = numberReaderOf(raw.kind);
    return (span) => {
      table.put(read(span), span);
      return true;
    };
  };
}

/** No error is an empty text. */
export const errno: Formatter = {
  name: 'errno',
  type: 'gadget_errno',
  template: 'errorString',
  create: byTable((value) => (value === 0 ? '' : ERRNO_NAMES[value] || `error#${value}`)),
};

export const signal: Formatter = {
  name: 'signal',
  type: 'gadget_signal',
  create: byTable((value) => SIGNAL_NAMES[value] || `signal#${value}`),
};

const SYSCALLS = syscallNames(process.arch === 'arm64' ? 'arm64' : 'x64');

export const syscall: Formatter = {
  name: 'syscall',
  type: 'gadget_syscall',
  template: 'syscall',
  create: byTable((value) => `SYS_${(SYSCALLS[value] ?? 'unknown').toUpperCase()}`),
};
