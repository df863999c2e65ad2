// Execs of every kind, each compared with what /proc says of the program that runs, or with the error that its caller saw.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ExecEvent, Ig, parseAccount, parseEvents } from '../ig.js';
import { Launcher, type Programs, type Way, buildPrograms, ended } from '../live/programs.js';
import { until } from '../until.js';

const ARGV = ['first', 'second word', ''];
/** Where a program that is not relocated begins, and where none can be. */
const CALLER_ADDRESS = 0x40_0000n;
const KERNEL_ADDRESS = 0xffff_8000_0000_0000n;

/** What /proc said of the program that was executed. */
interface Seen {
  readonly pid: number;
  readonly stdout: string;
  readonly exe: string;
  readonly inode: number;
  readonly cwd: string;
  readonly comm: string;
  readonly argv: readonly string[];
}

interface Failed {
  readonly pid: number;
  readonly stdout: string;
  /** The error, or null if it killed the caller. */
  readonly errno: number | null;
}

interface Success {
  readonly start: () => ChildProcess;
  /** What of the event the caller knows. */
  readonly expected: (seen: Seen) => Partial<ExecEvent>;
  readonly needs?: Need;
}

interface Failure {
  readonly act: () => Promise<Failed>;
  readonly error: string;
  readonly expected: (failed: Failed) => Partial<ExecEvent>;
  readonly needs?: Need;
}

let programs: Programs;
beforeAll(() => {
  programs = buildPrograms();
  try32Bits();
  register();
});
afterAll(() => {
  unregister();
  programs.remove();
});

const inDirectory = (name: string): string => join(programs.directory, name);

function fileOf(name: string, content: string | Buffer, mode = 0o755): string {
  const path = inDirectory(name);
  writeFileSync(path, content, { mode });
  return path;
}

function copyOf(file: string, name: string): string {
  copyFileSync(file, inDirectory(name));
  return inDirectory(name);
}

function linkTo(target: string, name: string): string {
  symlinkSync(target, inDirectory(name));
  return inDirectory(name);
}

/** What not every kernel has. */
type Need = '32 bits' | 'binfmt_misc';
/** Why this one has it not. */
const lacking = new Map<Need, string>();

function try32Bits(): void {
  try {
    execFileSync(programs.exec32, ['/bin/true', 'true'], { stdio: 'ignore' });
  } catch {
    lacking.set('32 bits', 'this kernel executes no 32-bit programs (CONFIG_IA32_EMULATION)');
  }
}

/** Flags of binfmt_misc, Documentation/admin-guide/binfmt-misc.rst, by the endings that files have here. */
const HANDLERS = { igplain: '', igopen: 'O', igname: 'P' };
const handler = (ending: string): string => inDirectory(`binfmt_misc/${ending}-${process.pid}`);

/** Has files with these endings be executed by programs.stay. */
function register(): void {
  const mount = inDirectory('binfmt_misc');
  mkdirSync(mount);
  try {
    execFileSync('mount', ['-t', 'binfmt_misc', 'none', mount], { stdio: 'pipe' });
  } catch {
    lacking.set('binfmt_misc', 'binfmt_misc cannot be mounted here (CONFIG_BINFMT_MISC)');
    return;
  }
  for (const [ending, flags] of Object.entries(HANDLERS))
    writeFileSync(
      join(mount, 'register'),
      `:${basename(handler(ending))}:E::${ending}::${programs.stay}:${flags}`,
    );
}

function unregister(): void {
  if (lacking.has('binfmt_misc')) return;
  for (const ending of Object.keys(HANDLERS))
    if (existsSync(handler(ending))) writeFileSync(handler(ending), '-1');
  execFileSync('umount', [inDirectory('binfmt_misc')]);
}

/** Starts a program that executes programs.stay in the end, with a pipe for that at descriptor 3. */
function start(program: string, words: readonly string[], argv: readonly string[] = []): ChildProcess {
  const child = spawn(program, words, {
    cwd: programs.directory,
    stdio: ['pipe', 'pipe', 'inherit', 'pipe'],
  });
  (child.stdin as NodeJS.WritableStream).end(argv.map((arg) => `${arg}\0`).join(''));
  return child;
}

const launch = (way: Way, file: string, argv: readonly string[] = ARGV): ChildProcess =>
  start(programs.launch, [way, file], argv);

