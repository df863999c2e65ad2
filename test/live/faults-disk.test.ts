// `ig`, as built, on full, read-only or missing disks: one sentence, an exact account, nothing half done. That of a
// recording whose disk becomes full is in record.test.ts.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportToFile } from '../../oci/archive-writer.js';
import { Layout } from '../../oci/layout.js';
import { componentOf, guestWat } from '../../wasm/host/testing.js';
import { type Ended, Ig, type IgOptions, parseAccount, runIg } from '../ig.js';
import { buildSample, createTemporaryDirectory, removeDirectory } from '../registry/images.js';
import { type Programs, buildPrograms, runProgram } from './programs.js';

const COMM = 'ig-full-tiny';
const RUN = ['run', 'trace_exec', '--host', '--comm', COMM];
const SAMPLE = fileURLToPath(new URL('../registry/samples/trace_sample', import.meta.url));
const IMAGE = 'ghcr.io/x/sample:v1';
const EXECS = 500;

let directory: string;
let programs: Programs;
let tiny: string;
beforeAll(() => {
  directory = createTemporaryDirectory();
  programs = buildPrograms();
  tiny = programs.tinyAs(COMM);
});
afterAll(() => {
  programs.remove();
  removeDirectory(directory);
});

/** Runs `script` in mounts of its own, in which $0 is a directory and "$@" is ig. */
function within(script: string, path = directory): IgOptions {
  return { inside: ['unshare', '-m', 'sh', '-c', script, path], cwd: directory };
}

