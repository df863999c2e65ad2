import { createHash } from 'node:crypto';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FileToHash, HashOutcome } from './file.js';
import { HashQueue, MAX_OPEN_FILES } from './hash-queue.js';
import { MAX_FILE_BYTES } from './open-file.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ig-hashing-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const GONE = { failure: 'gone' };
/** Nobody: what only a path leads to. */
const NO_PID = 2 ** 31;

function fileOf(name: string, content: string | Buffer = name): string {
  const path = join(directory, name);
  writeFileSync(path, content, { mode: 0o755 });
  return path;
}

/** A file as an event tells of it. */
function described(path: string, ...pids: number[]): FileToHash {
  const { dev, ino, ctimeNs } = statSync(path, { bigint: true });
  const [minor, major] = execFileSync('stat', ['-c', '%Ld %Hd', path]).toString().split(' ').map(Number);
  expect(dev).toBeGreaterThan(0n);
  return {
    major: major!,
    minor: minor!,
    inode: ino,
    ctimeNs,
    path: Buffer.from(path),
    pids: [NO_PID, ...pids, process.pid],
  };
}

function hashed(content: string | Buffer): HashOutcome {
  return { sha256: createHash('sha256').update(content).digest('hex') };
}

function hash(file: FileToHash, queue = new HashQueue()): Promise<HashOutcome> {
  return new Promise((resolve) => queue.add(file, resolve));
}

function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('a file that was executed', () => {
  it('is hashed', async () => {
    expect(await hash(described(fileOf('small', 'text')))).toEqual(hashed('text'));
    expect(await hash(described(fileOf('empty', '')))).toEqual(hashed(''));
    const large = Buffer.alloc(5_000_001, 'large');
    expect(await hash(described(fileOf('large', large)))).toEqual(hashed(large));
  });

  it('is hashed wherever it went, while a process runs it', async () => {
    const path = join(directory, 'sleep');
    copyFileSync('/usr/bin/sleep', path);
    const file = described(path);
    const child = spawn(path, ['1000']);
    await once(child, 'spawn');
    rmSync(path);
    try {
      expect(await hash(file)).toEqual(GONE);
      const expected = hashed(execFileSync('cat', ['/usr/bin/sleep'], { maxBuffer: 1 << 24 }));
      expect(await hash({ ...file, pids: [child.pid!] })).toEqual(expected);
    } finally {
      child.kill();
    }
  });

  it('is hashed when it is deleted meanwhile, while a process runs it', async () => {
    const path = join(directory, 'sleep-too');
    copyFileSync('/usr/bin/sleep', path);
    const child = spawn(path, ['1000']);
    await once(child, 'spawn');
    const file = { ...described(path), pids: [child.pid!] };
    const outcome = hash(file);
    rmSync(path);
    expect(await outcome.finally(() => child.kill())).toHaveProperty('sha256');
  });

  it('is not taken for another one of its name', async () => {
    const path = fileOf('script', 'old');
    const file = described(path);
    const other = fileOf('other', 'new');
    renameSync(other, path);
    expect(await hash(file)).toEqual(GONE);
    expect(await hash({ ...file, inode: described(path).inode })).toEqual(GONE);
    const { major, minor } = file;
    expect(await hash({ ...described(path), major: major + 1 })).toEqual(GONE);
    expect(await hash({ ...described(path), minor: minor + 1 })).toEqual(GONE);
    expect(await hash({ ...described(path), path: Buffer.alloc(0) })).toEqual(GONE);
  });

  it.each([
    ['written to', (path: string) => appendFileSync(path, 'more')],
    ['made something else', (path: string) => chmodSync(path, 0o700)],
    ['given another name', (path: string) => linkSync(path, `${path}-too`)],
  ])('is not hashed when it was %s since', async (what, change) => {
    const path = fileOf(`changed-${what.length}`);
    const file = described(path);
    // The kernel's clock has to have ticked.
    execFileSync('sleep', ['0.05']);
    change(path);
    expect(await hash(file)).toEqual(GONE);
  });

  it('is not hashed when it is written to meanwhile', async () => {
    const path = fileOf('growing', Buffer.alloc(3 << 20));
    const file = described(path);
    execFileSync('sleep', ['0.05']);
    const outcome = hash(file);
    appendFileSync(path, 'x');
    expect(await outcome).toEqual(GONE);
  });

  it('is not followed into a pipe, a device or through a link', async () => {
    const target = described(fileOf('target'));
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const link = join(directory, 'link');
    symlinkSync(join(directory, 'target'), link);
    for (const path of [pipe, '/dev/zero', directory, '/nothing/there']) {
      expect(await hash({ ...target, path: Buffer.from(path) })).toEqual(GONE);
      if (path !== '/nothing/there') expect(await hash({ ...described(path) })).toEqual(GONE);
    }
    expect(await hash({ ...target, path: Buffer.from(link) })).toEqual(GONE);
  });

  it('is not read when it is too large, even if it takes no room', async () => {
    const path = fileOf('huge', '');
    truncateSync(path, MAX_FILE_BYTES + 1);
    expect(await hash(described(path))).toEqual({ failure: 'tooLarge' });
  });
});

describe('many files', () => {
  it('are hashed the smaller ones first', async () => {
    const queue = new HashQueue();
    const order: string[] = [];
    const sizes = { 'many-large': 8 << 20, 'many-middle': 3 << 20, 'many-small': 10 };
    const files = Object.entries(sizes).map(([name, size]) => described(fileOf(name, Buffer.alloc(size))));
    execFileSync('sleep', ['0.05']);
    await Promise.all(
      files.map((file) => hash(file, queue).then(() => order.push(Buffer.from(file.path).toString()))),
    );
    expect(order).toEqual(
      Object.keys(sizes)
        .reverse()
        .map((name) => join(directory, name)),
    );
  });

  it('are not all opened: the largest are left out, and nothing stays open', async () => {
    const queue = new HashQueue();
    const before = openFiles();
    const files = Array.from({ length: MAX_OPEN_FILES + 2 }, (_, i) => {
      const path = fileOf(`open-${i}`, '');
      truncateSync(path, 1000 + i);
      return described(path);
    });
    const outcomes = await Promise.all([...files].reverse().map((file) => hash(file, queue)));
    expect(outcomes.slice(0, 2)).toEqual([{ failure: 'busy' }, { failure: 'busy' }]);
    expect(outcomes.slice(2).every((outcome) => 'sha256' in outcome)).toBe(true);
    expect(openFiles()).toBe(before);
  });
});
