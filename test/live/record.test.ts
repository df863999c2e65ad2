/** Recordings: made by the built `ig`, shown again by others, elsewhere, and in other ways. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RecordOptions, HEADER, batchOf, record } from '../../runtime/recording/testing.js';
import { componentOf } from '../../wasm/host/testing.js';
import { type Ended, Ig, parseAccount, parseEvents, runIg } from '../ig.js';
import { createTemporaryDirectory, removeDirectory } from '../registry/images.js';
import { Launcher, type Programs, buildPrograms } from './programs.js';

const COMM = 'ig-record';

let programs: Programs;
let program: string;
let directory: string;
/** A run in which the program ran twice, among whatever else ran, as it was recorded and shown. */
let recording: string;
let recorded: Promise<Ended> | undefined;

beforeAll(() => {
  programs = buildPrograms();
  program = programs.tinyAs(COMM);
  directory = createTemporaryDirectory();
  chmodSync(directory, 0o755);
  recording = join(directory, 'recording');
});
afterAll(() => {
  programs.remove();
  removeDirectory(directory);
});

async function run(path: string, flags: readonly string[], argvs: readonly string[][]): Promise<Ended> {
  const ig = await Ig.tracing(['run', 'trace_exec', '--host', '--record', path, ...flags]);
  for (const argv of argvs) await new Launcher(programs, 'path', program).go(argv);
  return ig.stop();
}

/** The run, which the first test that asks for it does. */
function live(): Promise<Ended> {
  const first = ['a b', 'it: "is"', '\x1b[31m', 'grüße', ''];
  return (recorded ??= run(recording, ['-o', 'json', '--paths'], [first, ['second']]));
}

