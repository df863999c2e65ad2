// What trace_exec says of who executed what, in one run: for kernels on which starting it again and again takes too long.

import { spawn } from 'node:child_process';
import { readlinkSync, realpathSync, statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ExecEvent, Ig, parseAccount, parseEvents } from '../ig.js';
import {
  type Ended,
  Launcher,
  type Programs,
  type Way,
  buildPrograms,
  ended,
  runProgram,
} from '../live/programs.js';

const NOBODY = 65_534;
const LARGE = 'x'.repeat(100_000);
const MANY = Array.from({ length: 5_000 }, (_, i) => `${i}`);
const STRANGE = ['a b', `it's "so"`, 'one\ntwo', '', 'grüße 🦉', '\x1b[31m'];

let programs: Programs;
beforeAll(() => {
  programs = buildPrograms();
});
afterAll(() => programs.remove());

/** What is executed, by name. */
const deeds: Readonly<Record<string, () => Promise<Ended>>> = {
  plain: () =>
    runProgram('/usr/bin/env', [realpathSync('/bin/true')], {
      cwd: programs.directory,
      uid: NOBODY,
      gid: NOBODY,
    }),
  strange: () => launch('path', programs.tiny, STRANGE),
  many: () => launch('path', programs.tiny, MANY),
  large: () => launch('path', programs.tiny, ['first', LARGE]),
  thread: () => launch('thread', programs.tiny, ['from a thread']),
  terminal: () =>
    ended(
      spawn('script', ['-qec', `tty; exec "${programs.tinyAs('ig-tty')}"`, '/dev/null'], {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: { ...process.env, SHELL: '/bin/sh' },
      }),
    ),
};

function launch(way: Way, file: string, argv: string[]): Promise<Ended> {
  return new Launcher(programs, way, file).go(argv);
}

describe('trace_exec', () => {
  const did = new Map<string, Ended>();
  let events: readonly ExecEvent[] = [];

  it('traces all kinds of exec and loses none', async () => {
    const flags = ['--host', '-o', 'json', '--paths', '--ignore-failed=false'];
    const ig = await Ig.tracing(['run', 'trace_exec', ...flags]);
    for (const [name, act] of Object.entries(deeds)) did.set(name, await act());
    const { stdout, stderr, status } = await ig.stop();
    events = parseEvents(stdout);
    expect(status).toBe(0);
    expect(parseAccount(stderr).lost).toBe(0);
  });

  /** The last event of the process that did this. */
  function last(name: string): ExecEvent {
    const event = events.filter(({ proc }) => proc.pid === did.get(name)!.pid).at(-1);
    if (event === undefined) throw new Error(`no event of ${name}`);
    return event;
  }

  it('tells who executed what, where', () => {
    expect(last('plain')).toMatchObject({
      proc: {
        comm: 'true',
        tid: did.get('plain')!.pid,
        mntns_id: statSync('/proc/self/ns/mnt').ino,
        creds: { uid: NOBODY, gid: NOBODY },
        parent: { pid: process.pid },
      },
      argv: [realpathSync('/bin/true')],
      cwd: programs.directory,
      exepath: realpathSync('/bin/true'),
      parent_exepath: readlinkSync('/proc/self/exe'),
      upper_layer: false,
      error: '',
      ret: 0,
    });
  });

  it('shows arguments as they are', () => {
    expect(last('strange')).toMatchObject({ argv: STRANGE, args_truncated: false });
    expect(last('many')).toMatchObject({ argv: MANY, args_truncated: false });
  });

  it('cuts arguments that are too large, and says so', () => {
    const { argv, args_truncated } = last('large');
    expect(args_truncated).toBe(true);
    expect(argv[0]).toBe('first');
    expect(argv[1]!.length).toBeGreaterThan(20_000);
    expect(LARGE.startsWith(argv[1]!)).toBe(true);
  });

  it('shows an exec by another thread as one of the process', () => {
    const { pid } = did.get('thread')!;
    expect(last('thread').proc).toMatchObject({ pid, tid: pid });
    expect(last('thread').argv).toEqual(['from a thread']);
  });

  it('names the terminal', () => {
    const index = Number(/\/dev\/pts\/(\d+)/.exec(did.get('terminal')!.stdout)![1]);
    const event = events.find(({ proc }) => proc.comm === 'ig-tty');
    expect(event).toMatchObject({ tty: index, tty_major: 136, tty_minor: index });
  });
});