/** Looks at what was executed while it stays. */
async function see(child: ChildProcess): Promise<Seen> {
  const pid = child.pid!;
  const result = ended(child);
  let stdout = '';
  child.stdout!.on('data', (bytes: Buffer) => (stdout += bytes.toString()));
  await until(() => stdout.includes('@') || child.exitCode !== null, 'the program executed');
  const proc = `/proc/${pid}`;
  const cmdline = readFileSync(`${proc}/cmdline`, 'utf8');
  const seen = {
    pid,
    exe: readlinkSync(`${proc}/exe`),
    inode: statSync(`${proc}/exe`).ino,
    cwd: readlinkSync(`${proc}/cwd`),
    comm: readFileSync(`${proc}/comm`, 'utf8').trimEnd(),
    argv: cmdline.split('\0').slice(0, -1),
  };
  (child.stdio[3] as NodeJS.WritableStream).end();
  await result;
  return { ...seen, stdout: stdout.replace('@', '').trim() };
}

async function attempt(way: Way, file: string, argv: readonly string[] = ARGV): Promise<Failed> {
  const { pid, status, stdout } = await new Launcher(programs, way, file).go(argv);
  return { pid, stdout: stdout.trim(), errno: status };
}

async function attempt32(...words: string[]): Promise<Failed> {
  const { pid, status, stdout } = await ended(
    spawn(programs.exec32, words, { stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  return { pid, stdout, errno: status };
}

/** Of execve, whose path this is. */
const given =
  (filename: () => string, file = filename) =>
  (): Partial<ExecEvent> => ({ filename: filename(), file: file() });
/** Of execveat with a descriptor, whose number the caller prints. */
const byNumber =
  (file: () => string, below = '') =>
  ({ stdout }: Seen): Partial<ExecEvent> => ({ filename: `/dev/fd/${stdout}${below}`, file: file() });

const stay = (): string => programs.stay;

const SUCCESSES: Readonly<Record<string, Success>> = {
  'a path': { start: () => launch('path', stay()), expected: given(stay) },
  'a relative path': {
    start: () => launch('path', `./${basename(stay())}`),
    expected: given(() => './stay', stay),
  },
  'a symbolic link': {
    start: () => launch('path', linkTo('stay', 'a link')),
    expected: given(() => inDirectory('a link'), stay),
  },
  'a name in a directory': { start: () => launch('dirfd', stay()), expected: byNumber(stay, '/stay') },
  'a descriptor': { start: () => launch('fd', stay()), expected: byNumber(stay) },
  fexecve: { start: () => launch('fexecve', stay()), expected: byNumber(stay) },
  'no symbolic link, as was asked': { start: () => launch('link', stay()), expected: given(stay) },
  'a file in memory': {
    start: () => launch('memfd', stay()),
    expected: byNumber(() => '/memfd:copy (deleted)'),
  },
  'a deleted file': {
    start: () => launch('deleted', copyOf(stay(), 'deleted')),
    expected: byNumber(() => `${inDirectory('deleted')} (deleted)`),
  },
  'no arguments': { start: () => launch('path', stay(), []), expected: given(stay) },
  'no argument vector': { start: () => launch('noargv', stay()), expected: given(stay) },
  'a script': {
    start: () => launch('path', fileOf('script', `#!${stay()} -x  y \n`)),
    expected: given(() => inDirectory('script')),
  },
  'a script of a script': {
    start: () => launch('path', fileOf('outer', `#!${fileOf('inner', `#!${stay()}\n`)} -x\n`)),
    expected: given(() => inDirectory('outer')),
  },
  'a script by descriptor': {
    start: () => launch('fd', fileOf('script by fd', `#!${stay()}\n`)),
    expected: byNumber(() => inDirectory('script by fd')),
  },
  'a program of 32 bits': {
    start: () => launch('path', programs.stay32),
    expected: given(() => programs.stay32),
    needs: '32 bits',
  },
  'by a program of 32 bits': {
    start: () => start(programs.exec32, [stay(), ...ARGV]),
    expected: given(stay),
    needs: '32 bits',
  },
  'of 32 bits by one of 32 bits, in a directory': {
    start: () => start(programs.exec32, ['at', programs.directory, 'stay32', ...ARGV]),
    expected: ({ argv }) => ({ filename: '/dev/fd/4/stay32', file: programs.stay32, argv }),
    needs: '32 bits',
  },
  ...Object.fromEntries(
    Object.keys(HANDLERS).map((ending): [string, Success] => [
      `a file of a handler: .${ending}`,
      {
        start: () => launch('path', fileOf(`file.${ending}`, 'for another program\n')),
        expected: given(() => inDirectory(`file.${ending}`)),
        needs: 'binfmt_misc',
      },
    ]),
  ),
};

const long = 'n'.repeat(300);
const deep = '/x'.repeat(2_500);

/** A failure of execve with these words. */
function failure(error: string, way: Way, file: () => string, expected?: Partial<ExecEvent>): Failure {
  return {
    act: () => attempt(way, file()),
    error,
    expected: () => ({ argv: ARGV, args_truncated: false, ...expected }),
  };
}

const FAILURES: Readonly<Record<string, Failure>> = {
  'there is no file': failure('ENOENT', 'path', () => inDirectory('missing')),
  'the path is empty': failure('ENOENT', 'path', () => '', { filename: '' }),
  'a file is taken for a directory': failure('ENOTDIR', 'path', () => `${programs.tiny}/below`),
  'it may not be executed': failure('EACCES', 'path', () => fileOf('locked', '#!/bin/sh\n', 0o644)),
  'it is a directory': failure('EACCES', 'path', () => programs.directory),
  'it is text': failure('ENOEXEC', 'path', () => fileOf('text', 'no program\n')),
  'it is empty': failure('ENOEXEC', 'path', () => fileOf('empty', '')),
  'it is text, by descriptor': {
    act: () => attempt('fd', fileOf('text by fd', 'no program\n')),
    error: 'ENOEXEC',
    expected: ({ stdout }) => ({
      filename: `/dev/fd/${stdout}`,
      file: inDirectory('text by fd'),
      argv: ARGV,
    }),
  },
  'it is not in the directory': {
    act: () => attempt('dirfd', inDirectory('missing')),
    error: 'ENOENT',
    expected: ({ stdout }) => ({ filename: `/dev/fd/${stdout}/missing`, argv: ARGV }),
  },
  'it is open for writing': failure('ETXTBSY', 'busy', () => copyOf(programs.tiny, 'busy')),
  'an argument is too large': {
    act: () => attempt('path', programs.tiny, ['x'.repeat(200_000)]),
    error: 'E2BIG',
    expected: () => ({ filename: programs.tiny, args_truncated: true }),
  },
  'links go round in circles': failure('ELOOP', 'path', () => linkTo('circle', 'circle')),
  'a link is not followed': failure('ELOOP', 'link', () => linkTo('tiny', 'not followed')),
  'the path is nowhere': failure('EFAULT', 'badpath', () => programs.tiny),
  'the arguments are nowhere': failure('EFAULT', 'badargv', () => programs.tiny, {
    argv: [],
    args_truncated: true,
  }),
  'an argument is nowhere': failure('EFAULT', 'badarg', () => programs.tiny, {
    // What cannot be read keeps its place.
    argv: ['first', 'second word', ''],
    args_truncated: true,
  }),
  'there is nothing, without an argument vector': failure('ENOENT', 'noargv', () => inDirectory('missing'), {
    argv: [],
  }),
  'a name is too long': failure('ENAMETOOLONG', 'path', () => inDirectory(long)),
  'the path is too long': failure('ENAMETOOLONG', 'path', () => deep, { filename: deep.slice(0, 4095) }),
  'there is no interpreter': failure('ENOENT', 'path', () => fileOf('no interpreter', '#!/nothing/here\n')),
  'the interpreter may not be executed': failure('EACCES', 'path', () =>
    fileOf('bad interpreter', `#!${fileOf('locked too', '', 0o644)}\n`),
  ),
  'it is its own interpreter': failure('ELOOP', 'path', () => fileOf('own', `#!${inDirectory('own')}\n`)),
  'a 32-bit program finds no file': {
    act: () => attempt32(inDirectory('missing'), ...ARGV),
    error: 'ENOENT',
    expected: () => ({ filename: inDirectory('missing'), argv: ARGV, args_truncated: false }),
    needs: '32 bits',
  },
  'a 32-bit program finds text': {
    act: () => attempt32(fileOf('text for 32', 'no program\n'), ...ARGV),
    error: 'ENOEXEC',
    expected: () => ({ filename: inDirectory('text for 32'), file: inDirectory('text for 32'), argv: ARGV }),
    needs: '32 bits',
  },
  'a 32-bit program finds nothing in the directory': {
    act: () => attempt32('at', programs.directory, 'missing', ...ARGV),
    error: 'ENOENT',
    expected: () => ({ filename: '/dev/fd/3/missing', argv: ARGV }),
    needs: '32 bits',
  },
};

/** These have been opened: what they are is known. */
const OPENED = [
  'it is text',
  'it is empty',
  'there is no interpreter',
  'the interpreter may not be executed',
];

describe('trace_exec', () => {
  const seen = new Map<string, Seen>();
  const failed = new Map<string, Failed>();
  let fatal: Failed;
  let events: readonly ExecEvent[] = [];

  it('traces execs of all kinds and loses none', async () => {
    const ig = await Ig.tracing('run trace_exec --host -o json --paths --ignore-failed=false'.split(' '));
    for (const [name, { start, needs }] of Object.entries(SUCCESSES))
      if (isHere(needs)) seen.set(name, await see(start()));
    for (const [name, { act, needs }] of Object.entries(FAILURES))
      if (isHere(needs)) failed.set(name, await act());
    fatal = await attempt('path', fileOf('fatal', impossibleProgram()));
    const { stdout, stderr, status } = await ig.stop();
    events = parseEvents(stdout);
    expect(status).toBe(0);
    expect(parseAccount(stderr).lost).toBe(0);
  });

  function isHere(need: Need | undefined): boolean {
    return need === undefined || !lacking.has(need);
  }

  /** The second and last event of a process; the first is that of the program that executes another. */
  function second(pid: number): ExecEvent {
    const mine = events.filter(({ proc }) => proc.pid === pid);
    expect(mine.map(({ error }) => error)).toHaveLength(2);
    return mine[1]!;
  }

  it.for(Object.entries(SUCCESSES))('shows what runs: %s', ([name, { expected, needs }], { skip }) => {
    if (!isHere(needs)) skip(lacking.get(needs!));
    const found = seen.get(name)!;
    const event = second(found.pid);
    expect(event).toMatchObject({
      proc: { comm: found.comm, pid: found.pid, tid: found.pid, parent: { pid: process.pid } },
      argv: found.argv,
      args_truncated: false,
      exepath: found.exe,
      cwd: found.cwd,
      error: '',
      ret: 0,
      ...expected(found),
    });
    expect(event.inode).toBe(event.file === found.exe ? found.inode : statSync(event.file).ino);
  });

  it.for(Object.entries(FAILURES))('shows a failure: %s', ([name, { error, expected, needs }], { skip }) => {
    if (!isHere(needs)) skip(lacking.get(needs!));
    const { pid, errno } = failed.get(name)!;
    const event = second(pid);
    const caller = needs === '32 bits' ? programs.exec32 : programs.launch;
    expect(event).toMatchObject({
      proc: { comm: basename(caller), tid: pid, parent: { pid: process.pid } },
      exepath: caller,
      error,
      error_raw: errno,
      ret: -errno!,
      ...expected(failed.get(name)!),
    });
    expect(event).not.toHaveProperty('upper_layer');
  });

  it.each(OPENED)('knows the file of a failed exec: %s', (name) => {
    const event = second(failed.get(name)!.pid);
    expect(event).toMatchObject({ file: event.filename, inode: statSync(event.filename).ino });
  });

  it('shows an exec that fails too late for its caller, who dies of it', () => {
    expect(fatal.errno).toBeNull();
    const event = second(fatal.pid);
    expect(event.error).not.toBe('');
    expect(event).toMatchObject({ args_truncated: true, exepath: inDirectory('fatal') });
    for (const field of ['argv', 'filename', 'file', 'inode']) expect(event).not.toHaveProperty(field);
  });
});

/**
 * A program (elf(5)) to be loaded where the caller has its data, and where the kernel is: which does not work, as turns
 * out when there is no way back.
 */
function impossibleProgram(): Buffer {
  const HEADER = 64;
  const ENTRY = 56;
  const bytes = Buffer.alloc(1 << 20, 'lies\0');
  bytes.fill(0, 0, HEADER + 2 * ENTRY);
  bytes.write('\x7fELF\x02\x01\x01', 'latin1');
  bytes.writeUInt16LE(2, 16); // ET_EXEC
  bytes.writeUInt16LE(process.arch === 'arm64' ? 183 : 62, 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(CALLER_ADDRESS, 24);
  bytes.writeBigUInt64LE(BigInt(HEADER), 32);
  [HEADER, ENTRY, 2].forEach((value, i) => bytes.writeUInt16LE(value, 52 + 2 * i));
  [CALLER_ADDRESS, KERNEL_ADDRESS].forEach((address, i) => {
    const at = HEADER + i * ENTRY;
    bytes.writeUInt32LE(1, at); // PT_LOAD
    bytes.writeUInt32LE(5, at + 4);
    bytes.writeBigUInt64LE(address, at + 16);
    for (const offset of [32, 40]) bytes.writeBigUInt64LE(BigInt(bytes.length), at + offset);
    bytes.writeBigUInt64LE(4096n, at + 48);
  });
  return bytes;
}
