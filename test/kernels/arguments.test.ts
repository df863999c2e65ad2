// What trace_exec says of arguments and of the environment, against what was given to the system call.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ExecEvent, Ig, parseAccount, parseEvents, runIg } from '../ig.js';
import { type Ended, type Programs, buildPrograms, ended, runProgram } from '../live/programs.js';

/** Bytes of arguments that are shown unless --max-args says otherwise; each has a NUL byte at its end. */
const DEFAULT_BYTES = 32_768;
/** Bytes of variables that are shown. */
const ENV_BYTES = 16_384;
const PAGE_BYTES = 4096;

/** Stands for an address where nothing is. */
const NOWHERE = Buffer.from('nowhere');
const SECRET = 'nobody-must-read-this';
const MANY = Array.from({ length: 5_000 }, (_, i) => `${i}`);
const LARGE = 'x'.repeat(100_000);
/** Of three pages, none like another. */
const LONG = Array.from({ length: 3 * PAGE_BYTES - 100 }, (_, i) => `${(i / PAGE_BYTES) >> 0}`).join('');
const ASKED = ['PATH', 'IG_TWICE', 'IG_EMPTY', 'IG_LARGE', 'IG_BYTES'];

interface Vectors {
  readonly argv?: readonly (string | Buffer)[];
  readonly envp?: readonly (string | Buffer)[];
  readonly way?: 'plain' | 'untouched' | 'nowhere';
}

/** By name, what is executed: once a program, and once a file that is not there. */
const VECTORS: Readonly<Record<string, Vectors>> = {
  one: { argv: ['tiny'] },
  twenty: { argv: MANY.slice(0, 20) },
  'twenty-one': { argv: MANY.slice(0, 21) },
  many: { argv: MANY },
  none: { argv: [] },
  empty: { argv: ['', '', 'x', ''] },
  bytes: { argv: [Buffer.from('a\xff\xc3', 'latin1'), Buffer.from('\x80', 'latin1'), 'ok'] },
  pages: { argv: [4094, 4095, 4096, 8190, 8191].map((size) => 'y'.repeat(size)) },
  fitting: { argv: ['first', 'z'.repeat(DEFAULT_BYTES - 'first'.length - 2)] },
  'too long': { argv: ['first', 'z'.repeat(DEFAULT_BYTES - 'first'.length - 1)] },
  'too many': { argv: MANY.map((word) => `number ${word}`) },
  large: { argv: ['first', LARGE, 'last'] },
  untouched: { argv: ['first', LONG, 'last'], way: 'untouched' },
  variables: {
    envp: [
      'IG_TWICE=1',
      `SECRET=${SECRET}`,
      'PATH=/bin:/usr/bin',
      `PATHS=${SECRET}`,
      `XPATH=${SECRET}`,
      'PATH',
      'IG_EMPTY=',
      `LONG=${SECRET}${LARGE}`,
      Buffer.from('IG_BYTES=\xff', 'latin1'),
      `=${SECRET}`,
      'IG_TWICE=2',
      `IG_LARGE=${'v'.repeat(10_000)}`,
    ],
  },
  'large variables': { envp: ['PATH=first', ...['a', 'b', 'c'].map((c) => `IG_LARGE=${c.repeat(9_000)}`)] },
  'other variables': { envp: [`SECRET=${SECRET}`] },
};

/** Execs that cannot succeed. */
const WRONG: Readonly<Record<string, Vectors>> = {
  nowhere: { way: 'nowhere' },
  'an argument nowhere': { argv: ['first', NOWHERE, 'last'] },
};

let programs: Programs;
beforeAll(() => {
  programs = buildPrograms();
});
afterAll(() => programs.remove());

/** Has a process execute a file with these vectors. */
function execute(file: string, { argv = ['tiny'], envp = [], way = 'plain' }: Vectors): Promise<Ended> {
  const child = spawn(programs.vectors, [way, file], { stdio: ['pipe', 'pipe', 'inherit'] });
  const result = ended(child);
  const string = (letter: string, text: string | Buffer): Buffer =>
    Buffer.concat([Buffer.from(letter), Buffer.from(text), Buffer.of(0)]);
  const strings = [
    ...argv.map((text) => (text === NOWHERE ? string('w', '') : string('a', text))),
    ...envp.map((text) => string('e', text)),
  ];
  child.stdin.end(Buffer.concat(strings));
  return result;
}

