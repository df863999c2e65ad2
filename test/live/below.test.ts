/** Files below a root that somebody else controls, read without leaving it: links, special files, sizes, no answer. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readFileBelow } from '../../bpf/index.js';
import { until } from '../until.js';
import { canMountSilent, mountSilent } from './silent.js';

const BUILT = fileURLToPath(new URL('../../dist/bpf/below.js', import.meta.url));
const MAX_BYTES = 4096;

let outside: string;
let root: string;
const cleanups: (() => void)[] = [];

beforeEach(() => {
  outside = mkdtempSync(join(tmpdir(), 'ig-below-'));
  root = join(outside, 'root');
  mkdirSync(join(root, 'etc'), { recursive: true });
  writeFileSync(join(outside, 'secret'), 'outside');
  writeFileSync(join(root, 'etc/inside'), 'inside');
});
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
  rmSync(outside, { recursive: true });
});

/** The text of /etc/passwd below the root, or the code of the error. */
async function passwd(): Promise<string> {
  try {
    return Buffer.from(await readFileBelow(root, '/etc/passwd', MAX_BYTES)).toString();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

const link = (target: string): void => symlinkSync(target, join(root, 'etc/passwd'));
const run = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: 'utf8' });

describe('readFileBelow', () => {
  it('reads a file', async () => {
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n');
    expect(await passwd()).toBe('root:x:0:0::/:/bin/sh\n');
    expect(await readFileBelow(root, 'etc/inside', MAX_BYTES)).toEqual(new Uint8Array(Buffer.from('inside')));
  });

  it('follows links within the root, absolute ones from the root', async () => {
    link('/etc/../../etc/./link');
    symlinkSync('inside', join(root, 'etc/link'));
    expect(await passwd()).toBe('inside');
  });

  it.each(['OUT/secret', '../../secret', '../../../../../../../../../../../OUT/secret'])(
    'does not follow a link to %s out of the root',
    async (target) => {
      link(target.replace('OUT', outside));
      expect(await passwd()).toBe('ENOENT');
    },
  );

  it('does not follow a directory that is a link out of the root', async () => {
    rmSync(join(root, 'etc'), { recursive: true });
    writeFileSync(join(outside, 'passwd'), 'outside');
    symlinkSync('..', join(root, 'etc'));
    expect(await passwd()).toBe('ENOENT');
  });

  it('follows no link of /proc, which would lead to anywhere', async () => {
    mkdirSync(join(root, 'proc'));
    run('mount', '-t', 'proc', 'proc', join(root, 'proc'));
    cleanups.push(() => run('umount', join(root, 'proc')));
    link(`/proc/self/root/${outside}/secret`);
    expect(await passwd()).toBe('ELOOP');
    const fd = openSync(join(outside, 'secret'), 'r');
    cleanups.push(() => closeSync(fd));
    rmSync(join(root, 'etc/passwd'));
    link(`/proc/self/fd/${fd}`);
    expect(await passwd()).toBe('ELOOP');
  });

  it('gives up on links in a circle', async () => {
    link('passwd');
    expect(await passwd()).toBe('ELOOP');
  });

  it('does not read what /proc makes up', async () => {
    mkdirSync(join(root, 'proc'));
    run('mount', '-t', 'proc', 'proc', join(root, 'proc'));
    cleanups.push(() => run('umount', join(root, 'proc')));
    link('/proc/uptime');
    expect(await passwd()).toBe('');
  });

  it.each([
    ['a FIFO', 'EINVAL', (path: string) => run('mkfifo', path)],
    ['a device', 'EINVAL', (path: string) => run('mknod', path, 'c', '1', '5')],
    ['a directory', 'EISDIR', (path: string) => mkdirSync(path)],
  ])('refuses %s', async (_, code, make) => {
    make(join(root, 'etc/passwd'));
    expect(await passwd()).toBe(code);
  });

  it('lets nobody go on who waits for a reader of a FIFO', async () => {
    const path = join(root, 'etc/passwd');
    run('mkfifo', path);
    const writer = spawn('sh', ['-c', 'echo ready; echo text > "$0"', path]);
    cleanups.push(() => writer.kill('SIGKILL'));
    await once(writer.stdout, 'data');
    await until(() => readFileSync(`/proc/${writer.pid}/wchan`, 'utf8') === 'wait_for_partner', 'the writer');
    for (let i = 0; i < 20; i++) expect(await passwd()).toBe('EINVAL');
    expect(readFileSync(`/proc/${writer.pid}/wchan`, 'utf8')).toBe('wait_for_partner');
  });

  it('refuses a file of more bytes than asked for', async () => {
    writeFileSync(join(root, 'etc/passwd'), 'x'.repeat(MAX_BYTES));
    expect(await passwd()).toHaveLength(MAX_BYTES);
    appendFileSync(join(root, 'etc/passwd'), 'x');
    expect(await passwd()).toBe('EFBIG');
    truncateSync(join(root, 'etc/passwd'), 2 ** 40);
    expect(await passwd()).toBe('EFBIG');
  });

  it('is not led on by a file that grows', async () => {
    const path = join(root, 'etc/passwd');
    writeFileSync(path, 'x');
    for (let i = 0; i < 200; i++) {
      const reading = passwd();
      appendFileSync(path, 'x'.repeat(64));
      const text = await reading;
      if (text !== 'EFBIG') expect(text.length).toBeLessThanOrEqual(MAX_BYTES);
    }
    expect(await passwd()).toBe('EFBIG');
  });

  it('says when the root is gone', async () => {
    await expect(readFileBelow('/proc/2147483647/root', '/etc/passwd', MAX_BYTES)).rejects.toThrow(
      'reading /etc/passwd below /proc/2147483647/root: No such file or directory',
    );
  });

  it('refuses paths and sizes that make no sense', () => {
    expect(() => readFileBelow(root, '', 1)).toThrow('"" is not a path');
    expect(() => readFileBelow(`${root}\0`, 'a', 1)).toThrow('is not a path');
    expect(() => readFileBelow(root, 'a', -1)).toThrow('-1 is not a size');
    expect(() => readFileBelow(root, 'a', 2 ** 32)).toThrow('is not a size');
  });

  it('closes what it opened', async () => {
    writeFileSync(join(root, 'etc/passwd'), 'x');
    const open = (): number => readdirSync('/proc/self/fd').length;
    await passwd();
    const before = open();
    for (let i = 0; i < 50; i++) await passwd();
    expect(open()).toBe(before);
  });

  describe.skipIf(!canMountSilent())('on a file system that never answers', () => {
    it('holds nobody up, and fails once the kernel gives up', async () => {
      const giveUp = mountSilent(join(root, 'silent'));
      let code: string | undefined;
      const reading = readFileBelow(root, 'silent/passwd', MAX_BYTES).catch(
        (error: NodeJS.ErrnoException) => (code = error.code),
      );
      expect(Buffer.from(await readFileBelow(root, 'etc/inside', MAX_BYTES)).toString()).toBe('inside');
      expect(code).toBeUndefined();
      giveUp();
      await reading;
      expect(code).toBe('ENOTCONN');
    });

    it.each([
      ['ending', ''],
      ['exiting', 'process.exit(0);'],
    ])('does not keep a process from %s', (_, end) => {
      cleanups.push(mountSilent(join(root, 'silent')));
      const script = `
        import { readFileBelow } from ${JSON.stringify(BUILT)};
        void readFileBelow(${JSON.stringify(root)}, 'silent/passwd', 1);
        setTimeout(() => { console.log('ended'); ${end} }, 100);`;
      const words = ['--input-type=module', '-e', script];
      const ended = spawnSync(process.execPath, words, { encoding: 'utf8', timeout: 20_000 });
      expect(ended).toMatchObject({ status: 0, stdout: 'ended\n', stderr: '' });
    });
  });
});
