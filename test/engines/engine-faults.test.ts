// `ig`, as built, while engines hang, die, never answer or say strange things, and while the machine has much to do:
// what other engines run is named all the same, and nothing is called by a wrong name.

import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  readSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Ig, parseAccount, runIg, type ExecEvent } from '../ig.js';
import { createTemporaryDirectory } from '../registry/images.js';
import { until } from '../until.js';
import { BUSYBOX, canRunContainerd, startContainerd, type Containerd } from './containerd.js';
import { canRunDockerd, startDockerd, type Dockerd } from './dockerd.js';
import { Runc, canRunRunc } from './runc.js';

/** Node starts these when it first needs them. */
const POOL_THREADS = 4;
const NO_NETWORK = '--network=none';
/** All but the ends of lines. */

const CONTROL_CHARACTER = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;
const CGROUPS = /^cgroup2 (\S+) /m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1];
const canRun = canRunDockerd() && canRunContainerd() && canRunRunc();

describe.skipIf(!canRun)('engines that fail', { timeout: 120_000 }, () => {
  let dockerd: Dockerd;
  let containerd: Containerd;
  let runc: Runc;
  let directory: string;

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    [dockerd, containerd] = await Promise.all([startDockerd(), startContainerd()]);
    dockerd.importBusybox();
    containerd.importImages();
    runc = new Runc();
  }, 120_000);

  afterAll(async () => {
    await Promise.all([dockerd?.close(), containerd?.close(), runc?.close()]);
    rmSync(directory, { recursive: true });
  }, 60_000);

  afterEach(async () => {
    await dockerd.removeContainers();
    await containerd.removeContainers();
  });

  const both = (): string[] => [
    ...['-r', 'docker,containerd', '--docker-socketpath', dockerd.socketPath],
    ...['--containerd-socketpath', containerd.socketPath],
  ];

  /** Traces what executes `/bin/true WORD`, in JSON. */
  const tracing = (...args: string[]): Promise<Ig> =>
    Ig.tracing(['run', 'trace_exec', '-o', 'json', '-F', 'args~^/bin/true ', ...args]);

  /** Runs a container to its end, which executes `/bin/true NAME`. */
  function runInDocker(name: string): void {
    const words = ['-H', `unix://${dockerd.socketPath}`, 'run', '--rm', NO_NETWORK, '--name', name];
    spawnSync('docker', [...words, 'busybox', '/bin/true', name], { stdio: 'ignore' });
  }

  function runInContainerd(name: string): void {
    containerd.ctr('run', '--rm', '--null-io', BUSYBOX, name, '/bin/true', name);
  }

  const again = (word: string): string => `while :; do /bin/true ${word}; sleep 0.2; done`;

  /** Starts one that does so again and again. */
  function startInDocker(name: string, ...options: string[]): void {
    const words = ['run', '-d', NO_NETWORK, '--stop-signal=KILL', '--name', name, ...options];
    dockerd.docker(...words, 'busybox', 'sh', '-c', again(name));
  }

  function startInContainerd(name: string): void {
    containerd.ctr('run', '-d', '--null-io', BUSYBOX, name, '/bin/sh', '-c', again(name));
  }

  const dockerdPid = (): number => pidOf('dockerd', dockerd.socketPath);
  const containerdPid = (): number => pidOf('containerd', join(containerd.socketPath, '../config.toml'));

  describe('hang or die', () => {
    it.each([
      { hanging: 'docker', other: 'containerd', pid: dockerdPid, run: runInContainerd, later: runInDocker },
      {
        hanging: 'containerd',
        other: 'docker',
        pid: containerdPid,
        run: runInDocker,
        later: runInContainerd,
      },
    ])('$hanging hangs: $other’s containers are named, then those of both', async ({ pid, run, later }) => {
      startInDocker('old-docker');
      startInContainerd('old-containerd');
      const ig = await tracing(...both());
      await ig.until(() => hasShown(ig, 'old-docker') && hasShown(ig, 'old-containerd'));
      const resume = stopProcess(pid());
      const names = [1, 2, 3, 4].map((i) => `meanwhile-${i}`);
      names.forEach(run);
      await ig.until(() => names.every((name) => hasShown(ig, name)), 'all containers');
      resume();
      later('later');
      await ig.until(() => hasShown(ig, 'later'));
      const { stderr } = await ig.stop();
      expect(wrongNames(ig)).toEqual([]);
      expect(wordsOf(ig).filter((word) => word.startsWith('meanwhile'))).toEqual(names);
      expect(parseAccount(stderr).lost).toBe(0);
    });

    it('keeps to the containers asked for while containerd is killed and comes back', async () => {
      startInContainerd('kept');
      startInContainerd('other');
      const id = runc.newId();
      const ig = await tracing(...both(), '-c', `kept,after,${id}`);
      await ig.until(() => hasShown(ig, 'kept'));
      process.kill(containerdPid(), 'SIGKILL');
      runc.run(`exec /bin/true ${id}`, { id });
      runInDocker('other-meanwhile');
      await ig.until(() => hasShown(ig, id));
      const before = wordsOf(ig).length;
      await ig.until(() => wordsOf(ig).lastIndexOf('kept') > before, 'one that outlived containerd');
      await containerd.start();
      runInContainerd('other-after');
      runInContainerd('after');
      await ig.until(() => hasShown(ig, 'after'));
      const since = wordsOf(ig).length;
      await ig.until(() => wordsOf(ig).lastIndexOf('kept') > since, 'one that is listed again');
      const { stderr } = await ig.stop();
      expect(wrongNames(ig)).toEqual([]);
      expect(new Set(wordsOf(ig))).toEqual(new Set(['kept', id, 'after']));
      expect(parseAccount(stderr).lost).toBe(0);
    });

    it('a container is paused before ig has looked at it: its events are named, and those of later on', async () => {
      const ig = await tracing(...both(), '-c', 'paused,other');
      process.kill(ig.pid, 'SIGSTOP');
      startInDocker('paused');
      dockerd.docker('pause', 'paused');
      process.kill(ig.pid, 'SIGCONT');
      runInDocker('other');
      await ig.until(() => hasShown(ig, 'paused') && hasShown(ig, 'other'));
      const before = wordsOf(ig).length;
      dockerd.docker('unpause', 'paused');
      await ig.until(() => wordsOf(ig).lastIndexOf('paused') >= before, 'one after the pause');
      const { stderr } = await ig.stop();
      expect(wrongNames(ig)).toEqual([]);
      expect(parseAccount(stderr).lost).toBe(0);
    });

    it('ends when it is told to while both hang, at the start or later', async () => {
      const resume = [stopProcess(dockerdPid()), stopProcess(containerdPid())];
      const starting = Ig.start(['run', 'trace_exec', ...both(), '-c', 'nobody', '-v']);
      await starting.until(() => starting.stderr.includes('trace_exec'), 'its gadget');
      expect(await starting.stop('SIGTERM')).toMatchObject({ status: 0, signal: null });
      const ig = await tracing(...both());
      expect(await ig.stop('SIGTERM')).toMatchObject({ status: 0, signal: null });
      resume.forEach((go) => go());
    });
  });

  describe('never answer', () => {
    it.each([
      { engine: 'docker', flag: '--docker-socketpath' },
      { engine: 'containerd', flag: '--containerd-socketpath' },
      { engine: 'cri-o', flag: '--crio-socketpath' },
      { engine: 'podman', flag: '--podman-socketpath' },
    ])('$engine: a warning says so, the other’s containers are chosen from', async ({ engine, flag }) => {
      const socketPath = await mute();
      const isDocker = engine === 'docker';
      const works = isDocker ? 'containerd' : 'docker';
      const socket = isDocker ? containerd.socketPath : dockerd.socketPath;
      const start = isDocker ? startInContainerd : startInDocker;
      for (const name of ['chosen', 'not-chosen']) start(name);
      const sockets = [flag, socketPath, `--${works}-socketpath`, socket];
      const ig = await tracing('-r', `${works},${engine}`, ...sockets, '-c', 'chosen,chosen-later');
      (isDocker ? runInContainerd : runInDocker)('not-chosen-later');
      (isDocker ? runInContainerd : runInDocker)('chosen-later');
      await ig.until(() => hasShown(ig, 'chosen-later') && hasShown(ig, 'chosen'));
      const { stderr } = await ig.stop();
      expect(new Set(wordsOf(ig))).toEqual(new Set(['chosen', 'chosen-later']));
      expect(wrongNames(ig)).toEqual([]);
      const warnings = stderr.split('\n').filter((line) => line.startsWith('Warning: '));
      expect(warnings).toEqual([expect.stringContaining(`${engine} at ${socketPath}`)]);
    });

    async function mute(): Promise<string> {
      const path = join(directory, `mute-${Math.random().toString(36).slice(2)}.sock`);
      const server: Server = createServer(() => undefined);
      await new Promise<void>((resolve) => server.listen(path, resolve));
      onTestFinished(() => void server.close());
      return path;
    }
  });

  it('shows containers of the same name of two engines, each as what it is', async () => {
    startInDocker('twin');
    startInContainerd('other');
    const ig = await tracing(...both(), '-c', 'twin');
    await ig.until(() => hasShown(ig, 'twin'));
    startInContainerd('twin');
    const runtimes = (): Set<unknown> => new Set(ig.events().map(({ runtime }) => runtime?.['runtimeName']));
    await ig.until(() => runtimes().size === 2, 'both');
    await ig.stop();
    expect(runtimes()).toEqual(new Set(['docker', 'containerd']));
    expect(new Set(wordsOf(ig))).toEqual(new Set(['twin']));
    const ids = new Set(ig.events().map(({ runtime }) => runtime?.['containerId']));
    expect(ids).toEqual(new Set([dockerd.docker('inspect', '-f', '{{.Id}}', 'twin'), 'twin']));
  });

  it('lets the kernel keep back what others execute', async () => {
    const execs = 2000;
    for (const name of ['chosen', 'noisy']) startInDocker(name);
    const ig = await Ig.tracing(['run', 'trace_exec', '-o', 'json', ...both(), '-c', 'chosen']);
    await ig.until(() => ig.events().length > 0);
    const script = `i=0; while [ $i -lt ${execs} ]; do /bin/true noise; i=$((i+1)); done`;
    dockerd.docker('exec', 'noisy', 'sh', '-c', script);
    execFileSync('sh', ['-c', script]);
    const { stderr } = await ig.stop();
    const { delivered, filtered, lost } = parseAccount(stderr);
    expect(ig.events()).toHaveLength(delivered);
    for (const { runtime } of ig.events()) expect(runtime).toMatchObject({ containerName: 'chosen' });
    // Other containers of the machine may begin meanwhile: their first events come through.
    expect(filtered).toBeLessThan(execs / 2);
    expect(lost).toBe(0);
  });

  it.skipIf(CGROUPS === undefined)(
    'lets the kernel keep 1,100 containers back that come and go',
    async () => {
      const count = 1100;
      const program = join(directory, 'many');
      execFileSync('gcc', ['-O2', '-Wall', '-Werror', '-o', program, sourceOf('many.c')]);
      const cgroups = join(CGROUPS!, `ig-faults-${process.pid}`);
      mkdirSync(cgroups);
      onTestFinished(() => removeFolders(cgroups));
      const ig = await Ig.tracing(['run', 'trace_exec', '-o', 'json', ...both(), '-c', 'one,two']);
      const many = spawn(program, [String(count), cgroups], { stdio: ['pipe', 'pipe', 'inherit'] });
      onTestFinished(() => void many.kill('SIGKILL'));
      let said = '';
      many.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
      await until(() => said.includes('ready'), 'the containers');
      for (let round = 1; round <= 4; round++) {
        many.stdin.write('\n');
        await until(() => said.split('done').length > round, 'an exec in each');
        // What so many do at first is more than can be found out about in time.
        await until(() => (runInDocker('one'), hasShown(ig, 'one')), 'ig to have caught up');
      }
      many.stdin.end();
      await ended(many);
      runInDocker('two');
      const { stderr } = await ig.stop();
      expect(new Set(wordsOf(ig))).toEqual(new Set(['one', 'two']));
      expect(wrongNames(ig)).toEqual([]);
      const { filtered, lost } = parseAccount(stderr);
      // Of four rounds only their first ones came through, until it was known whose they are.
      expect(filtered + lost).toBeLessThan(2 * count);
    },
  );

  it('names short containers while others take all of the machine’s time', async () => {
    const hogs = [1, 2].map(() => spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }));
    onTestFinished(() => hogs.forEach((hog) => void hog.kill('SIGKILL')));
    const ig = await tracing(...both());
    const names: string[] = [];
    for (let i = 0; i < 8; i++) {
      runInDocker(`hogged-${i}`);
      const id = runc.newId();
      runc.run(`exec /bin/true ${id}`, { id });
      names.push(`hogged-${i}`, id);
    }
    const { stderr } = await ig.stop();
    expect(wrongNames(ig)).toEqual([]);
    expect(wordsOf(ig).filter((word) => names.includes(word))).toEqual(names);
    expect(parseAccount(stderr).lost).toBe(0);
  });

  it('tells containers from a flood of private mount namespaces of the host', async () => {
    const program = join(directory, 'flood');
    execFileSync('gcc', ['-O2', '-Wall', '-Werror', '-o', program, sourceOf('flood.c')]);
    const ig = await tracing(...both());
    const flood = spawn(program, { stdio: ['pipe', 'ignore', 'inherit'] });
    onTestFinished(() => void flood.kill('SIGKILL'));
    const names = [1, 2, 3, 4, 5, 6].map((i) => `wet-${i}`);
    for (const name of names) runInDocker(name);
    flood.stdin.end();
    await ended(flood);
    const { stderr } = await ig.stop();
    expect(wrongNames(ig)).toEqual([]);
    expect(wordsOf(ig).filter((word) => word.startsWith('wet'))).toEqual(names);
    expect(parseAccount(stderr).lost).toBe(0);
  });

  it('prints what labels hold without doing what they say', async () => {
    const pod = 'pod\u001b[31m\u0007\r\nline \u0085\u202e"\\';
    const labels = {
      'io.kubernetes.pod.name': pod,
      'io.kubernetes.pod.namespace': 'ns\u001b]0;title\u0007',
      'io.kubernetes.container.name': 'c\ttab',
      large: 'x'.repeat(100_000),
    };
    const options = Object.entries(labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
    startInDocker('labelled', ...options);
    const columns = 'k8s.namespace,k8s.podName,k8s.containerName';
    const run = ['run', 'trace_exec', ...both(), '-c', 'labelled', '-o'];
    const json = await Ig.tracing([...run, 'json']);
    const text = await Ig.tracing([...run, 'columns', '--fields', `${columns},args`]);
    await json.until(() => json.events().length > 0);
    await text.until(() => text.stdout.includes('labelled'));
    await Promise.all([json.stop(), text.stop()]);
    const [event] = json.events() as (ExecEvent & { k8s?: Record<string, unknown> })[];
    expect(event!.k8s).toMatchObject({ podName: pod, containerName: 'c\ttab' });
    expect(text.stdout).not.toMatch(CONTROL_CHARACTER);
    const listed = await runIg(['list-containers', ...both(), '-c', 'labelled', '-o', `columns=${columns}`]);
    expect(listed.stdout).not.toMatch(CONTROL_CHARACTER);
    expect(listed.stdout.trimEnd().split('\n')).toHaveLength(2);
  });

  it('leaves nothing behind, and does not grow', async () => {
    startInDocker('stays');
    for (let i = 0; i < 3; i++) {
      const ig = await tracing(...both());
      const programs = programsOf(ig.pid);
      expect(programs.length).toBeGreaterThan(1);
      runInDocker('goes-first');
      await ig.until(() => hasShown(ig, 'stays') && hasShown(ig, 'goes-first'));
      const before = sizeOf(ig.pid);
      for (let j = 0; j < 4; j++) runInDocker(`goes-${j}`);
      await ig.until(() => hasShown(ig, 'goes-3'));
      await until(() => sizeOf(ig.pid).fds <= before.fds, 'the end of all questions');
      expect(sizeOf(ig.pid).threads).toBeLessThanOrEqual(before.threads + POOL_THREADS);
      await ig.stop();
      await until(() => !programs.some(isLoaded), 'the end of its programs');
    }
  });
});