/** As JSON has it. */
function shown(texts: readonly (string | Buffer)[] = []): string[] {
  return texts.map((text) => text.toString());
}

/** The strings of a vector that has lost its end. */
function cut(texts: readonly string[], sizeBytes: number): string[] {
  return Buffer.from(texts.map((text) => `${text}\0`).join(''))
    .subarray(0, sizeBytes - 1)
    .toString()
    .split('\0');
}

/** Strings between NUL bytes. */
function split(text: string): string[] {
  return text.split('\0').slice(0, -1);
}

describe('trace_exec', () => {
  const did = new Map<string, Ended>();
  let events: readonly ExecEvent[] = [];
  let printed = '';
  let recorded = '';

  /** The last event of the process that did this. */
  function of(name: string): ExecEvent {
    const event = events.filter(({ proc }) => proc.pid === did.get(name)!.pid).at(-1);
    if (event === undefined) throw new Error(`no event of ${name}`);
    return event;
  }

  it('traces execs of all kinds of vectors', async () => {
    const recording = join(programs.directory, 'recording');
    const flags = ['--host', '-o', 'json', '--paths', '--ignore-failed=false', '--record', recording];
    const ig = await Ig.tracing(['run', 'trace_exec', ...flags, '--env', ASKED.join(',')]);
    for (const [name, vectors] of Object.entries(VECTORS)) {
      did.set(`success ${name}`, await execute(programs.tiny, vectors));
      did.set(`failure ${name}`, await execute(join(programs.directory, 'missing'), vectors));
    }
    did.set('counted', await execute(programs.vectors, { argv: [] }));
    for (const [name, vectors] of Object.entries(WRONG)) did.set(name, await execute(programs.tiny, vectors));
    const env = { PATH: '/bin', SECRET, IG_LARGE: 'l', IG_EMPTY: '' };
    did.set('cmdline', await runProgram('/bin/cat', ['/proc/self/cmdline', '-u', '/dev/null'], { env }));
    did.set('environ', await runProgram('/bin/cat', ['/proc/self/environ'], { env }));
    const { stdout, stderr, status } = await ig.stop();
    printed = stdout;
    recorded = readFileSync(recording, 'latin1');
    events = parseEvents(stdout);
    expect(status).toBe(0);
    expect(parseAccount(stderr).lost).toBe(0);
  });

  const outcomes = ['success', 'failure'];
  const both = (names: readonly string[]): string[][] =>
    outcomes.flatMap((outcome) => names.map((name) => [outcome, name]));

  it.each(both(['one', 'twenty', 'twenty-one', 'many', 'empty', 'bytes', 'pages', 'fitting']))(
    'shows whole, on %s: %s',
    (outcome, name) => {
      const { argv, args_truncated } = of(`${outcome} ${name}`);
      expect(argv).toEqual(shown(VECTORS[name]!.argv));
      expect(args_truncated).toBe(false);
    },
  );

  it.each(both(['too long', 'too many', 'large']))(
    'shows as much as is allowed, and says so, on %s: %s',
    (outcome, name) => {
      const { argv, args_truncated } = of(`${outcome} ${name}`);
      expect(argv).toEqual(cut(shown(VECTORS[name]!.argv), DEFAULT_BYTES));
      expect(args_truncated).toBe(true);
    },
  );

  it('shows what the kernel makes of no arguments', () => {
    // Newer kernels put an empty one in place of none (fs/exec.c).
    const argv = Array<string>(did.get('counted')!.status!).fill('');
    expect(of('counted')).toMatchObject({ argv, args_truncated: false });
    expect(of('success none')).toMatchObject({ argv, args_truncated: false });
    expect(of('failure none')).toMatchObject({ argv: [], args_truncated: false });
  });

  it('shows arguments that had to be read from a file first', () => {
    expect(of('success untouched')).toMatchObject({ argv: ['first', LONG, 'last'], args_truncated: false });
  });

  it('shows what can be read of arguments that are in no memory, and says so', () => {
    const { argv, args_truncated } = of('failure untouched');
    // Older kernels copy the arguments before they look for the file, and so had them read.
    const isRead = argv[1] === LONG;
    expect(args_truncated).toBe(!isRead);
    expect(argv).toEqual(['first', isRead ? LONG : LONG.slice(0, PAGE_BYTES), 'last']);
  });

  it('shows what can be read of vectors that are wrong, and says so', () => {
    for (const name of Object.keys(WRONG)) expect(did.get(name)!.status).toBe(14); // EFAULT
    const wrong = { error: 'EFAULT', args_truncated: true };
    expect(of('nowhere')).toMatchObject({ ...wrong, argv: [], env: [], env_truncated: true });
    expect(of('an argument nowhere')).toMatchObject({ ...wrong, argv: ['first', '', 'last'] });
  });

  it('shows what the program itself knows', () => {
    expect(of('cmdline').argv).toEqual(split(did.get('cmdline')!.stdout));
    const variables = split(did.get('environ')!.stdout);
    expect(variables).toContain(`SECRET=${SECRET}`);
    expect(of('environ').env).toEqual(variables.filter((text) => !text.startsWith('SECRET')));
  });

  it.each(outcomes)('shows the variables asked for, on %s', (outcome) => {
    expect(of(`${outcome} variables`)).toMatchObject({
      env: [
        'IG_TWICE=1',
        'PATH=/bin:/usr/bin',
        'IG_EMPTY=',
        'IG_BYTES=\ufffd',
        'IG_TWICE=2',
        `IG_LARGE=${'v'.repeat(10_000)}`,
      ],
      env_truncated: false,
    });
    expect(of(`${outcome} other variables`)).toMatchObject({ env: [], env_truncated: false });
  });

  it.each(outcomes)('cuts variables that are too large, and says so, on %s', (outcome) => {
    const { env, env_truncated } = of(`${outcome} large variables`);
    expect(env).toEqual(cut(shown(VECTORS['large variables']!.envp), ENV_BYTES));
    expect(env_truncated).toBe(true);
  });

  it('shows and records no other variable', () => {
    expect(printed).toContain('IG_TWICE=1');
    expect(recorded).toContain('IG_TWICE=1');
    expect(printed).not.toContain(SECRET);
    expect(recorded).not.toContain(SECRET);
  });
});

