import { describe, expect, it } from 'vitest';
import { areAtSyscalls } from './tracker.js';

describe('the tracker looks already when a system call begins', () => {
  it.each([
    'tracepoint/syscalls/sys_exit_execve',
    'raw_tp/sys_exit',
    'raw_tracepoint/sys_enter',
    'tp_btf/sys_enter',
    'ksyscall/execve',
    'kretsyscall/execve',
  ])('for %s', (section) => {
    expect(areAtSyscalls(['raw_tp/sched_process_exec', section])).toBe(true);
  });

  it('and not for gadgets that see nothing before an exec', () => {
    expect(areAtSyscalls(['raw_tp/sched_process_exec', 'tracepoint/sched/sched_process_exit'])).toBe(false);
  });
});
