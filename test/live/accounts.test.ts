// What containers' own /etc/passwd and /etc/group say, of real processes with roots and namespaces of their own.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AccountKeeper } from '../../runtime/containers/accounts.js';
import { mntnsOf } from '../../runtime/containers/proc.js';
import { Selector } from '../../runtime/containers/selector.js';
import { ContainerTable } from '../../runtime/containers/table.js';
import { makeRootfs } from '../engines/rootfs.js';
import { until } from '../until.js';
import { canMountSilent, mountSilent } from './silent.js';

const PASSWD = 'root:x:0:0::/:/bin/sh\napp:x:1234:1234::/:/bin/sh\n';
const GROUP = 'wheel:x:0:\nstaff:x:50:app\n';

/** Longer than a read may take. */
const GIVEN_UP_MS = 2500;

let directory: string;
let table: ContainerTable;
let keeper: AccountKeeper;
const cleanups: (() => void)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ig-accounts-'));
  table = new ContainerTable(new Selector());
  keeper = new AccountKeeper(table);
});
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
  rmSync(directory, { recursive: true });
});

interface Process {
  readonly pid: number;
  readonly mntns: number;
  readonly root: string;
  readonly child: ChildProcess;
}

/**
 * A process in a mount namespace and root of its own, with a map of ids if it is given a user namespace. `prepare`
 * changes the root before.
 */
async function start(name: string, idMap?: string, prepare?: (root: string) => void): Promise<Process> {
  const root = join(directory, name);
  makeRootfs(root);
  writeFileSync(join(root, 'etc/passwd'), PASSWD);
  writeFileSync(join(root, 'etc/group'), GROUP);
  prepare?.(root);
  const namespaces = idMap === undefined ? ['-m'] : ['-m', '-U'];
  const script = 'echo made; read line; exec chroot "$0" sh -c "echo in; exec sleep 1000"';
  const child = spawn('unshare', [...namespaces, 'sh', '-c', script, root]);
  cleanups.push(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  for (const file of ['uid_map', 'gid_map']) {
    if (idMap !== undefined) writeFileSync(`/proc/${child.pid}/${file}`, idMap);
  }
  child.stdin.write('\n');
  await once(child.stdout, 'data');
  return { pid: child.pid!, mntns: mntnsOf(child.pid!)!, root, child };
}

/** Reads its accounts for the first time. */
async function namesOf(name: string, { pid, mntns }: Process): Promise<unknown> {
  await keeper.readFirst(name, pid, mntns);
  const accounts = keeper.get(name);
  return (
    accounts && { users: Object.fromEntries(accounts.users), groups: Object.fromEntries(accounts.groups) }
  );
}

function container(key: string, { pid, mntns }: Process): Parameters<ContainerTable['add']>[0] {
  const nothing = { imageName: '', imageDigest: '', imageId: '', startedAt: '', bundle: '' };
  return { key, id: key, name: key, runtime: '', pid, mntns, ...nothing };
}

describe.skipIf(process.getuid?.() !== 0)('accounts of containers', () => {
  it('are those of their own files', async () => {
    expect(await namesOf('a', await start('a'))).toEqual({
      users: { 0: 'root', 1234: 'app' },
      groups: { 0: 'wheel', 50: 'staff' },
    });
  });

  it('are known by the host’s ids where the container has a user namespace', async () => {
    expect(await namesOf('a', await start('a', '0 0 1\n1 100001 999\n1234 5678 1\n'))).toEqual({
      users: { 0: 'root', 5678: 'app' },
      groups: { 0: 'wheel', 100050: 'staff' },
    });
  });

  it('are none where files lead out of the container, or there are none', async () => {
    const process = await start('a');
    writeFileSync(join(directory, 'passwd'), 'secret:x:7:7:::\n');
    rmSync(join(process.root, 'etc/passwd'));
    symlinkSync(join(directory, 'passwd'), join(process.root, 'etc/passwd'));
    rmSync(join(process.root, 'etc/group'));
    expect(await namesOf('a', process)).toEqual({ users: {}, groups: {} });
  });

  it('are not known of a process that is gone, or in another mount namespace', async () => {
    const process = await start('a');
    expect(await namesOf('a', { ...process, mntns: process.mntns + 1 })).toBeUndefined();
    process.child.kill('SIGKILL');
    await once(process.child, 'exit');
    expect(await namesOf('a', process)).toBeUndefined();
  });

  it('come into the table when it has the container, and again when the files change', async () => {
    const process = await start('a');
    table.add(container('a', process));
    const users = (): string[] => [...(table.byKey('a')?.container.accounts?.users.values() ?? [])];
    await keeper.readAll();
    expect(users()).toEqual(['root', 'app']);
    writeFileSync(join(process.root, 'etc/passwd'), `${PASSWD}new:x:1:1:::\n`);
    keeper.refresh();
    await until(() => users().includes('new'), 'the new user');
    table.leave('a');
    table.sweep(Infinity);
    keeper.refresh();
    expect(keeper.get('a')).toBeUndefined();
  });

  it('do not change the table when the files say the same', async () => {
    const process = await start('a');
    table.add(container('a', process));
    await keeper.readAll();
    let changes = 0;
    table.subscribe(() => changes++);
    await keeper.readAll();
    expect(changes).toBe(0);
  });

  it.skipIf(!canMountSilent())(
    'of one that never answers are given up on, and do not hang more than one thread',
    async () => {
      let giveUp: (() => void) | undefined;
      cleanups.push(() => giveUp?.());
      const silent = await start('silent', undefined, (root) => {
        rmSync(join(root, 'etc/passwd'));
        symlinkSync('/silent/passwd', join(root, 'etc/passwd'));
        giveUp = mountSilent(join(root, 'silent'));
      });
      const good = await start('good');
      expect(await namesOf('silent', silent)).toBeUndefined();
      expect(await namesOf('good', good)).toBeUndefined();
      for (let i = 0; i < 10; i++) void keeper.readFirst('good', good.pid, good.mntns);
      await sleep(GIVEN_UP_MS);
      for (let i = 0; i < 10; i++) await keeper.readFirst('good', good.pid, good.mntns);
      expect(hangingThreads()).toBe(1);
      expect(keeper.get('good')).toBeUndefined();
      giveUp!();
      giveUp = undefined;
      await until(async () => {
        await namesOf('good', good);
        return keeper.get('good') !== undefined;
      }, 'the accounts of the other container');
    },
  );
});

/** How many threads of this process wait for the file system. */
function hangingThreads(): number {
  const tasks = readdirSync('/proc/self/task');
  return tasks.filter((task) => /fuse/.test(readFileSync(`/proc/self/task/${task}/wchan`, 'utf8'))).length;
}