/** One sentence, and before it at most the account. */
function sentenceOf({ status, stderr }: Ended): string {
  expect(status, stderr).toBeGreaterThan(0);
  expect(stderr).toMatch(/^(?:\d+ events delivered.*\n)?Error: .+\n$/);
  expect(stderr).not.toMatch(/\n\s+at |node:internal|undefined|\[object/);
  return stderr.trimEnd().split('\n').at(-1)!;
}

describe('an output on a full disk', () => {
  it.each([
    ['json', (text: string): number => text.split('\n').length - 1],
    ['columns', (text: string): number => text.split('\n').length - 2],
    ['yaml', (text: string): number => text.split('\n---\n').length - 1],
  ])('ends the run; what is whole of it in mode %s is what was delivered', async (mode, count) => {
    const out = join(directory, `out-${mode}`);
    const copy = `mount -t tmpfs -o size=32k none /mnt && "$@" >/mnt/out; s=$?; cat /mnt/out >${out}; exit $s`;
    const ig = await Ig.tracing([...RUN, '-o', mode, '--timeout', '60'], within(copy));
    const pid = Number(readFileSync(`/proc/${ig.pid}/task/${ig.pid}/children`, 'utf8'));
    // All of it is in the kernel's buffer when it goes on.
    process.kill(pid, 'SIGSTOP');
    const { stdout } = await runProgram(programs.burst, [`${EXECS}`, tiny]);
    process.kill(pid, 'SIGCONT');
    const ended = await ig.end();
    const { stderr } = ended;
    expect(stderr).toMatch(/^Error: .*No space left on device.*\n$/m);
    expect(ended.status).toBe(1);
    const { delivered, filtered, lost } = parseAccount(stderr);
    expect(delivered + filtered + lost).toBe(Number(stdout));
    expect(lost).toBeGreaterThan(0);
    expect(count(readFileSync(out, 'utf8'))).toBe(delivered);
    expect(delivered).toBeGreaterThan(0);
  });

  it('is told of before there are events', async () => {
    const said = sentenceOf(await runIg([...RUN, '-o', 'columns'], within('exec "$@" >/dev/full')));
    expect(said).toContain('No space left on device');
  });
});

describe('a store on a full disk', () => {
  let archive: string;
  beforeAll(async () => {
    const layout = new Layout(join(directory, 'layout'));
    const ebpf = Buffer.alloc(1 << 20, 'x');
    await buildSample(layout, IMAGE, { platforms: [{ architecture: 'amd64', ebpf }] });
    archive = join(directory, 'image.tar');
    await exportToFile(layout, [IMAGE], archive);
  });

  it('is named; what was written goes again, and with more room it works', async () => {
    const small = 'mount -t tmpfs -o size=512k none /var/lib';
    const ls = 'ls -A /var/lib/ig/oci-store/ingest';
    const script = `${small}; "$@"; s=$?; ${ls}; mount -o remount,size=8m /var/lib; "$@" >&2 || exit 9; ${ls}; exit $s`;
    const { status, stdout, stderr } = await runIg(['image', 'import', archive], within(script));
    expect(stdout).toBe('');
    expect(stderr).toMatch(
      /^Error: cannot write to the image layout \/var\/lib\/ig\/oci-store \(.*no space left on device.*\)\nImported .*\n$/,
    );
    expect(status).toBe(1);
  });

  it.each([
    ['read-only', 'mount -t tmpfs -o ro none /var/lib'],
    ['of no size', 'mount -t tmpfs -o nr_inodes=2 none /var/lib'],
  ])('is named when it is %s', async (_, mount) => {
    const said = sentenceOf(await runIg(['image', 'import', archive], within(`${mount} && exec "$@"`)));
    expect(said).toContain('/var/lib/ig');
  });

  it('is named when an archive has no room', async () => {
    const script = 'mount -t tmpfs -o size=512k none /mnt && "$@"; s=$?; ls -A /mnt; exit $s';
    const store = `mkdir -p "$0/lib/ig" && cp -r "$0/layout" "$0/lib/ig/oci-store" && mount --bind "$0/lib" /var/lib && ${script}`;
    const ended = await runIg(['image', 'export', IMAGE, '/mnt/copy.tar'], within(store));
    expect(sentenceOf(ended)).toMatch(/\/mnt\/copy\.tar.*no space left/);
    expect(ended.stdout).toBe('');
  });
});

describe('a recording on a full disk', () => {
  it('is not begun, and leaves no file', async () => {
    const script =
      'mount -t tmpfs -o size=4k none /mnt && echo x >/mnt/full && "$@"; s=$?; ls /mnt >&2; exit $s';
    const { status, stderr } = await runIg([...RUN, '--record', '/mnt/recording'], within(script));
    expect(stderr).toMatch(/^Error: cannot record to \/mnt\/recording: ENOSPC.*\nfull\n$/);
    expect(status).toBe(1);
  });
});

describe('a machine without', () => {
  it('room for the Wasm cache runs modules all the same', async () => {
    const path = join(directory, 'filter.wasm');
    writeFileSync(path, await componentOf(guestWat({})));
    const script =
      'mount -t tmpfs -o size=8k none /var/lib && mkdir -p /var/lib/ig/wasm-cache && "$@"; s=$?; ls -A /var/lib/ig/wasm-cache >&2; exit $s';
    const { status, stderr } = await runIg(
      [...RUN, '--wasm', path, '-o', 'none', '--timeout', '0.1'],
      within(script),
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('a home, /tmp and /proc/sys traces all the same', async () => {
    const script = 'mount -t tmpfs -o ro none /proc/sys && unset HOME && TMPDIR=/nowhere exec "$@"';
    const { status, stderr } = await runIg([...RUN, '-o', 'none', '--timeout', '0.1'], within(script));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('/proc/sys keeps images', async () => {
    const archive = join(directory, 'image.tar');
    const script = 'mount -t tmpfs none /var/lib && mount -t tmpfs -o ro none /proc/sys && "$@" && "$@"';
    const { status, stderr } = await runIg(['image', 'import', archive], within(script));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('a place for temporary files is told so', async () => {
    const script = 'mount -t tmpfs none /var/lib && TMPDIR=/nowhere exec "$@"';
    const said = sentenceOf(await runIg(['image', 'build', SAMPLE, '-t', 'x/y:z'], within(script)));
    expect(said).toMatch(/no place for temporary files .*\/nowhere.*TMPDIR/);
  });
});
