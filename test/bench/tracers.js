// @ts-check
// What is measured: ig in its variants, the C floor, and the peers that are installed.

import { existsSync } from 'node:fs';
import { IG, IMAGES, PROGRAMS, outputOf } from './build.js';

/**
 * @typedef {object} Tracer
 * @property {string} name
 * @property {string} what what it is, for the reader of the table
 * @property {readonly string[]} command writes events to its standard output until SIGINT
 * @property {readonly string[]} [startCommand] the same, with a first line at once when it has attached
 */

const BPFTRACE_PROGRAM =
  'tracepoint:syscalls:sys_enter_execve { printf("%d %s ", pid, comm); join(args->argv); }';
/** And the path that the benchmark knows its own execs by is in `args`. */
const FIELDS_OF_EXECSNOOP = 'proc.comm,proc.pid,proc.parent.pid,ret,args';

/** @type {readonly Tracer[]} */
const OURS = [
  {
    name: 'ig json',
    what: 'ig run trace_exec --host -o json',
    command: [...IG, 'run', 'trace_exec', '--host', '-v', '-o', 'json'],
  },
  {
    name: 'ig json, few',
    what: `the same with the fields that execsnoop shows: --fields ${FIELDS_OF_EXECSNOOP}`,
    command: [...IG, 'run', 'trace_exec', '--host', '-v', '-o', 'json', '--fields', FIELDS_OF_EXECSNOOP],
  },
  {
    name: 'ig columns',
    what: 'ig run trace_exec --host -o columns',
    command: [...IG, 'run', 'trace_exec', '--host', '-v', '-o', 'columns'],
    startCommand: [...IG, 'run', 'trace_exec', '--host'],
  },
  {
    name: 'ig json, no Wasm',
    what: 'the same image without its Wasm module, so without args and command; json',
    command: [...IG, 'run', IMAGES.traceExecWithoutWasm, '--host', '-v', '-o', 'json'],
  },
  {
    name: 'C floor',
    what: 'the same records and the same JSON with nothing but libbpf, in C, drained every 20 ms (floor.c)',
    command: [PROGRAMS.floor, PROGRAMS.traceExecObject],
  },
];

/** The tracers that can run here, and why the others cannot. */
export function findTracers() {
  /** @type {Tracer[]} */
  const tracers = [...OURS];
  /** @type {string[]} */
  const skipped = [];
  for (const { program, tracer } of peers()) {
    if (outputOf('sh', ['-c', `command -v ${program}`]) !== '') tracers.push(tracer);
    else skipped.push(`${tracer.name} is not measured: ${program} is not installed`);
  }
  return { tracers, skipped };
}

/** @returns {{ program: string, tracer: Tracer }[]} */
function peers() {
  return [
    {
      program: 'execsnoop',
      tracer: {
        name: 'execsnoop',
        what: `execsnoop of libbpf-tools${versionOf('libbpf-tools')}`,
        command: withTracefs(['execsnoop']),
        startCommand: withTracefs(['stdbuf', '-oL', 'execsnoop']),
      },
    },
    {
      program: 'bpftrace',
      tracer: {
        name: 'bpftrace',
        what: `${outputOf('bpftrace', ['--version']).trim()}, sys_enter_execve and join(args->argv)`,
        command: withTracefs(['bpftrace', '-e', BPFTRACE_PROGRAM]),
        startCommand: withTracefs([
          'bpftrace',
          '-B',
          'none',
          '-e',
          `BEGIN { printf("begin\\n") } ${BPFTRACE_PROGRAM}`,
        ]),
      },
    },
  ];
}

/** @type {(debianPackage: string) => string} */
function versionOf(debianPackage) {
  const version = outputOf('dpkg-query', ['-W', '-f', '${Version}', debianPackage]);
  return version === '' ? '' : ` ${version}`;
}

/**
 * The peers need tracefs. Where the machine has not mounted it, they get one that nobody else sees.
 * @type {(command: readonly string[]) => readonly string[]}
 */
function withTracefs(command) {
  if (existsSync('/sys/kernel/tracing/events')) return command;
  const script = 'mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"';
  return ['unshare', '-m', 'sh', '-c', script, 'sh', ...command];
}