async function replayed(...flags: string[]): Promise<string> {
  await live();
  const { status, stdout, stderr } = await runIg(['replay', recording, ...flags]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

describe('ig replay', () => {
  it('prints what the run printed, byte for byte', async () => {
    const { stdout } = await live();
    expect(parseEvents(stdout).filter(({ proc }) => proc.comm === COMM)).toHaveLength(2);
    expect(await replayed('-o', 'json')).toBe(stdout);
  });

  it('prints what another run would have printed', async () => {
    const flags = {
      columns: ['--fields', 'comm,args,exepath', '-F', `comm==${COMM}`],
      yaml: ['-o', 'yaml', '-F', 'args==second'],
    };
    const columns = await replayed(...flags.columns);
    expect(columns.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['COMM', 'ARGS', 'EXEPATH'],
      [COMM, expect.stringContaining('grüße'), program],
      [COMM, 'second', program],
      [''],
    ]);
    expect(await replayed(...flags.yaml)).toContain(`exepath: ${program}`);
    expect(await replayed('-c', 'no-such-container', '-o', 'json')).toBe('');
  });

  it('counts as the run did', async () => {
    const { delivered } = parseAccount((await live()).stderr);
    const { stderr } = await runIg(['replay', recording, '-o', 'none', '-v', '-F', `comm!=${COMM}`]);
    expect(parseAccount(stderr)).toMatchObject({ delivered: delivered - 2, filtered: 2, lost: 0 });
  });

  it('names the fields that can be shown', async () => {
    const help = await replayed('-h');
    expect(help).toMatch(/^A recording of trace_exec: /);
    expect(help).toMatch(/\* proc\.comm +cstring/);
    expect(help).toMatch(/ {2}runtime\.containerName +string|\* runtime\.containerName +string/);
    expect((await runIg(['replay', '-h'])).stdout).toContain('Usage: ig replay FILE [flags]');
  });

  it('needs no root, no addon and nothing of this machine', async () => {
    const { stdout: expected } = await live();
    const away = join(directory, 'away');
    mkdirSync(away);
    const root = new URL('../..', import.meta.url).pathname;
    execFileSync('cp', ['-r', join(root, 'dist'), join(root, 'package.json'), away]);
    symlinkSync(join(root, 'node_modules'), join(away, 'node_modules'));
    execFileSync('rm', ['-r', join(away, 'dist/bpf/addon'), join(away, 'dist/images/blobs')]);
    const copy = join(directory, 'copy');
    copyFileSync(recording, copy);
    execFileSync('chown', ['nobody', copy]);
    // Neither names of users nor processes: an empty /etc/passwd, no /proc to speak of.
    const script = `
      mount -t tmpfs none /proc/sys 2>/dev/null
      mount --bind /dev/null /etc/passwd && mount --bind /dev/null /etc/group
      exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"`;
    const node = [process.execPath, join(away, 'dist/runtime/cli/ig.js'), 'replay', copy, '-o', 'json'];
    const stdout = execFileSync('unshare', ['-m', 'sh', '-c', script, 'sh', ...node], { encoding: 'utf8' });
    expect(stdout).toBe(expected);
  });

  it('ends without harm when its reader does, or when it is stopped while its reader takes nothing', async () => {
    const { stdout } = await live();
    const big = join(directory, 'big');
    // The run again and again; what stands behind its end is as good as what stood before it.
    const bytes = readFileSync(recording);
    const head = bytes.indexOf(Buffer.of(0, 0, 0, 0, 3, 0, 0, 0));
    writeFileSync(big, Buffer.concat([bytes, ...Array.from({ length: 300 }, () => bytes.subarray(head))]));
    const ig = new URL('../../dist/runtime/cli/ig.js', import.meta.url).pathname;
    const shell = (script: string): string =>
      execFileSync('bash', ['-c', script], { encoding: 'utf8', timeout: 30_000 });
    expect(shell(`"${process.execPath}" "${ig}" replay "${big}" -o json | head -1`)).toBe(
      `${stdout.split('\n', 1)[0]!}\n`,
    );
    const stalled = `"${process.execPath}" "${ig}" replay "${big}" -o json > >(exec sleep 20 >/dev/null 2>&1) & sleep 2; kill $!; wait $!; echo $?`;
    expect(shell(stalled)).toBe('0\n');
  });

  it('shows what is whole of a recording whose run was killed, and says that its end is missing', async () => {
    const path = join(directory, 'killed');
    const ig = await Ig.tracing(['run', 'trace_exec', '--host', '-o', 'json', '--record', path]);
    await new Launcher(programs, 'path', program).go(['killed']);
    await ig.until(() => ig.events().some(({ args }) => args === 'killed'));
    const { stdout } = await ig.stop('SIGKILL');
    const again = await runIg(['replay', path, '-o', 'json']);
    expect(again.stdout.startsWith(stdout)).toBe(true);
    expect(again).toMatchObject({
      status: 0,
      stderr: `Warning: the end of ${path} is missing, and with it what the run may have lost\n`,
    });
  });

  it('stops a module that never comes back, and goes on behind the batch it was stopped in', async () => {
    const header = await headerOf(HANGING_GUEST);
    const path = record((writer) => {
      writer.start([]);
      for (const comm of ['1', '2', '3', '4', '5']) writer.batch(0, batchOf({ mntns: 0, comm }), 0);
    }, header);
    const { status, stdout, stderr } = await runIg(['replay', path, '-o', 'json']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^\{.*"comm":"4".*\}\n\{.*"comm":"5".*\}\n$/);
    expect(stderr).toMatch(/was stopped; events go on without the module$/m);
    expect(stderr).toMatch(/^2 events delivered, 6 lost \(3 ring buffer full, 3 Wasm module failed\)$/m);
  });

  it('says in one sentence what is wrong with a file', async () => {
    const { stdout: expected } = await live();
    const text = join(directory, 'text');
    writeFileSync(text, 'no recording\n');
    const damaged = join(directory, 'damaged');
    const bytes = readFileSync(recording);
    bytes.writeUInt8(9, bytes.lastIndexOf(Buffer.from('losses')) - 2);
    writeFileSync(damaged, bytes);
    const wrong = [
      [text, 'it is no recording of `ig run --record`'],
      [directory, 'it is no file'],
      [join(directory, 'none'), 'there is no such file'],
    ] as const;
    for (const [path, reason] of wrong) {
      const { status, stderr } = await runIg(['replay', path]);
      expect({ status, stderr }).toEqual({
        status: 1,
        stderr: expect.stringMatching(new RegExp(`^Error: cannot replay ${path}: ${reason}.*\n$`)) as string,
      });
    }
    const { status, stdout, stderr } = await runIg(['replay', damaged, '-o', 'json']);
    expect({ status, stdout, stderr }).toEqual({
      status: 1,
      stdout: expected,
      stderr: `Error: the rest of ${damaged} cannot be read: a part of it is not MessagePack\n`,
    });
    expect((await runIg(['replay', recording, '-F', 'nope==1'])).status).toBe(2);
  });
});

/** A module whose `process` never returns. */
const HANGING_GUEST = `(module
  (memory (export "memory") 2)
  (global $heap (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 3)) (i32.const 15)) (i32.const -8)))
    (local.get $at))
  (func (export "$I#init") (param i32 i32 i32 i32 i32) (result i32) (i32.const 16))
  (func (export "$I#select") (param i32 i32))
  (func (export "$I#process") (param i32 i32 i32 i32) (result i32) (loop $ever (br $ever)) (i32.const 16))
  (func (export "$I#tick") (param i64) (result i32) (i32.const 16))
  (func (export "$I#finish") (result i32) (i32.const 16)))`;

/** A header, and the module it names. */
async function headerOf(wat: string): Promise<RecordOptions> {
  const module = await componentOf(wat);
  const digest = createHash('sha256').update(module).digest('hex');
  return { header: { ...HEADER, wasm: { digest, params: [] } }, module };
}

describe('ig run --record', () => {
  let mounted: string | undefined;
  afterEach(() => {
    if (mounted !== undefined) execFileSync('umount', [mounted]);
    mounted = undefined;
  });

  it('makes a file for its owner, and never writes over one', async () => {
    await live();
    expect(statSync(recording).mode & 0o777).toBe(0o600);
    const { status, stderr } = await runIg(['run', 'trace_exec', '--record', recording]);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: `Error: cannot record to ${recording}: there is such a file; give another name, or remove it\n`,
    });
  });

  it('gives the file to who called sudo', async () => {
    const path = join(directory, 'of-nobody');
    const env = { SUDO_UID: '65534', SUDO_GID: '65534' };
    const { status } = await runIg(['run', 'trace_exec', '-t', '1', '--record', path], { env });
    expect(status).toBe(0);
    expect(statSync(path)).toMatchObject({ uid: 65534, gid: 65534 });
  });

  it('leaves no file of a run that did not come to be', async () => {
    const path = join(directory, 'failed');
    expect((await runIg(['run', 'trace_exec', '-F', 'nope==1', '--record', path])).status).toBe(2);
    expect((await runIg(['run', 'trace_exec', '-t', '1', '--record', path])).status).toBe(0);
  });

  it('goes on tracing when the disk is full, and says how much is missing', async () => {
    mounted = join(directory, 'small');
    mkdirSync(mounted);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', mounted]);
    const path = join(mounted, 'recording');
    const argvs = Array.from({ length: 60 }, (_, i) => [`${i}`.padEnd(2000, '.')]);
    const { status, stdout, stderr } = await run(path, ['-o', 'json', '--comm', COMM], argvs);
    expect(parseEvents(stdout)).toHaveLength(argvs.length);
    expect(stderr).toMatch(/^Warning: the recording ends here: ENOSPC: .*; the run goes on without it$/m);
    expect(status).toBe(1);
    const missing = Number(
      /^Warning: (\d+) events are missing at the end of the recording /m.exec(stderr)?.[1],
    );
    expect(missing).toBeGreaterThan(0);
    const again = await runIg(['replay', path, '-o', 'json']);
    expect(parseEvents(again.stdout)).toEqual(parseEvents(stdout).slice(0, argvs.length - missing));
    expect(again.stderr).toMatch(/^Warning: the end of .* is missing/);
  });

  it('works for the classic view, whose recording has every field', async () => {
    const path = join(directory, 'classic');
    const ig = await Ig.tracing(['trace', 'exec', '--host', '--record', path]);
    await new Launcher(programs, 'path', program).go([COMM, 'classic']);
    expect((await ig.stop()).stdout).toContain('classic');
    const { stdout } = await runIg(['replay', path, '-o', 'json', '-F', 'args~classic$']);
    expect(parseEvents(stdout)).toMatchObject([{ proc: { comm: COMM, creds: { user: 'root' } } }]);
  });
});
