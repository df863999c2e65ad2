import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { FileToHash, HashOutcome } from './file.js';
import { FileHasher } from './hasher.js';

const FILE: FileToHash = { major: 1, minor: 2, inode: 3n, ctimeNs: 4n, path: Buffer.from('/x'), pids: [1] };

/** One whose process runs this, and is asked every 20 ms whether it lives. */
function hasherOf(program: string): FileHasher {
  const directory = mkdtempSync(join(tmpdir(), 'ig-hasher-'));
  const path = join(directory, 'program.mjs');
  writeFileSync(path, program);
  const hasher = new FileHasher({ program: pathToFileURL(path), pingMs: 20 });
  onTestFinished(() => {
    hasher.close();
    rmSync(directory, { recursive: true });
  });
  return hasher;
}

function ask(hasher: FileHasher, file = FILE): Promise<HashOutcome> {
  return new Promise((resolve) => hasher.ask(file, resolve));
}

const ANSWER = `
  process.send({ id: 0 });
  process.on('message', ({ id, file }) =>
    process.send(file ? { id, outcome: { sha256: String(file.inode + file.ctimeNs) } } : { id }));`;

describe('the process that hashes', () => {
  it('answers each file', async () => {
    const hasher = hasherOf(ANSWER);
    const answers = [1n, 2n, 3n].map((inode) => ask(hasher, { ...FILE, inode }));
    expect(await Promise.all(answers)).toEqual(['5', '6', '7'].map((sha256) => ({ sha256 })));
  });

  it('is not waited for when it hangs, and makes room for another', async () => {
    // Time to start is part of what the first one gets.
    const hasher = hasherOf(`${ANSWER.replace('process.send(file', 'file ? hang() : process.send(file')}
      function hang() { for (;;); }`);
    expect(await ask(hasher)).toEqual({ failure: 'busy' });
    expect(await ask(hasher)).toEqual({ failure: 'busy' });
  });

  it('is not waited for when it ends', async () => {
    const hasher = hasherOf(`process.on('message', () => process.exit(1));`);
    const answers = [ask(hasher), ask(hasher)];
    expect(await Promise.all(answers)).toEqual([{ failure: 'busy' }, { failure: 'busy' }]);
    // Not at once, one after the other.
    expect(await ask(hasher)).toEqual({ failure: 'busy' });
  });
});
