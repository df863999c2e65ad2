// A podman of the tests' own: nothing of it is shared with one that may be used on the machine.
//
//   const podman = await startPodman();       // private data, state and events file; its service on a private socket
//   podman.importBusybox();                   // image BUSYBOX, made from this machine's programs
//   podman.podman('run', '--rm', '--network=none', 'busybox', 'true');
//   await podman.close();                     // stops its containers and the service, removes the directory

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../until.js';
import { cgroupTrees, removeEmptyCgroups, unmountBelow } from './leftovers.js';
import { makeImageArchive, makeRootfs } from './rootfs.js';

export const BUSYBOX = 'docker.io/library/busybox:latest';

/** More than this is cut in half by podman. */
const MAX_EVENTS_BYTES = 1 << 20;

export interface Podman {
  readonly socketPath: string;
  /** Runs podman beside the service; returns what it prints. Throws with its message when it fails. */
  podman(...args: string[]): string;
  /** The same in the background; ends with {@link close} at the latest. */
  spawnPodman(...args: string[]): ChildProcess;
  /** Makes the image {@link BUSYBOX} (Debian's busybox, dash as sh, so that every command is an exec). */
  importBusybox(): void;
  /** Starts the service, which ends when nobody has been connected for `idleS` seconds; never when left out. */
  serve(idleS?: number): Promise<void>;
  /** Ends the service; containers go on, and podman can be used. */
  stopServing(): Promise<void>;
  /** Has podman cut its events file at the next event. */
  fillEventsFile(): void;
  /** Ends and removes all containers. */
  removeContainers(): void;
  close(): Promise<void>;
}

/** Whether podman can be run here; tests skip where it cannot. */
export function canRunPodman(): boolean {
  const found = spawnSync('sh', ['-c', 'command -v podman && command -v runc && command -v busybox']);
  return process.getuid?.() === 0 && found.status === 0;
}

/** Waits until the service answers. */
export async function startPodman(): Promise<Podman> {
  const podman = new PrivatePodman(mkdtempSync(join(tmpdir(), 'ig-podman-')));
  try {
    await podman.serve();
  } catch (error) {
    await podman.close();
    throw error;
  }
  return podman;
}

class PrivatePodman implements Podman {
  readonly socketPath: string;
  readonly #directory: string;
  readonly #clients = new Set<ChildProcess>();
  #service: ChildProcess | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    this.socketPath = join(directory, 'podman.sock');
    writeFileSync(join(directory, 'containers.conf'), configuration(directory));
  }

  podman(...args: string[]): string {
    const result = spawnSync('podman', this.#words(args), { encoding: 'utf8', env: this.#environment() });
    if (result.status !== 0) {
      throw new Error(`podman ${args.join(' ')} failed (${result.status}): ${result.stderr}`);
    }
    return result.stdout.trim();
  }

  spawnPodman(...args: string[]): ChildProcess {
    const client = spawn('podman', this.#words(args), { stdio: 'ignore', env: this.#environment() });
    this.#clients.add(client);
    client.on('exit', () => this.#clients.delete(client));
    return client;
  }

  importBusybox(): void {
    const root = join(this.#directory, 'rootfs');
    const archive = join(this.#directory, 'image.tar');
    makeRootfs(root);
    makeImageArchive(root, BUSYBOX, archive);
    this.podman('load', '-q', '-i', archive);
  }

  async serve(idleS = 0): Promise<void> {
    const log = openSync(join(this.#directory, 'service.log'), 'a');
    const words = this.#words(['system', 'service', `--time=${idleS}`, `unix://${this.socketPath}`]);
    this.#service = spawn('podman', words, { stdio: ['ignore', log, log], env: this.#environment() });
    closeSync(log);
    await until(() => this.#accepts(), 'the service of podman').catch((cause: unknown) => {
      const said = readFileSync(join(this.#directory, 'service.log'), 'utf8');
      throw new Error(`the service of podman does not start: ${said}`, { cause });
    });
  }

  #accepts(): Promise<boolean> {
    if (this.#service?.exitCode !== null) throw new Error('it ended');
    return new Promise((resolve) => {
      const socket = connect(this.socketPath, () => (socket.destroy(), resolve(true)));
      socket.on('error', () => resolve(false));
    });
  }

  async stopServing(): Promise<void> {
    const service = this.#service;
    this.#service = undefined;
    if (service?.pid === undefined || service.exitCode !== null) return;
    const ended = new Promise((resolve) => service.once('exit', resolve));
    service.kill('SIGKILL');
    await ended;
    rmSync(this.socketPath, { force: true });
  }

  fillEventsFile(): void {
    const old = { Status: 'sync', Time: '2020-01-01T00:00:00Z', Type: 'container', Name: 'x'.repeat(200) };
    const line = `${JSON.stringify({ ...old, ID: '0'.repeat(64), Attributes: {} })}\n`;
    const path = join(this.#directory, 'tmp/events/events.log');
    appendFileSync(path, line.repeat(MAX_EVENTS_BYTES / line.length + 1));
  }

  removeContainers(): void {
    this.podman('rm', '--force', '--time=0', '--all');
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.kill('SIGKILL');
    try {
      this.removeContainers();
    } finally {
      await this.stopServing();
      removeOwnCgroups();
      await until(() => this.#isRemoved(), 'the end of what podman runs in the background');
    }
  }

  /** What cleans up after a container outlives it, and mounts the storage again. */
  #isRemoved(): boolean {
    unmountBelow(this.#directory);
    try {
      rmSync(this.#directory, { recursive: true, force: true });
      return true;
    } catch {
      return false;
    }
  }

  #words(args: readonly string[]): string[] {
    return ['--root', join(this.#directory, 'root'), '--runroot', join(this.#directory, 'run'), ...args];
  }

  #environment(): NodeJS.ProcessEnv {
    return { ...process.env, CONTAINERS_CONF: join(this.#directory, 'containers.conf') };
  }
}

/** The limits are such that also a root without CAP_SYS_RESOURCE may set them. */
function configuration(directory: string): string {
  return `
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
lock_type = "file"
tmp_dir = "${directory}/tmp"
events_logger = "file"
events_logfile_max_size = ${MAX_EVENTS_BYTES}
`;
}

/** Where podman puts its containers' cgroups. */
const CGROUP = 'libpod_parent';

/** Podman leaves its cgroups behind; those of other instances are not empty. */
function removeOwnCgroups(): void {
  const names = cgroupTrees().flatMap((tree) => {
    const parent = join(tree, CGROUP);
    return existsSync(parent) ? readdirSync(parent, { withFileTypes: true }) : [];
  });
  const folders = new Set(names.filter((entry) => entry.isDirectory()).map(({ name }) => name));
  removeEmptyCgroups(...[...folders].map((name) => join(CGROUP, name)), CGROUP);
}
