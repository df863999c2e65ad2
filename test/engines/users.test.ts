// `ig run trace_exec`, as built, in containers whose /etc/passwd and /etc/group name ids otherwise than the host's.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Ig } from '../ig.js';
import { until } from '../until.js';
import { canRunDockerd, startDockerd, type Dockerd } from './dockerd.js';

const IDLE = ['busybox', 'sleep', '1000'];
/** Ids that this machine has no names for. */
const UID = 51234;
const GID = 50050;
const LATE = Array.from({ length: 10 }, (_, i) => `late${i}`);

interface Names {
  readonly user: string;
  readonly group: string;
  readonly container_user?: string;
  readonly container_group?: string;
}

describe.skipIf(!canRunDockerd())('users of containers', { timeout: 90_000 }, () => {
  let dockerd: Dockerd;
  let directory: string;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'ig-users-'));
    writeFileSync(join(directory, 'passwd'), `boss:x:0:0::/:/bin/sh\napp:x:${UID}:${GID}::/:/bin/sh\n`);
    writeFileSync(join(directory, 'group'), `root:x:0:\nstaff:x:${GID}:\n`);
    dockerd = await startDockerd();
    dockerd.importBusybox();
  }, 120_000);

  afterAll(async () => {
    await dockerd?.close();
    rmSync(directory, { recursive: true });
  }, 60_000);

  afterEach(() => dockerd.removeContainers());

  const tracing = (...args: string[]): Promise<Ig> =>
    Ig.tracing(['run', 'trace_exec', '--docker-socketpath', dockerd.socketPath, ...args]);

  /** Makes a container with files of its own, not started. */
  function create(name: string, command: readonly string[] = IDLE): void {
    dockerd.docker('create', '--network=none', '-u', `${UID}:${GID}`, '--name', name, ...command);
    for (const file of ['passwd', 'group'])
      dockerd.docker('cp', join(directory, file), `${name}:/etc/${file}`);
  }

  /** Who ran the program in the container, by ig's events so far. */
  function ranBy(ig: Ig, name: string, program: string): Names[] {
    const isIt = (event: ReturnType<Ig['events']>[number]): boolean =>
      event.runtime?.['containerName'] === name && event.args.startsWith(program);
    return ig
      .events()
      .filter(isIt)
      .map(({ proc }) => proc.creds);
  }

  /** Who runs the program in a container that runs. */
  async function whoRuns(ig: Ig, name: string, user: string, program: string): Promise<Names> {
    const before = ranBy(ig, name, program).length;
    dockerd.docker('exec', '-u', user, name, program);
    await ig.until(() => ranBy(ig, name, program).length > before, 'the event');
    return ranBy(ig, name, program).at(-1)!;
  }

  it('are shown by the container’s names where the host has others, or none', async () => {
    create('early');
    dockerd.docker('start', 'early');
    const ig = await tracing('-o', 'json', '-c', 'early');
    expect(await whoRuns(ig, 'early', `${UID}:${GID}`, '/bin/true')).toEqual({
      ...{ uid: UID, user: `uid:${UID}`, container_user: 'app' },
      ...{ gid: GID, group: `gid:${GID}`, container_group: 'staff' },
    });
    expect(await whoRuns(ig, 'early', '0:0', '/bin/true')).toEqual({
      ...{ uid: 0, user: 'root', container_user: 'boss' },
      ...{ gid: 0, group: 'root' },
    });
    expect(await whoRuns(ig, 'early', `${UID + 1}:${GID + 1}`, '/bin/true')).toEqual({
      ...{ uid: UID + 1, user: `uid:${UID + 1}` },
      ...{ gid: GID + 1, group: `gid:${GID + 1}` },
    });
    expect((await ig.stop()).status).toBe(0);
  });

  it('are known from the first exec of a container that is started later', async () => {
    const ig = await tracing('-o', 'json', '-c', LATE.join());
    let tries = 0;
    // A slow machine may not have read the files by the time the exec has waited for its container's name.
    await until(async () => {
      const name = LATE[tries++]!;
      create(name);
      dockerd.docker('start', name);
      await ig.until(() => ranBy(ig, name, 'sleep').length > 0, 'the first exec');
      return ranBy(ig, name, 'sleep')[0]?.container_user === 'app';
    }, 'a first exec with the user’s name');
  });

  it('follow changes of the container’s files', async () => {
    const ig = await tracing('-o', 'json', '-c', 'changing');
    dockerd.docker('run', '-d', '--network=none', '--name', 'changing', ...IDLE);
    const who = (): Promise<Names> => whoRuns(ig, 'changing', `${UID}`, '/bin/true');
    expect((await who()).container_user).toBeUndefined();
    dockerd.docker('exec', 'changing', 'sh', '-c', `echo added:x:${UID}:0::/: >> /etc/passwd`);
    await until(async () => (await who()).container_user === 'added', 'the name of the new user');
  });

  it('are not looked up outside of the container', async () => {
    const outside = join(directory, 'passwd');
    const links = [outside, `../../../..${outside}`, `/proc/self/root${outside}`, `/proc/1/root${outside}`];
    const names = links.map((_, i) => `link${i}`);
    const ig = await tracing('-o', 'json', '-c', names.join());
    for (const [i, name] of names.entries()) {
      const target = links[i];
      const script = `ln -sf ${target} /etc/passwd; exec sleep 1000`;
      dockerd.docker('run', '-d', '--network=none', '--name', name, 'busybox', 'sh', '-c', script);
      await ig.until(() => ranBy(ig, name, 'sleep').length > 0, 'the link');
      // Both files are read at a time: once these names are there, the link has been seen.
      dockerd.docker('cp', join(directory, 'group'), `${name}:/etc/group`);
      let who: Names | undefined;
      await until(async () => {
        who = await whoRuns(ig, name, `${UID}:${GID}`, '/bin/true');
        return who.container_group === 'staff';
      }, 'the new groups');
      expect(who!.container_user).toBeUndefined();
    }
  });

  it('are shown in columns, and filtered by, when asked for', async () => {
    create('shown');
    dockerd.docker('start', 'shown');
    const ig = await tracing(
      '-c',
      'shown',
      '--fields',
      'user,container_user,args',
      '-F',
      'container_user==app',
    );
    dockerd.docker('exec', '-u', '0', 'shown', '/bin/true', 'one');
    dockerd.docker('exec', '-u', `${UID}`, 'shown', '/bin/true', 'two');
    await ig.until(() => ig.stdout.includes('two'), 'the event');
    const { stdout } = await ig.stop();
    expect(stdout.split('\n').map((line) => line.split(/ +/))).toEqual([
      ['USER', 'CONTAINER_USER', 'ARGS'],
      [`uid:${UID}`, 'app', '/bin/true', 'two'],
      [''],
    ]);
  });
});
