import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe as suite, expect, it, onTestFinished } from 'vitest';
import { temporaryDirectory } from '../test/registry/images.js';
import { isOwnerAlive, ownedName, parseOwnedName } from './owner.js';

function isAlive(name: string, path = '/nonexistent'): boolean {
  const owner = parseOwnedName(name);
  if (owner === undefined) throw new Error(`${name} is not a name of ours`);
  return isOwnerAlive(owner, path);
}

suite('a file of a process', () => {
  it('is known as its own, and never named twice', () => {
    const [one, two] = [ownedName('lock'), ownedName('lock')];
    expect(one).not.toBe(two);
    expect(parseOwnedName(one)).toMatchObject({ kind: 'lock', pid: process.pid });
    expect(isAlive(one)).toBe(true);
  });

  it('is known to be left over as soon as the process is dead', async () => {
    const child = spawn('sleep', ['60']);
    onTestFinished(() => void child.kill('SIGKILL'));
    const start = startTicks(child.pid!);
    const name = ownedName('lock').replace(/-\d+-\d+\./, `-${child.pid}-${start}.`);
    expect(isAlive(name)).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isAlive(name)).toBe(false);
  });

  it('is not taken for one of a later process with the same number', () => {
    expect(isAlive(ownedName('lock').replace(/-\d+\./, '-1.'))).toBe(false);
  });

  it('of a container or a machine that cannot be looked into is alive while it is touched', () => {
    const name = ownedName('lease').replace(/\.[0-9a-f]{8}-/, '.00000000-');
    const path = join(temporaryDirectory(), name);
    writeFileSync(path, '');
    expect(isAlive(name, path)).toBe(true);
    utimesSync(path, 1, 1);
    expect(isAlive(name, path)).toBe(false);
  });

  it.each(['', 'lock', 'oras_ingest123', '12-abcdef.tmp', `${'9'.repeat(400)}.lock`])(
    'is not what another program calls %j',
    (name) => {
      expect(parseOwnedName(name)).toBe(undefined);
    },
  );
});

function startTicks(pid: number): string {
  const { stdout } = spawnSync('cut', ['-d', ' ', '-f', '22', `/proc/${pid}/stat`], { encoding: 'utf8' });
  return stdout.trim();
}
