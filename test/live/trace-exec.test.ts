/** trace_exec as its user sees it: what it says of an exec, compared with /proc and with what the test knows. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ExecEvent, Ig, parseAccount, trace } from '../ig.js';
import { Launcher, type Programs, buildPrograms, ended, runProgram } from './programs.js';

/** A user without a name: the filter for it keeps the rest of the machine out. */
const UID = 61_357;
const GID = 61_358;
const NOBODY = 65_534;

let programs: Programs;
beforeAll(() => {
  programs = buildPrograms();
});
afterAll(() => programs.remove());

function ofPid(events: readonly ExecEvent[], pid: number): ExecEvent[] {
  return events.filter((event) => event.proc.pid === pid);
}

/** The one event of a process. */
function only(events: readonly ExecEvent[], pid: number): ExecEvent {
  const found = ofPid(events, pid);
  expect(found).toHaveLength(1);
  return found[0]!;
}

/** The last event of a launcher: that of what it executed. */
function last(events: readonly ExecEvent[], pid: number): ExecEvent {
  const found = ofPid(events, pid);
  expect(found).not.toHaveLength(0);
  return found.at(-1)!;
}

function nameOf(database: 'passwd' | 'group', id: number): string {
  return execFileSync('getent', [database, String(id)], { encoding: 'utf8' }).split(':')[0]!;
}

/** What bash makes of the words; each byte a character. */
function unquote(args: string): string[] {
  const out = execFileSync('bash', ['-s'], { input: Buffer.from(`printf '%s\\0' ${args}\n`) });
  return out.toString('latin1').split('\0').slice(0, -1);
}

