// `ig list-containers`, as built, beside a real docker daemon. Others may run containers on this machine too.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { ContainerDescription } from '../../runtime/containers/describe.js';
import type { LifeEvent } from '../../runtime/containers/lives.js';
import { IG, Ig, runIg, type Ended, type IgOptions } from '../ig.js';
import { temporaryDirectory } from '../registry/images.js';
import { until } from '../until.js';
import { canRunDockerd, startDockerd, type Dockerd } from './dockerd.js';

const NO_NETWORK = '--network=none';
const IDLE = ['busybox', 'sleep', '1000'];
const OWN = 'lc-web,lc-db,lc-cache';
const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups'];

describe.skipIf(!canRunDockerd())('list-containers', { timeout: 90_000 }, () => {
  let dockerd: Dockerd;
  const ids: Record<string, string> = {};

  beforeAll(async () => {
    dockerd = await startDockerd();
    dockerd.importBusybox();
    for (const name of OWN.split(',')) {
      const network = name === 'lc-db' ? '--network=host' : NO_NETWORK;
      ids[name] = dockerd.docker('run', '-d', network, '--name', name, ...IDLE);
    }
    dockerd.docker('create', NO_NETWORK, '--name', 'stopped', ...IDLE);
  }, 120_000);

  afterAll(() => dockerd?.close(), 60_000);

  const words = (...args: string[]): string[] => [
    ...['list-containers', '-r', 'docker', '--docker-socketpath', dockerd.socketPath],
    ...args,
  ];
  const list = (...args: string[]): Promise<Ended> => runIg(words(...args));

  async function names(...args: string[]): Promise<string[]> {
    const { stdout } = await list('-o', 'json', ...args);
    return (JSON.parse(stdout) as ContainerDescription[]).map(({ runtime }) => runtime.containerName!);
  }

  function inspect(name: string): Inspection {
    return (JSON.parse(dockerd.docker('inspect', name)) as Inspection[])[0]!;
  }

  it('shows the containers that run, by name, each with what a user needs to find it', async () => {
    const { status, stdout, stderr } = await list('-c', OWN);
    const row = (name: string): Record<string, string> => ({
      'RUNTIME.CONTAINERNAME': name,
      'RUNTIME.RUNTIMENAME': 'docker',
      'RUNTIME.CONTAINERID': ids[name]!,
      'RUNTIME.CONTAINERIMAGENAME': 'busybox',
      'RUNTIME.CONTAINERPID': String(inspect(name).State.Pid),
    });
    expect(rowsOf(stdout)).toMatchObject([row('lc-cache'), row('lc-db'), row('lc-web')]);
    expect(Object.keys(rowsOf(stdout)[0]!).slice(-5)).toEqual(Object.keys(row('lc-web')));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('shows all of them without being asked for any, but none that does not run', async () => {
    // A docker that is slow to answer is not waited for, when nothing is asked for by name.
    let all: string[] = [];
    await until(async () => (all = await names()).includes('lc-web'), 'the names');
    expect(all).toEqual(expect.arrayContaining(OWN.split(',')));
    expect(all).not.toContain('stopped');
  });

  it('chooses by name and image, inclusion and exclusion', async () => {
    expect(await names('-c', 'lc-web,nobody')).toEqual(['lc-web']);
    const others = await names('-c', '!lc-web');
    expect(others).not.toContain('lc-web');
    expect(others).toEqual(expect.arrayContaining(['lc-cache', 'lc-db']));
    expect(await names('-c', '!lc-web,lc-web')).toEqual([]);
    const image = inspect('lc-web').Image;
    expect(await names('--containerimage-id', image)).toEqual(['lc-cache', 'lc-db', 'lc-web']);
    expect(await names('--runtime-containerimage-id', `!${image}`, '-c', OWN)).toEqual([]);
    expect(await names('--k8s-namespace', 'no-such-namespace')).toEqual([]);
    expect(await names('-c', 'lc-web', '--host')).toEqual(['lc-web']);
  });

  it.each(['lc-web', 'lc-db'])('tells in JSON of %s what docker and /proc tell', async (name) => {
    const { stdout } = await list('-o', 'json', '-c', name);
    expect(stdout).toMatch(/^\[\{.*\}\]\n$/);
    const [container, ...more] = JSON.parse(stdout) as ContainerDescription[];
    expect(more).toEqual([]);
    const { Id, Image, State } = inspect(name);
    expect(container!.runtime).toEqual({
      runtimeName: 'docker',
      containerId: Id,
      containerName: name,
      containerPid: State.Pid,
      containerImageName: 'busybox',
      containerImageId: Image,
      containerStartedAt: State.StartedAt,
    });
    expect(container).not.toHaveProperty('k8s');
    const namespace = (kind: string): number =>
      Number(/\d+/.exec(readlinkSync(`/proc/${State.Pid}/ns/${kind}`))![0]);
    const paths = readFileSync(`/proc/${State.Pid}/cgroup`, 'utf8');
    expect(container).toMatchObject({
      mntns: namespace('mnt'),
      netns: namespace('net'),
      hostNetwork: name === 'lc-db',
      cgroupV2: /^0::(.*)$/m.exec(paths)![1]!,
    });
    if (container!.cgroupV1 !== undefined) expect(paths).toContain(`:${container!.cgroupV1}\n`);
    expect(container!.cgroupPath).toMatch(new RegExp(`^/sys/fs/cgroup/.*${Id}`));
    expect(container!.cgroupID).toBe(statSync(container!.cgroupPath!).ino);
    expect(container!.bundle).toMatch(new RegExp(`^${dirname(dockerd.socketPath)}/.*/moby/${Id}$`));
    expect(JSON.parse(container!.ociConfig!)).toMatchObject({ process: { args: ['sleep', '1000'] } });
  });

  it('prints the same in every mode, also as columns that the user names', async () => {
    const [json, pretty, yaml, columns] = await Promise.all([
      list('-c', 'lc-web', '-o', 'json'),
      list('-c', 'lc-web', '-o', 'jsonpretty'),
      list('-c', 'lc-web', '-o', 'yaml'),
      list('-c', 'lc-web', '-o', 'columns=Runtime.ContainerName,mntns,k8s.podname,cgroupid'),
    ]);
    const containers = JSON.parse(json.stdout) as ContainerDescription[];
    expect(pretty.stdout).toBe(`${JSON.stringify(containers, null, 2)}\n`);
    expect(yaml.stdout).toContain(`containerName: lc-web\n`);
    const [header, row] = columns.stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ +/));
    expect(header).toEqual(['RUNTIME.CONTAINERNAME', 'MNTNS', 'K8S.PODNAME', 'CGROUPID']);
    expect(row).toEqual(['lc-web', String(containers[0]!.mntns), String(containers[0]!.cgroupID)]);
  });

  it('says that there is nothing, in words or as an empty list', async () => {
    const columns = await list('-c', 'nobody');
    expect(columns).toMatchObject({ status: 0, stderr: 'No container matches.\n' });
    expect(columns.stdout).toMatch(/^[A-Z0-9. ]*RUNTIME\.CONTAINERNAME .*\n$/);
    expect(await list('-c', 'nobody', '-o', 'json')).toMatchObject({ status: 0, stderr: '', stdout: '[]\n' });
  });

  it.each([
    [['-o', 'columns=mntn'], 2, /no column mntn; did you mean mntns\?/],
    [['-o', 'jason'], 2, /unknown output mode jason; did you mean json\?/],
    [['-r', 'dokcer'], 2, /no container engine "dokcer"; there are docker, /],
    [['-c', 'a,,b'], 2, /empty one/],
    [['--wach'], 2, /unknown option '--wach'; did you mean --watch\?/],
    [['--timeout', 'soon'], 2, /timeout/],
    [['lc-web'], 2, /too many arguments/],
  ])('refuses %j in one sentence', async (args, status, message) => {
    const ended = await list(...args);
    expect(ended).toMatchObject({ status, stdout: '' });
    expect(ended.stderr).toMatch(/^Error: .+\n$/);
    expect(ended.stderr).toMatch(message);
  });

  it('explains itself, and is completed by the shell', async () => {
    const [help, bash] = await Promise.all([runIg(['list-containers', '-h']), runIg(['completion', 'bash'])]);
    expect(help).toMatchObject({ status: 0, stderr: '' });
    for (const flag of [
      ...['--watch', '--output', '--containername', '--runtime-containerimage-digest', '--timeout'],
      ...['--runtime-containerimage-id', '--k8s-podname', '--k8s-namespace', '--k8s-selector', '--runtimes'],
      ...['--docker-socketpath', '--containerd-socketpath', '--crio-socketpath', '--podman-socketpath'],
    ]) {
      expect(help.stdout).toContain(` ${flag}`);
      expect(bash.stdout).toMatch(new RegExp(`'list-containers '\\*\\) flags="(.* )?${flag} `));
    }
    expect(help.stdout).toMatch(/Examples:\n {2}ig list-containers\n/);
  });

  it('lists what no engine tells of, and says which does not answer', async () => {
    const { status, stdout, stderr } = await runIg([
      ...['list-containers', '-r', 'docker', '--docker-socketpath', '/nowhere/docker.sock', '-o', 'json'],
    ]);
    expect(status).toBe(0);
    expect(stdout).toContain(`"containerId":"${ids['lc-web']}"`);
    expect(stderr).toMatch(/^Warning: .*\/nowhere\/docker\.sock.*\n$/);
  });

  it('lists what docker tells to somebody who is not root', async ({ skip }) => {
    const canRead = spawnSync('setpriv', [...NOBODY, process.execPath, '--check', IG]).status === 0;
    skip(!canRead, 'only root may read this checkout');
    for (const path of [dirname(dockerd.socketPath), dockerd.socketPath]) chmodSync(path, 0o777);
    const inside = ['setpriv', ...NOBODY];

    const { status, stdout, stderr } = await runIg(words('-c', 'lc-web', '-o', 'json'), {
      inside,
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const { Id, State } = inspect('lc-web');
    expect(JSON.parse(stdout)).toMatchObject([
      { runtime: { containerName: 'lc-web', containerId: Id, containerPid: State.Pid } },
    ]);

    // Whether any runs, nobody told.
    const unasked = await runIg(['list-containers', '-r', 'docker'], { inside });
    expect(unasked.stderr).toMatch(/^Warning: .*\nNo container was found\.\n$/);

    const watch = await runIg(words('--watch'), { inside });
    expect(watch).toMatchObject({ status: 1, stdout: '' });
    expect(watch.stderr).toMatch(/^Error: watching containers needs root.*\n$/);
  });

  describe('--watch', () => {
    /** Waits until it shows what runs already: what comes from then on is seen. */
    async function watching(args: readonly string[], options: IgOptions = {}): Promise<Ig> {
      const ig = Ig.start(words('--watch', ...args), options);
      await ig.until(
        () => OWN.split(',').every((name) => ig.stdout.includes(ids[name]!)),
        'what runs already',
      );
      return ig;
    }

    const eventsOf = (ig: Ig): LifeEvent[] =>
      ig.stdout
        .slice(0, ig.stdout.lastIndexOf('\n') + 1)
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as LifeEvent);

    const told = (ig: Ig, prefix: string): string[] =>
      eventsOf(ig)
        .map(({ event, container }) => `${event} ${container.runtime.containerName}`)
        .filter((text) => text.split(' ')[1]!.startsWith(prefix));

    it('names every container that comes and goes, however short it lives', async () => {
      const ig = await watching(['-o', 'json']);
      const brief = Array.from({ length: 20 }, (_, i) => `lc-brief-${i}`);
      for (const name of brief)
        dockerd.docker('run', '--rm', NO_NETWORK, '--name', name, 'busybox', '/bin/true');
      await ig.until(() => told(ig, 'lc-brief').length >= 2 * brief.length, 'the end of all');
      const { status } = await ig.stop();

      // Docker may tell of an end after the kernel has told of the next beginning.
      for (const name of brief) {
        const own = told(ig, 'lc-brief').filter((text) => text.endsWith(` ${name}`));
        expect(own).toEqual([`CREATED ${name}`, `DELETED ${name}`]);
      }
      for (const { timestamp, container } of eventsOf(ig)) {
        expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
        if (!container.runtime.containerName!.startsWith('lc-brief')) continue;
        expect(container.runtime).toMatchObject({ runtimeName: 'docker', containerImageName: 'busybox' });
        expect(container.mntns).toBeTypeOf('number');
      }
      expect(status).toBe(0);
    });

    it('prints a table with the events in front, first what runs already', async () => {
      const ig = await watching([]);
      const id = dockerd.docker('run', '-d', NO_NETWORK, '--name', 'lc-late', ...IDLE);
      await ig.until(() => ig.stdout.includes(id));
      dockerd.docker('rm', '-f', 'lc-late');
      const own = (): string[] => ig.stdout.split('\n').filter((line) => line.includes(id));
      await ig.until(() => own().length === 2);
      const { status, stdout } = await ig.stop('SIGTERM');
      expect(status).toBe(0);
      expect(stdout).toMatch(/^EVENT +TIMESTAMP .*RUNTIME\.CONTAINERNAME /);
      expect(
        own().map((line) =>
          line
            .split(/ +/)
            .filter((_, i) => i !== 1)
            .slice(0, 4),
        ),
      ).toEqual([
        ['CREATED', 'lc-late', 'docker', id],
        ['DELETED', 'lc-late', 'docker', id],
      ]);
    });

    it('tells only of those that are chosen', async () => {
      const ig = await watching(['-c', `${OWN},lc-wanted`, '-o', 'json']);
      for (const name of ['lc-unwanted', 'lc-wanted'])
        dockerd.docker('run', '--rm', NO_NETWORK, '--name', name, 'busybox', '/bin/true');
      await ig.until(() => told(ig, 'lc-wanted').length === 2);
      await ig.stop();
      expect(told(ig, 'lc-unwanted')).toEqual([]);
      expect(told(ig, '')).toHaveLength(5);
    });

    it('goes on without eBPF, and says what that costs', async () => {
      const inside = ['setpriv', '--bounding-set=-bpf,-perfmon', '--inh-caps=-bpf,-perfmon'];
      const ig = await watching(['-o', 'json'], { inside });
      dockerd.docker('run', '-d', NO_NETWORK, '--name', 'lc-lasting', ...IDLE);
      await ig.until(() => told(ig, 'lc-lasting').length === 1);
      dockerd.docker('rm', '-f', 'lc-lasting');
      await ig.until(() => told(ig, 'lc-lasting').length === 2);
      const { status, stderr } = await ig.stop();
      expect(told(ig, 'lc-lasting')).toEqual(['CREATED lc-lasting', 'DELETED lc-lasting']);
      expect(status).toBe(0);
      expect(stderr).toMatch(/^Warning: Containers that live for a moment .* CAP_BPF and CAP_PERFMON.*$/m);
    });

    it('ends by itself after --timeout', async () => {
      expect(await list('--watch', '--timeout', '1')).toMatchObject({ status: 0 });
    });

    it('ends when it is told to, also while its reader takes nothing', async () => {
      const directory = temporaryDirectory();
      const pipe = join(directory, 'pipe');
      execFileSync('mkfifo', [pipe]);
      // Opened for reading too, so that it does not wait for a reader; full, so that nothing more goes in.
      const stdout = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
      onTestFinished(() => closeSync(stdout));
      const page = Buffer.alloc(4096);
      const fill = (): boolean => {
        try {
          return writeSync(stdout, page) > 0;
        } catch {
          return false;
        }
      };
      while (fill());
      const ig = Ig.start(words('--watch'), { stdout });
      await ig.until(() => usesBpf(ig.pid), 'its start');
      // By its end there is something to print.
      dockerd.docker('run', '--rm', NO_NETWORK, 'busybox', '/bin/true');
      expect(await ig.stop('SIGTERM')).toMatchObject({ status: 0 });
    });

    it('ends when nobody reads it any more', async () => {
      const ig = spawn(process.execPath, [IG, ...words('--watch')], { stdio: ['ignore', 'pipe', 'pipe'] });
      onTestFinished(() => void ig.kill('SIGKILL'));
      let errors = '';
      ig.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
      await new Promise((resolve) => ig.stdout.once('data', resolve));
      ig.stdout.destroy();
      await until(() => {
        dockerd.docker('run', '--rm', NO_NETWORK, 'busybox', '/bin/true');
        return ig.exitCode !== null || ig.signalCode !== null;
      }, 'the end of ig');
      expect(ig.exitCode).toBe(0);
      expect(errors).not.toContain('Error');
    });
  });
});

/** Whether a process has eBPF programs or maps: then it follows containers. */
function usesBpf(pid: number): boolean {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).some((fd) =>
      readlinkSync(`${directory}/${fd}`).startsWith('anon_inode:bpf'),
    );
  } catch {
    return false; // one was closed since
  }
}

interface Inspection {
  readonly Id: string;
  readonly Image: string;
  readonly State: { readonly Pid: number; readonly StartedAt: string };
}

/** The rows of mode columns, by title. With a pod anywhere on the machine there are columns of pods too. */
function rowsOf(text: string): Record<string, string>[] {
  const [header = '', ...lines] = text.trimEnd().split('\n');
  const titles = [...header.matchAll(/\S+/g)].map((match) => ({ title: match[0], from: match.index }));
  return lines.map((line) =>
    Object.fromEntries(
      titles.map(({ title, from }, i) => [title, line.slice(from, titles[i + 1]?.from).trim()]),
    ),
  );
}