function sourceOf(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** The process of this program with these words in its command line. */
function pidOf(program: string, words: string): number {
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const command = startOf(`/proc/${name}/cmdline`).split('\0');
    if (command[0]?.split('/').at(-1) === program && command.some((word) => word.endsWith(words)))
      return Number(name);
  }
  throw new Error(`${program} of ${words} does not run`);
}

function startOf(path: string): string {
  try {
    const file = openSync(path, 'r');
    try {
      const bytes = Buffer.alloc(4096);
      return bytes.toString('latin1', 0, readSync(file, bytes));
    } finally {
      closeSync(file);
    }
  } catch {
    return ''; // it has ended
  }
}

/** Has a process hang; returns how to let it go on, which is done at the end of the test at the latest. */
function stopProcess(pid: number): () => void {
  process.kill(pid, 'SIGSTOP');
  const resume = (): void => void process.kill(pid, 'SIGCONT');
  onTestFinished(resume);
  return resume;
}

/** The words that `/bin/true` was executed with, as far as it was in a container. */
function wordsOf(ig: Ig): string[] {
  return ig.events().map(({ args }) => args.slice('/bin/true '.length));
}

function hasShown(ig: Ig, word: string): boolean {
  return wordsOf(ig).includes(word);
}

/** Execs that are not shown with the name which their argument tells. Others may run containers here, too. */
function wrongNames(ig: Ig): string[] {
  const ours =
    /^(paused|old|meanwhile|later|kept|other|after|chosen|not-chosen|hogged|wet|one|two|flood|ig-test)/;
  return ig
    .events()
    .map(({ args, runtime }) => [args.slice('/bin/true '.length), runtime?.['containerName']] as const)
    .filter(([word, name]) => ours.test(word) && word !== name)
    .map(([word, name]) => `${word} as ${name}`);
}

/** A folder of cgroups, which hold nothing but files of the kernel's. */
function removeFolders(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) rmdirSync(join(path, entry.name));
  }
  rmdirSync(path);
}

function ended(child: ChildProcess): Promise<void> {
  return until(() => child.exitCode !== null || child.signalCode !== null, 'its end');
}

/** Ids of the eBPF programs that a process holds. */
function programsOf(pid: number): string[] {
  const directory = `/proc/${pid}/fdinfo`;
  const ids = readdirSync(directory).map(
    (fd) => /^prog_id:\s*(\d+)/m.exec(startOf(`${directory}/${fd}`))?.[1],
  );
  return ids.filter((id) => id !== undefined);
}

function isLoaded(id: string): boolean {
  return spawnSync('bpftool', ['prog', 'show', 'id', id], { stdio: 'ignore' }).status === 0;
}

function sizeOf(pid: number): { fds: number; threads: number } {
  return { fds: readdirSync(`/proc/${pid}/fd`).length, threads: readdirSync(`/proc/${pid}/task`).length };
}