describe('an exec that succeeds', () => {
  /** Runs cat, which stays until its input ends, and looks at it in /proc meanwhile. */
  async function runCat(): Promise<{ pid: number; cwd: string; exe: string }> {
    const child = spawn('/usr/bin/cat', ['-', 'a b'], {
      uid: NOBODY,
      gid: NOBODY,
      cwd: programs.directory,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const result = ended(child);
    child.stdin.write('x');
    await once(child.stdout, 'data');
    const [cwd, exe] = ['cwd', 'exe'].map((name) => readlinkSync(`/proc/${child.pid}/${name}`));
    child.stdin.end();
    const { pid } = await result;
    return { pid, cwd: cwd!, exe: exe! };
  }

  it('tells who executed what, and when', async () => {
    const before = Date.now();
    const { events, did } = await trace([], runCat);
    const after = Date.now();
    const event = only(events, did.pid);
    expect(event).toMatchObject({
      proc: {
        comm: 'cat',
        pid: did.pid,
        tid: did.pid,
        mntns_id: statSync('/proc/self/ns/mnt').ino,
        creds: { uid: NOBODY, gid: NOBODY, user: nameOf('passwd', NOBODY), group: nameOf('group', NOBODY) },
        parent: { pid: process.pid, comm: readFileSync(`/proc/${process.pid}/comm`, 'utf8').trimEnd() },
      },
      args: "/usr/bin/cat - 'a b'",
      argv: ['/usr/bin/cat', '-', 'a b'],
      filename: '/usr/bin/cat',
      args_truncated: false,
      error: '',
      error_raw: 0,
      ret: 0,
      upper_layer: false,
      inode: statSync('/usr/bin/cat').ino,
    });
    // Between the two moments, but for how exactly the clocks can be compared.
    expect(Date.parse(event.timestamp)).toBeGreaterThan(before - 1000);
    expect(Date.parse(event.timestamp)).toBeLessThan(after + 1000);
  });

  it('has the paths that /proc shows, with --paths', async () => {
    const { events, did } = await trace(['--paths'], runCat);
    expect(only(events, did.pid)).toMatchObject({
      cwd: did.cwd,
      exepath: did.exe,
      file: did.exe,
      parent_exepath: readlinkSync('/proc/self/exe'),
    });
    expect(did.cwd).toBe(programs.directory);
  });

  it('has no paths without --paths', async () => {
    const { events, did } = await trace([], runCat);
    // Not collected is not the same as empty.
    for (const path of ['cwd', 'exepath', 'file', 'parent_exepath']) {
      expect(only(events, did.pid)).not.toHaveProperty(path);
    }
  });
});

describe('an exec that fails', () => {
  it('is not shown unless that is asked for', async () => {
    const { events, did } = await trace([], () =>
      new Launcher(programs, 'path', join(programs.directory, 'nothing here')).go(['it', 'fails']),
    );
    expect(did.status).toBe(constants.errno.ENOENT);
    expect(only(events, did.pid)).toMatchObject({ filename: programs.launch, ret: 0 });
  });
});

describe('the terminal of a process', () => {
  it('is that which tty(1) names', async () => {
    const command = `tty; exec "${programs.tinyAs('ig-tty')}"`;
    const { events, did } = await trace(['--comm', 'ig-tty'], async () => {
      const child = spawn('script', ['-qec', command, '/dev/null'], {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: { ...process.env, SHELL: '/bin/sh' },
      });
      return ended(child);
    });
    const index = Number(/\/dev\/pts\/(\d+)/.exec(did.stdout)![1]);
    // Documentation/admin-guide/devices.txt: 136 are the first 256 of Unix98.
    expect(events).toMatchObject([{ tty: index, tty_major: 136, tty_minor: index }]);
  });

  it('is none for a process without', async () => {
    const { events, did } = await trace([], () =>
      runProgram('setsid', ['--wait', programs.tiny], { stdio: 'ignore' }),
    );
    expect(did.status).toBe(0);
    expect(events.find(({ args }) => args === programs.tiny)).toMatchObject({ tty: 0, tty_major: 0 });
  });
});

describe('arguments', () => {
  const ESCAPE = '\x1b[31mred\x1b[0m';
  const cases: [string, (string | Buffer)[]][] = [
    ['many', Array.from({ length: 200 }, (_, i) => `argument-${i}`)],
    ['with spaces and quotes', ['a b', `it's "so"`, '$HOME `id` \\ *', '#no', '~', '&&', '!!', 'a=b']],
    ['with line ends and tabs', ['one\ntwo', 'three\r\n', '\tfour']],
    ['that would drive a terminal', [ESCAPE, '\x07', '\x9b31m', '\u009b31m', '\x7f', '\u202etxt.exe']],
    ['that are empty', ['', 'x', '', '']],
    ['in other scripts', ['grüße', '世界', '🦉', 'e\u0301', '\u00a0']],
    ['that are the first word of a grammar', ['if', 'then']],
    ['that look like an assignment', ['A=b', 'c']],
  ];

  it.each(cases)('%s are exact in argv, and args pasted into bash is the same', async (_, argv) => {
    const { events, did } = await trace([], () => new Launcher(programs, 'path', programs.tiny).go(argv));
    expect(did.status).toBe(0);
    const event = last(events, did.pid);
    expect(event.argv).toEqual(argv);
    expect(event.args_truncated).toBe(false);
    expect(unquote(event.args).map(fromLatin1)).toEqual(argv);
  });

  it('that are not UTF-8 are exact in args, and marked in argv', async () => {
    const argv = [
      Buffer.from('a\xff\xc3', 'latin1'),
      Buffer.from('\xed\xa0\x80', 'latin1'),
      Buffer.from('ok'),
    ];
    const { events, did } = await trace([], () => new Launcher(programs, 'path', programs.tiny).go(argv));
    const event = last(events, did.pid);
    expect(event.argv).toEqual(['a\ufffd\ufffd', '\ufffd\ufffd\ufffd', 'ok']);
    expect(unquote(event.args)).toEqual(argv.map((arg) => arg.toString('latin1')));
  });

  it('never bring a control byte into columns', async () => {
    const fields = 'proc.pid,argv,args,command';
    const ig = await Ig.tracing(['run', 'trace_exec', '--host', '--fields', fields]);
    const argv = cases.flatMap(([, list]) => list.map((arg) => Buffer.from(arg)));
    const raw = Buffer.from(Array.from({ length: 255 }, (_, i) => i + 1));
    const { pid } = await new Launcher(programs, 'path', programs.tiny).go([...argv, raw]);
    const { stdout } = await ig.stop();
    const line = stdout.split('\n').filter((text) => text.trimStart().startsWith(`${pid} `));
    expect(line).toHaveLength(2);
    expect(line[1]).toContain('\\x1b[31mred');
    expect(line[1]).toContain('世界');
    // C0 but for the line end, DEL, C1, and what turns the direction of the text.
    expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/);
  });
});

function fromLatin1(text: string): string {
  return Buffer.from(text, 'latin1').toString();
}

describe('filters in the kernel', () => {
  it('--uid shows one user only', async () => {
    const { events, did } = await trace(['--uid', `${UID}`], async () => [
      await runProgram(programs.tiny, [], { uid: UID, gid: GID }),
      await runProgram(programs.tiny, []),
    ]);
    expect(events.map(({ proc }) => [proc.pid, proc.creds.uid])).toEqual([[did[0]!.pid, UID]]);
  });

  it('--gid shows one group only', async () => {
    const { events, did } = await trace(['--gid', `${GID}`], async () => [
      await runProgram(programs.tiny, [], { uid: UID, gid: GID }),
      await runProgram(programs.tiny, []),
    ]);
    expect(events.map(({ proc }) => proc.pid)).toEqual([did[0]!.pid]);
  });

  it('--comm shows the whole name only', async () => {
    const paths = ['ig-name', 'ig-name2', 'ig-nam'].map((name) => programs.tinyAs(name));
    const { events, did } = await trace(['--comm', 'ig-name'], async () => {
      const pids: number[] = [];
      for (const path of paths) pids.push((await runProgram(path, [])).pid);
      return pids;
    });
    expect(events.map(({ proc }) => [proc.pid, proc.comm])).toEqual([[did[0], 'ig-name']]);
  });

  it('--comm finds a name that the kernel cut', async () => {
    const long = programs.tinyAs('ig-fifteen-chars-and-more');
    const { events, did } = await trace(['--comm', 'ig-fifteen-char'], () => runProgram(long, []));
    expect(events.map(({ proc }) => proc.pid)).toEqual([did.pid]);
  });

  it('--pid shows one process only, its failures too', async () => {
    for (const [file, ret] of [
      [programs.tiny, 0],
      ['/nothing/here', -2],
    ] as const) {
      const launchers = [1, 2].map(() => new Launcher(programs, 'path', file));
      const chosen = launchers[0]!.pid;
      const { events } = await trace(['--pid', `${chosen}`, '--ignore-failed=false'], async () => {
        for (const launcher of launchers) await launcher.go(['x']);
      });
      expect(events.map((event) => [event.proc.pid, event.ret])).toEqual([[chosen, ret]]);
    }
  });
});

describe('--filter', () => {
  /** Ten execs of two programs, alone in what --uid lets through. */
  async function filtered(
    ...filters: string[]
  ): Promise<{ events: ExecEvent[]; pids: number[]; stderr: string }> {
    const [a, b] = [programs.tinyAs('ig-a'), programs.tinyAs('ig-b')];
    const { events, did, stderr } = await trace(
      ['--uid', `${UID}`, ...filters.flatMap((filter) => ['--filter', filter])],
      async () => {
        const pids: number[] = [];
        for (let i = 0; i < 10; i++) {
          pids.push((await runProgram(i < 3 ? a : b, [`no-${i}`], { uid: UID, gid: GID })).pid);
        }
        return pids;
      },
    );
    return { events, pids: did, stderr };
  }

  const cases: [string[], number[]][] = [
    [['proc.comm==ig-a'], [0, 1, 2]],
    [['proc.comm!=ig-a'], [3, 4, 5, 6, 7, 8, 9]],
    [['args~no-[0-4]$'], [0, 1, 2, 3, 4]],
    [['args!~no-[0-4]$'], [5, 6, 7, 8, 9]],
    [['args~no-[0-4]$,proc.comm==ig-b'], [3, 4]],
    [
      ['args~no-[0-4]$', 'proc.comm==ig-b'],
      [3, 4],
    ],
    [['ret==0,proc.creds.uid>=61357,proc.creds.gid<61359'], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    [['proc.creds.uid>61357'], []],
  ];

  it.each(cases)('%j shows what matches, and counts the rest', async (filters, expected) => {
    const { events, pids, stderr } = await filtered(...filters);
    expect(events.map(({ proc }) => pids.indexOf(proc.pid))).toEqual(expected);
    expect(parseAccount(stderr)).toMatchObject({
      delivered: expected.length,
      filtered: 10 - expected.length,
      lost: 0,
    });
  });
});

describe('upper layers', () => {
  it('tell programs that were changed or added from those of the image', async () => {
    // A private overlay; the programs are run by a shell in it, which is then changed, too.
    const script = `set -e
      mount -t tmpfs none "$1"; cd "$1"; mkdir lower upper work merged
      cp /bin/busybox lower/busybox; cp "$2" lower/ig-lower; cp "$2" lower/ig-copied
      mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none merged
      cp "$2" merged/ig-new; touch merged/ig-copied
      for name in ig-lower ig-copied ig-new; do chroot merged /busybox sh -c "/$name; :"; done
      touch merged/busybox
      chroot merged /busybox sh -c "/ig-lower; :"
      printf '#!/ig-lower\\n' > merged/ig-script; chmod +x merged/ig-script
      chroot merged /ig-script`;
    const { events, did } = await trace(['--paths'], () =>
      runProgram('/usr/bin/unshare', ['--mount', 'sh', '-c', script, 'sh', mountPoint(), programs.tiny]),
    );
    expect(did.status).toBe(0);
    const mine = events.filter(({ proc }) => /^ig-(lower|copied|new|script)$/.test(proc.comm));
    expect(mine.map((e) => [e.file, e.upper_layer, e.fupper_layer, e.pupper_layer])).toEqual([
      ['/ig-lower', false, false, false],
      ['/ig-copied', true, true, false],
      ['/ig-new', true, true, false],
      ['/ig-lower', false, false, true],
      ['/ig-script', false, true, false],
    ]);
  });

  function mountPoint(): string {
    const path = join(programs.directory, 'overlay');
    mkdirSync(path, { recursive: true });
    return path;
  }
});
