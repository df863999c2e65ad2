// The hash of what was executed, with `--hash`: that which sha256sum gives of the very file, or none.

import { createHash } from 'node:crypto';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { copyFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ExecEvent, Ig, parseEvents, runIg } from '../ig.js';
import { Launcher, type Programs, buildPrograms, runProgram } from '../live/programs.js';

/** An emulated machine takes 50 times as long for each. */
const EXECS = process.env['IG_TEST_PATIENCE'] === undefined ? 3000 : 300;
/** More than `MAX_FILE_BYTES`. */
const HUGE_BYTES = 2 ** 30;
const SLEEP = '/usr/bin/sleep';

let programs: Programs;
beforeAll(() => {
  programs = buildPrograms();
});
afterAll(() => programs.remove());

function hashOf(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

function fileOf(name: string, content: string): string {
  const path = join(programs.directory, name);
  writeFileSync(path, content, { mode: 0o755 });
  return path;
}

describe('--hash', { timeout: 120_000 }, () => {
  const hashes = new Map<string, (string | undefined)[]>();
  let events: ExecEvent[] = [];
  let recording: string;
  let account = '';

  /** Hashes of what a program of that name was, in the order of its execs. */
  const of = (comm: string): (string | undefined)[] => hashes.get(comm) ?? [];

  /** Has a program that lasts run until its event is there. */
  async function lasting(ig: Ig, pid: number, end: () => void): Promise<void> {
    const isHashed = ({ proc, file_sha256 }: ExecEvent): boolean =>
      proc.pid === pid && proc.comm !== 'launch' && file_sha256 !== undefined;
    await ig.until(() => ig.events().some(isHashed), 'the hash of what runs').finally(end);
  }

  it('keeps nobody from tracing', async () => {
    recording = join(programs.directory, 'recording');
    const flags = ['--host', '-o', 'json', '--hash', '--ignore-failed=false', '--record', recording];
    const ig = await Ig.tracing(['run', 'trace_exec', ...flags]);
    await runProgram(programs.tinyAs('hash-binary'), []);
    for (const word of ['old', 'new']) {
      const { pid } = await runProgram(fileOf('hash-script', `#!/bin/sh\n: ${word}\n`), []);
      await ig.until(() => ig.events().some(({ proc }) => proc.pid === pid), 'the event of the script');
    }
    await new Launcher(programs, 'path', fileOf('hash-text', 'no program\n')).go(['hash-text']);

    const huge = fileOf('hash-huge', '#!/bin/sh\nexit\n');
    truncateSync(huge, HUGE_BYTES);
    await runProgram(huge, []);

    const deleted = join(programs.directory, 'hash-deleted');
    copyFileSync(SLEEP, deleted);
    const child: ChildProcess = spawn(deleted, ['1000']);
    rmSync(deleted);
    await lasting(ig, child.pid!, () => child.kill());
    const launcher = new Launcher(programs, 'memfd', SLEEP);
    const inMemory = launcher.go(['sleep', '1000']);
    await lasting(ig, launcher.pid, () => process.kill(launcher.pid));
    await inMemory;

    const { stdout } = await runProgram(programs.burst, [`${EXECS}`, programs.tinyAs('hash-burst')]);
    expect(Number(stdout)).toBe(EXECS);
    const ended = await ig.stop();
    account = ended.stderr;
    events = parseEvents(ended.stdout);
    for (const { proc, file, file_sha256 } of events) {
      if (proc.pid === launcher.pid && file.startsWith('/memfd:')) hashes.set('memfd', [file_sha256]);
      if (file?.startsWith(programs.directory)) hashes.set(proc.comm, [...of(proc.comm), file_sha256]);
    }
  });

  it('is that of the program, however short it ran', () => {
    const file = join(programs.directory, 'hash-binary');
    expect(of('hash-binary')).toEqual([execFileSync('sha256sum', [file]).toString().split(' ')[0]]);
  });

  it('is that of a script, as it was when it ran', () => {
    expect(of('hash-script')).toEqual([hashOf('#!/bin/sh\n: old\n'), hashOf('#!/bin/sh\n: new\n')]);
  });

  it('is that of a file which is no program', () => {
    const event = events.find(({ filename }) => filename?.endsWith('/hash-text'));
    expect(event).toMatchObject({ error: 'ENOEXEC', file_sha256: hashOf('no program\n') });
  });

  it('is that of a program that was deleted, and of one that was only ever in memory', () => {
    expect(of('hash-deleted')).toEqual([hashOf(readFileSync(SLEEP))]);
    expect(of('memfd')).toEqual([hashOf(readFileSync(SLEEP))]);
  });

  it('is missing for a file that is too large, and that is told', () => {
    expect(statSync(join(programs.directory, 'hash-huge')).size).toBe(HUGE_BYTES);
    expect(of('hash-huge')).toEqual([undefined]);
    expect(account).toMatch(/^\d+ events without the hash of their file \(.*\b[1-9]\d* larger than 256 MiB/m);
  });

  it(`is there for each of ${EXECS} execs at full speed, and they are in order`, () => {
    const burst = events.filter(({ proc }) => proc.comm === 'hash-burst');
    expect(burst.map(({ argv }) => argv[1])).toEqual(Array.from({ length: EXECS }, (_, i) => `${i}`));
    expect(new Set(of('hash-burst'))).toEqual(new Set([hashOf(readFileSync(programs.tiny))]));
  });

  it('comes with the path of the file, and no other', () => {
    const event = events.find(({ proc }) => proc.comm === 'hash-binary');
    expect(event).toMatchObject({ file: join(programs.directory, 'hash-binary') });
    expect(event).not.toHaveProperty('exepath');
  });

  it('is in a recording as it was, and in columns if it is asked for', async () => {
    const replayed = await runIg(['replay', recording, '-o', 'json']);
    expect(parseEvents(replayed.stdout)).toEqual(events);
    const args = ['--fields', 'comm,hash', '-F', 'comm==hash-script'];
    const { stdout } = await runIg(['replay', recording, ...args]);
    expect(stdout.split('\n').map((line) => line.split(/ +/))).toEqual([
      ['COMM', 'HASH'],
      ...of('hash-script').map((hash) => ['hash-script', hash]),
      [''],
    ]);
  });
});
