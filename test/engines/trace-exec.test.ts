// `ig trace exec` and `ig run trace_exec`, as built, beside a real docker daemon.

import { execFileSync, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Ig, parseEvents } from '../ig.js';
import { canRunDockerd, startDockerd, type Dockerd } from './dockerd.js';

const NO_NETWORK = '--network=none';
const IDLE = ['busybox', 'sleep', '1000'];
const NO_SOCKET = '/nowhere/docker.sock';

describe.skipIf(!canRunDockerd())('trace exec', { timeout: 90_000 }, () => {
  let dockerd: Dockerd;

  beforeAll(async () => {
    dockerd = await startDockerd();
    dockerd.importBusybox();
  }, 120_000);

  afterAll(() => dockerd?.close(), 60_000);

  afterEach(() => dockerd.removeContainers());

  const withDocker = (...args: string[]): string[] => [...args, '--docker-socketpath', dockerd.socketPath];

  const tracing = (...args: string[]): Promise<Ig> => Ig.tracing(withDocker(...args));

  const tracingQuietly = (...args: string[]): Promise<Ig> => Ig.tracingQuietly(withDocker(...args));

  /** Runs a container to its end. Its status is not of interest. */
  function runContainer(name: string, ...command: string[]): void {
    const words = [
      '-H',
      `unix://${dockerd.socketPath}`,
      'run',
      '--rm',
      NO_NETWORK,
      '--name',
      name,
      ...command,
    ];
    spawnSync('docker', words, { stdio: 'ignore' });
  }

  function startContainer(name: string, ...command: string[]): string {
    return dockerd.docker('run', '-d', NO_NETWORK, '--name', name, ...command);
  }

  it('shows what the documentation of the classic command shows', async () => {
    const ig = Ig.start(withDocker('trace', 'exec', '-c', 'test-trace-exec'));
    const header =
      'RUNTIME.CONTAINERNAME                             PID        PPID       COMM             RET ARGS';
    await ig.until(() => ig.stdout.includes('\n'), 'its header');
    expect(ig.stdout.trimEnd()).toBe(header);

    const script = 'while /bin/true ; do whoami ; sleep 0.3 ; done';
    dockerd.spawnDocker(
      'run',
      '--name',
      'test-trace-exec',
      '--rm',
      NO_NETWORK,
      'busybox',
      '/bin/sh',
      '-c',
      script,
    );
    await ig.until(() => rowsOf(ig.stdout).length >= 7, 'two rounds of the loop');
    const { status, stdout, stderr } = await ig.stop();

    const rows = rowsOf(stdout).slice(0, 7);
    const shown = rows.map((row) => [row['COMM'], row['RET'], row['ARGS']]);
    const round = [
      ['true', '0', '/bin/true'],
      ['whoami', '0', '/bin/whoami'],
      ['sleep', '0', '/bin/sleep 0.3'],
    ];
    expect(shown).toEqual([['sh', '0', `/bin/sh -c ${script}`], ...round, ...round]);
    expect(new Set(rows.map((row) => row['RUNTIME.CONTAINERNAME']))).toEqual(new Set(['test-trace-exec']));
    const [shell, ...children] = rows;
    for (const child of children) expect(child['PPID']).toBe(shell!['PID']);
    expect(status).toBe(0);
    expect(stderr).toBe('');
  });

  it('shows working directory and program with --paths', async () => {
    const ig = await tracing('trace', 'exec', '-c', 'test', '--paths');
    runContainer('test', '-w', '/tmp', 'busybox', 'sh', '-c', 'mkdir -p a/b; cat /dev/null');
    await ig.until(() => rowsOf(ig.stdout).length >= 3);
    const { stdout } = await ig.stop();
    expect(stdout.split('\n')[0]!.split(/ +/)).toEqual([
      ...['RUNTIME.CONTAINERNAME', 'PID', 'PPID', 'COMM', 'RET', 'ARGS', 'CWD', 'EXE'],
    ]);
    expect(rowsOf(stdout).map((row) => [row['COMM'], row['ARGS'], row['CWD'], row['EXE']])).toEqual([
      ['sh', '/bin/sh -c mkdir -p a/b; cat /dev/null', '/tmp', '/bin/sh'],
      ['mkdir', '/bin/mkdir -p a/b', '/tmp', '/bin/busybox'],
      ['cat', '/bin/cat /dev/null', '/tmp', '/bin/busybox'],
    ]);
  });

  it('tells programs that were added to the image from its own', async () => {
    const ig = await tracing('trace', 'exec', '-c', 'test', '-o', 'columns=comm,ret,upperlayer');
    const script = 'cp /bin/echo /bin/echo2 ; /bin/echo lower ; /bin/echo2 upper';
    runContainer('test', 'busybox', 'sh', '-c', script);
    await ig.until(() => rowsOf(ig.stdout).length >= 4);
    const { stdout } = await ig.stop();
    expect(stdout.split('\n')[0]!.split(/ +/)).toEqual(['COMM', 'RET', 'UPPERLAYER']);
    expect(rowsOf(stdout).map((row) => [row['COMM'], row['RET'], row['UPPERLAYER']])).toEqual([
      ['sh', '0', 'false'],
      ['cp', '0', 'false'],
      ['echo', '0', 'false'],
      ['echo2', '0', 'true'],
    ]);
  });

  it('hashes programs of the image, and those changed in it or added to it', async () => {
    const ig = await tracing('run', 'trace_exec', '-c', 'test', '--hash', '-o', 'json');
    const script = [
      ...['cp /bin/sh /bin/added', '/bin/added -c :', 'touch /bin/sh', '/bin/sh -c :'],
      ...['printf "#!/bin/sh\\n" > /t/script', 'chmod +x /t/script', '/t/script'],
      // What is gone before it could be read has no hash.
      'sha256sum /bin/busybox /bin/added /bin/sh /t/script && sleep 1',
    ];
    const where = ['--rm', NO_NETWORK, '--name', 'test', '--tmpfs', '/t:exec'];
    const run = ['run', ...where, 'busybox', 'sh', '-c', script.join(' && ')];
    const sums = dockerd.docker(...run);
    const { stdout } = await ig.stop();
    const hashes = new Map<string, string | undefined>();
    for (const event of parseEvents(stdout)) hashes.set(event.file, event.file_sha256);
    for (const line of sums.split('\n')) {
      const [hash, file] = line.split(/ +/);
      expect([file, hashes.get(file!)]).toEqual([file, hash]);
    }
    expect(sums.split('\n')).toHaveLength(4);
  });

  it('leaves the host out unless it is asked for', async () => {
    const without = await tracing('run', 'trace_exec', '-o', 'json');
    const withHost = await tracing('run', 'trace_exec', '--host', '-o', 'json');
    execFileSync('echo', ['on-the-host']);
    runContainer('inside', 'busybox', 'echo', 'in-a-container');
    await without.until(() => without.stdout.includes('in-a-container'));
    await withHost.until(() => nameOf(withHost, 'echo in-a-container') !== undefined);
    await Promise.all([without.stop(), withHost.stop()]);

    expect(without.stdout).not.toContain('on-the-host');
    expect(nameOf(without, 'echo in-a-container')).toBe('inside');
    expect(nameOf(withHost, 'echo in-a-container')).toBe('inside');
    const host = withHost.events().find((event) => event.args === 'echo on-the-host');
    expect(host).toBeDefined();
    expect(host?.runtime?.['containerName'] ?? '').toBe('');
  });

  it('shows the containers that -c names', async () => {
    const ig = await tracing('run', 'trace_exec', '-c', 'one,two', '-o', 'json');
    for (const name of ['three', 'one', 'two']) runContainer(name, 'busybox', 'true', name);
    await ig.until(() => ig.events().length >= 2);
    await ig.stop();
    expect(ig.events().map((event) => event.args)).toEqual(['true one', 'true two']);
  });

  it('shows all containers but those that -c excludes', async () => {
    const ig = await tracing('run', 'trace_exec', '-c', '!one', '-o', 'json');
    for (const name of ['one', 'two', 'three']) runContainer(name, 'busybox', 'true', name);
    await ig.until(() => ig.stdout.includes('true three'));
    await ig.stop();
    const shown = ig.events().map((event) => event.args);
    expect(shown).toEqual(expect.arrayContaining(['true two', 'true three']));
    expect(shown).not.toContain('true one');
  });

  it('shows a container that ran before it started, as docker describes it', async () => {
    const id = startContainer('before', ...IDLE);
    const ig = await tracing('run', 'trace_exec', '-c', 'before', '-o', 'json');
    dockerd.docker('exec', 'before', 'echo', 'now');
    await ig.until(() => ig.stdout.includes('echo now'));
    await ig.stop();
    expect(ig.events()).toHaveLength(1);
    expect(ig.events()[0]!.runtime).toMatchObject({
      containerName: 'before',
      runtimeName: 'docker',
      containerId: id,
      containerPid: Number(dockerd.docker('inspect', '-f', '{{.State.Pid}}', 'before')),
      containerImageName: dockerd.docker('inspect', '-f', '{{.Config.Image}}', 'before'),
    });
  });

  it('describes a container that starts later from its very first exec on', async () => {
    const ig = await tracing('run', 'trace_exec', '-c', 'later', '-o', 'json');
    const id = startContainer('later', 'busybox', 'sh', '-c', '/bin/echo second; sleep 1000');
    await ig.until(() => ig.events().length >= 3);
    await ig.stop();
    const runtime = {
      containerName: 'later',
      runtimeName: 'docker',
      containerId: id,
      containerPid: Number(dockerd.docker('inspect', '-f', '{{.State.Pid}}', 'later')),
      containerImageName: 'busybox',
    };
    expect(ig.events()[0]!.proc.pid).toBe(runtime.containerPid);
    for (const event of ig.events()) expect(event.runtime).toMatchObject(runtime);
  });

  it('shows the first execs of a container in the order in which they happened', async () => {
    const ig = await tracing('run', 'trace_exec', '-c', 'row', '-o', 'json');
    runContainer('row', 'busybox', 'sh', '-c', 'for i in 1 2 3 4 5 6 7 8; do /bin/echo $i; done');
    await ig.until(() => ig.stdout.includes('/bin/echo 8'));
    await ig.stop();
    const shown = ig.events().map((event) => event.args);
    expect(shown.slice(1)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((i) => `/bin/echo ${i}`));
  });

  it('delivers containers that come and go one after the other, whatever kernel numbers they share', async () => {
    const names = ['first', 'second', 'third'];
    const ig = await tracingQuietly('run', 'trace_exec', '-c', names.join(','), '-o', 'json');
    for (const name of names) runContainer(name, 'busybox', 'true', name);
    const { stderr } = await ig.stop();
    expect(ig.events().map((event) => event.args)).toEqual(names.map((name) => `true ${name}`));
    expect(stderr).toBe('');
  });

  it('delivers a container that lives for one exec only', async () => {
    const ig = await tracingQuietly('run', 'trace_exec', '-o', 'json');
    const names = Array.from({ length: 5 }, (_, i) => `short-${i}`);
    for (const name of names) runContainer(name, 'busybox', 'true', name);
    const { stderr } = await ig.stop();
    const shown = ig.events().filter((event) => event.args.startsWith('true short-'));
    expect(shown.map((event) => [event.args, event.runtime?.['containerName']])).toEqual(
      names.map((name) => [`true ${name}`, name]),
    );
    expect(stderr).toBe('');
  });

  it('keeps the names of containers that run at the same time apart', async () => {
    const ig = await tracing('run', 'trace_exec', '-o', 'json');
    const script = 'for i in 1 2 3 4 5 6 7 8; do /bin/echo $0 $i; done';
    const names = ['left', 'right'];
    for (const name of names) {
      dockerd.spawnDocker('run', '--rm', NO_NETWORK, '--name', name, 'busybox', 'sh', '-c', script, name);
    }
    await ig.until(() => names.every((name) => ig.stdout.includes(`echo ${name} 8`)));
    await ig.stop();
    for (const name of names) {
      const own = ig.events().filter((event) => event.args.startsWith(`/bin/echo ${name} `));
      expect(own.map((event) => event.runtime?.['containerName'])).toEqual(Array(8).fill(name));
    }
  });

  it('takes a service with mounts of its own for the host', async () => {
    const without = await tracing('run', 'trace_exec', '-o', 'json');
    const withHost = await tracing('run', 'trace_exec', '--host', '-o', 'json');
    const marks = ['in-own-mounts', 'again', 'last'].map((mark) => `/bin/echo ${mark}`);
    const [first, second, last] = marks;
    execFileSync('unshare', ['-m', 'sh', '-c', `${first}; ${second}; sleep 1.5; ${last}`]);
    await withHost.until(() => withHost.stdout.includes(last!));
    await Promise.all([without.stop(), withHost.stop()]);
    for (const mark of marks) {
      expect(without.stdout).not.toContain(mark);
      const event = withHost.events().find(({ args }) => args === mark);
      expect(event, mark).toBeDefined();
      expect(event?.runtime?.['containerName'] ?? '').toBe('');
    }
  });

  it('shows a container in whose mount namespace number a service was before', async () => {
    const ig = await tracing('run', 'trace_exec', '-o', 'json');
    // The kernel gives the lowest free number to the next namespace.
    execFileSync('unshare', ['-m', 'sh', '-c', '/bin/true; sleep 0.2']);
    await sleep(200);
    runContainer('next', 'busybox', 'true', 'next');
    const { stderr } = await ig.stop();
    expect(nameOf(ig, 'true next'), stderr).toBe('next');
  });

  it('with --fair, has a container that floods take no room from another, and names it', async () => {
    for (const name of ['flood', 'quiet']) startContainer(name, ...IDLE);
    const ig = await tracing('run', 'trace_exec', '--fair', '-o', 'json');
    process.kill(ig.pid, 'SIGSTOP');
    // More than the buffer takes.
    const large = 'x=$(head -c 30000 /dev/zero | tr "\\0" x); for i in $(seq 200); do /bin/true $x; done';
    dockerd.docker('exec', 'flood', 'sh', '-c', large);
    dockerd.docker('exec', 'quiet', 'sh', '-c', 'for i in 1 2 3 4 5 6 7 8; do /bin/true $i; done');
    process.kill(ig.pid, 'SIGCONT');
    const { stdout, stderr } = await ig.stop();
    const shown = (name: string): number =>
      parseEvents(stdout).filter(
        ({ args, runtime }) => /^.bin.true /.test(args) && runtime?.['containerName'] === name,
      ).length;
    expect(shown('quiet')).toBe(8);
    expect(shown('flood')).toBeLessThan(200);
    expect(stderr).toMatch(
      new RegExp(`^Not shown by --fair: ${200 - shown('flood')} events of container flood\\.$`, 'm'),
    );
  });

  it('warns when docker does not answer, and finds containers by what the machine tells of them', async () => {
    const words = ['run', 'trace_exec', '-o', 'json', '-c', 'chosen', '--docker-socketpath', NO_SOCKET];
    const ig = await Ig.tracingQuietly(words);
    startContainer('other', ...IDLE);
    const id = startContainer('chosen', ...IDLE);
    await ig.until(() => ig.events().length > 0);
    const { status, stderr } = await ig.stop();
    expect(status).toBe(0);
    const runtime = { containerName: 'chosen', containerId: id, runtimeName: 'docker' };
    expect(ig.events()).toMatchObject([{ args: 'sleep 1000', runtime }]);
    expect(stderr).toMatch(
      /^Warning: Containers are known only by what the machine itself tells of them, .*\n$/,
    );
    expect(stderr).toContain(NO_SOCKET);
    expect(stderr).toContain('--docker-socketpath');
  });

  it('sees new containers after docker was restarted', async () => {
    const ig = await tracing('run', 'trace_exec', '-c', 'before,after', '-o', 'json');
    runContainer('before', 'busybox', 'true', 'before');
    await ig.until(() => ig.stdout.includes('true before'));
    await dockerd.stop();
    await dockerd.start();
    runContainer('after', 'busybox', 'true', 'after');
    await ig.until(() => ig.stdout.includes('true after'), 'the container after the restart');
    await ig.stop();
    expect(nameOf(ig, 'true after')).toBe('after');
  });
});

/** The rows of mode columns, by title. */
function rowsOf(text: string): Record<string, string>[] {
  const [header = '', ...lines] = text.slice(0, text.lastIndexOf('\n')).split('\n');
  const titles = [...header.matchAll(/\S+/g)].map((match) => ({ title: match[0], from: match.index }));
  return lines.map((line) =>
    Object.fromEntries(
      titles.map(({ title, from }, i) => [title, line.slice(from, titles[i + 1]?.from).trim()]),
    ),
  );
}

function nameOf(ig: Ig, args: string): string | number | undefined {
  return ig.events().find((event) => event.args === args)?.runtime?.['containerName'];
}
