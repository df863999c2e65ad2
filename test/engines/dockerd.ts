// A docker daemon of the tests' own: nothing of it is shared with one that may run on the machine.
//
//   const dockerd = await startDockerd();      // private socket, data and state in a temporary directory
//   dockerd.importBusybox();                   // image `busybox:latest`, made from this machine's programs
//   dockerd.docker('run', '--rm', 'busybox', 'true');
//   await dockerd.close();                     // stops it and its containers, removes the directory

import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../until.js';
import { endDaemon, lastLines, removeEmptyCgroups, unmountBelow } from './leftovers.js';
import { makeRootfs } from './rootfs.js';

const READY_TIMEOUT_MS = 60_000;

export interface Dockerd {
  readonly socketPath: string;
  /** Runs the docker client; returns what it prints. Throws with its message when it fails. */
  docker(...args: string[]): string;
  /** The same in the background; ends with the daemon at the latest. */
  spawnDocker(...args: string[]): ChildProcess;
  /** Makes the image `busybox:latest` (Debian's busybox, dash as sh, so that every command is an exec). */
  importBusybox(): void;
  /** Ends and removes all containers. */
  removeContainers(): Promise<void>;
  /** Stops the daemon, and with it its containers; data stays. */
  stop(): Promise<void>;
  /** Starts it again after {@link stop}. */
  start(): Promise<void>;
  /** Stops it and removes all its data. */
  close(): Promise<void>;
}

/** Whether a docker daemon can be run here; tests skip where it cannot. */
export function canRunDockerd(): boolean {
  const found = spawnSync('sh', ['-c', 'command -v dockerd docker busybox'], { encoding: 'utf8' });
  return process.getuid?.() === 0 && found.status === 0;
}

/** Starts a daemon without network, and waits until it answers. */
export async function startDockerd(): Promise<Dockerd> {
  const directory = mkdtempSync(join(tmpdir(), 'ig-dockerd-'));
  const dockerd = new PrivateDockerd(directory);
  try {
    await dockerd.start();
  } catch (error) {
    await dockerd.close();
    throw error;
  }
  return dockerd;
}

class PrivateDockerd implements Dockerd {
  readonly socketPath: string;
  readonly #directory: string;
  readonly #clients = new Set<ChildProcess>();
  #daemon: ChildProcess | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    this.socketPath = join(directory, 'docker.sock');
  }

  docker(...args: string[]): string {
    const result = spawnSync('docker', ['-H', `unix://${this.socketPath}`, ...args], {
      encoding: 'utf8',
      env: this.#environment(),
    });
    if (result.status !== 0) {
      throw new Error(`docker ${args.join(' ')} failed (${result.status}): ${result.stderr}`);
    }
    return result.stdout.trim();
  }

  spawnDocker(...args: string[]): ChildProcess {
    const client = spawn('docker', ['-H', `unix://${this.socketPath}`, ...args], {
      stdio: 'ignore',
      env: this.#environment(),
    });
    this.#clients.add(client);
    client.on('exit', () => this.#clients.delete(client));
    return client;
  }

  importBusybox(): void {
    const root = join(this.#directory, 'rootfs');
    makeRootfs(root);
    const tar = execFileSync('tar', ['-C', root, '-c', '.'], { maxBuffer: 64 << 20 });
    const image = spawnSync(
      'docker',
      ['-H', `unix://${this.socketPath}`, 'import', '--change', 'CMD ["sh"]', '-', 'busybox:latest'],
      { input: tar, encoding: 'utf8', env: this.#environment() },
    );
    if (image.status !== 0) throw new Error(`docker import failed: ${image.stderr}`);
  }

  async start(): Promise<void> {
    const logPath = join(this.#directory, 'dockerd.log');
    const log = openSync(logPath, 'a');
    this.#daemon = spawn('dockerd', this.#arguments(), { detached: true, stdio: ['ignore', log, log] });
    closeSync(log);
    await until(() => this.#answers(), 'dockerd', READY_TIMEOUT_MS).catch((cause: unknown) => {
      throw new Error(`dockerd does not start: ${lastLines(logPath)}`, { cause });
    });
  }

  #answers(): boolean {
    if (this.#daemon?.exitCode !== null) throw new Error('dockerd ended');
    const words = ['-H', `unix://${this.socketPath}`, 'version'];
    return spawnSync('docker', words, { stdio: 'ignore' }).status === 0;
  }

  removeContainers(): Promise<void> {
    return until(() => {
      const ids = this.docker('ps', '-aq').split('\n').filter(Boolean);
      if (ids.length === 0) return true;
      // Fails for one that is being removed already, as those of `docker run --rm` are.
      spawnSync('docker', ['-H', `unix://${this.socketPath}`, 'rm', '-f', ...ids], { stdio: 'ignore' });
      return false;
    }, 'the removal of all containers');
  }

  async stop(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    await endDaemon(daemon);
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.kill('SIGKILL');
    // Containers that ignore SIGTERM would make the daemon wait ten seconds for each.
    if (this.#daemon?.exitCode === null) await this.removeContainers().catch(() => undefined);
    await this.stop();
    removeEmptyCgroups('docker');
    unmountBelow(this.#directory);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #arguments(): string[] {
    const at = (name: string): string => join(this.#directory, name);
    return [
      ...['-H', `unix://${this.socketPath}`],
      ...['--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('docker.pid')],
      // The machine's network is left alone.
      ...['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false'],
    ];
  }

  /** Without the user's contexts and credentials. */
  #environment(): NodeJS.ProcessEnv {
    return { ...process.env, DOCKER_CONFIG: join(this.#directory, 'client'), DOCKER_HOST: '' };
  }
}