describe('trace_exec with --max-args', () => {
  /** What the stack of a process has room for by default: a quarter of 8 MiB, for strings and pointers. */
  const ARG_MAX = 2 << 20;
  const most = Array.from({ length: 20 }, (_, i) => `${i % 10}`.repeat(104_000));
  const bytes = Array.from({ length: 4 }, () => Buffer.alloc(100_000, 0xff));
  const more = Array.from({ length: 20_000 }, (_, i) => `argument number ${i}`);

  it('shows vectors of any size whole, and no environment unless asked', async () => {
    const flags = ['--host', '-o', 'json', '--ignore-failed=false', '--paths'];
    const ig = await Ig.tracing(['run', 'trace_exec', ...flags, '--max-args', `${ARG_MAX}`]);
    const missing = '/nothing/here';
    const deeds: [file: string, argv: (string | Buffer)[]][] = [
      [programs.tiny, most],
      [programs.tiny, bytes],
      [missing, most],
      [missing, more],
    ];
    const pids: number[] = [];
    for (const [file, argv] of deeds) {
      const { pid } = await execute(file, { argv });
      // That, and the exec of what executes it. The ring has no room for two of the largest.
      await ig.until(() => ig.stdout.split(`"pid":${pid},"tid":`).length > 2);
      pids.push(pid);
    }
    const { stdout, stderr } = await ig.stop();
    expect(parseAccount(stderr).lost).toBe(0);
    const events = parseEvents(stdout);
    for (const [i, [, argv]] of deeds.entries()) {
      const event = events.filter(({ proc }) => proc.pid === pids[i]).at(-1)!;
      expect(event.args_truncated).toBe(false);
      // Not printed when it fails, which would take minutes.
      expect(event.argv.join() === shown(argv).join()).toBe(true);
      expect(event).not.toHaveProperty('env');
      expect(event).not.toHaveProperty('env_truncated');
    }
  });

  it('says at the start what is too much', async () => {
    const { stderr, status } = await runIg(['run', 'trace_exec', '--host', '--max-args', '4194304']);
    expect(stderr).toMatch(
      /^Error: --max-args takes at most \d+ here, not 4194304: .* 4194288 bytes in all\n$/,
    );
    expect(status).toBe(2);
  });
});
