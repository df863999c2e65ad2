// A containerd of the tests' own, with the Kubernetes interface (CRI) enabled; nothing of it is shared with one that
// may run on the machine.
//
//   const containerd = await startContainerd();   // private socket, data and state in a temporary directory
//   containerd.importImages();                    // BUSYBOX, made from this machine's programs; and the pause image
//   containerd.ctr('run', '--rm', '--null-io', BUSYBOX, 'bb1', 'true');
//   await containerd.close();                     // stops it and its containers, removes the directory
//
// Pods of the host's network need no CNI: `linux.security_context.namespace_options.network = NODE`.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../until.js';
import { endDaemon, lastLines, removeEmptyCgroups, unmountBelow } from './leftovers.js';
import { makeImageArchive, makeRootfs } from './rootfs.js';

export const BUSYBOX = 'docker.io/library/busybox:latest';
/** What pods' sandboxes are made of. */
export const PAUSE = 'registry.k8s.io/pause:3.6';

const READY_TIMEOUT_MS = 60_000;

export interface Containerd {
  readonly socketPath: string;
  /** Where it keeps the bundles: `io.containerd.runtime.v2.task/NAMESPACE/ID`. */
  readonly statePath: string;
  /** Runs `ctr`; returns what it prints. Throws with its message when it fails. Use `--null-io` for containers. */
  ctr(...args: string[]): string;
  /** The same in the background; ends with the daemon at the latest. */
  spawnCtr(...args: string[]): ChildProcess;
  /** Makes the images {@link BUSYBOX} and {@link PAUSE} in a namespace; `default` when left out. */
  importImages(namespace?: string): void;
  /** Ends and removes all containers of all namespaces, pods too. */
  removeContainers(): Promise<void>;
  /** Stops the daemon; containers go on. */
  stop(): Promise<void>;
  /** Starts it again after {@link stop}. */
  start(): Promise<void>;
  /** Stops it and its containers, and removes all its data. */
  close(): Promise<void>;
}

/** Whether containerd can be run here; tests skip where it cannot. */
export function canRunContainerd(): boolean {
  const found = spawnSync('sh', ['-c', 'command -v containerd && command -v ctr && command -v busybox']);
  return process.getuid?.() === 0 && found.status === 0;
}

/** Starts a daemon without network, and waits until it answers. */
export async function startContainerd(): Promise<Containerd> {
  const containerd = new PrivateContainerd(mkdtempSync(join(tmpdir(), 'ig-containerd-')));
  try {
    await containerd.start();
  } catch (error) {
    await containerd.close();
    throw error;
  }
  return containerd;
}

class PrivateContainerd implements Containerd {
  readonly socketPath: string;
  readonly statePath: string;
  readonly #directory: string;
  readonly #clients = new Set<ChildProcess>();
  #archives: readonly string[] | undefined;
  #daemon: ChildProcess | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    this.socketPath = join(directory, 'containerd.sock');
    this.statePath = join(directory, 'state');
    mkdirSync(join(directory, 'cni'));
    writeFileSync(join(directory, 'config.toml'), configuration(directory, this.socketPath, this.statePath));
  }

  ctr(...args: string[]): string {
    const result = spawnSync('ctr', ['-a', this.socketPath, ...args], { encoding: 'utf8' });
    if (result.status !== 0) {
      throw new Error(`ctr ${args.join(' ')} failed (${result.status}): ${result.stderr}`);
    }
    return result.stdout.trim();
  }

  spawnCtr(...args: string[]): ChildProcess {
    const client = spawn('ctr', ['-a', this.socketPath, ...args], { stdio: 'ignore' });
    this.#clients.add(client);
    client.on('exit', () => this.#clients.delete(client));
    return client;
  }

  importImages(namespace = 'default'): void {
    for (const archive of this.#archives ?? this.#makeArchives()) {
      this.ctr('-n', namespace, 'images', 'import', archive);
    }
  }

  #makeArchives(): readonly string[] {
    const root = join(this.#directory, 'rootfs');
    const [busybox, pause] = ['busybox', 'pause'].map((name) => join(this.#directory, `${name}.tar`));
    makeRootfs(root);
    makeImageArchive(root, BUSYBOX, busybox!);
    makeImageArchive(root, PAUSE, pause!, { Entrypoint: ['/bin/sleep', '100000'] });
    return (this.#archives = [busybox!, pause!]);
  }

  async start(): Promise<void> {
    const logPath = join(this.#directory, 'containerd.log');
    const log = openSync(logPath, 'a');
    this.#daemon = spawn('containerd', ['-c', join(this.#directory, 'config.toml')], {
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    await until(() => this.#answers(), 'containerd', READY_TIMEOUT_MS).catch((cause: unknown) => {
      throw new Error(`containerd does not start: ${lastLines(logPath)}`, { cause });
    });
  }

  #answers(): boolean {
    if (this.#daemon?.exitCode !== null) throw new Error('containerd ended');
    return /\scri\s.*\sok\s*$/m.test(
      spawnSync('ctr', ['-a', this.socketPath, 'plugins', 'ls']).stdout.toString(),
    );
  }

  removeContainers(): Promise<void> {
    return until(() => {
      const left = this.#list(['namespaces', 'ls', '-q']).flatMap((namespace) =>
        this.#list(['-n', namespace, 'containers', 'ls', '-q']).map((id) => [namespace, id] as const),
      );
      for (const [namespace, id] of left) {
        // Some have no task, some are being removed already.
        spawnSync('ctr', ['-a', this.socketPath, '-n', namespace, 'tasks', 'rm', '-f', id], {
          stdio: 'ignore',
        });
        spawnSync('ctr', ['-a', this.socketPath, '-n', namespace, 'containers', 'rm', id], {
          stdio: 'ignore',
        });
      }
      return left.length === 0;
    }, 'the removal of all containers');
  }

  #list(args: string[]): string[] {
    return this.ctr(...args)
      .split('\n')
      .filter(Boolean);
  }

  async stop(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    await endDaemon(daemon);
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.kill('SIGKILL');
    let namespaces: string[] = [];
    if (this.#daemon?.exitCode === null) {
      namespaces = this.#list(['namespaces', 'ls', '-q']);
      await this.removeContainers().catch(() => undefined);
    }
    await this.stop();
    await this.#endShims();
    removeEmptyCgroups(...namespaces);
    unmountBelow(this.#directory);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** Shims outlive the daemon, and containers that could not be removed outlive their shims. */
  #endShims(): Promise<void> {
    return until(() => {
      const left = processesNaming(this.#directory);
      for (const pid of left) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It ended meanwhile.
        }
      }
      return left.length === 0;
    }, 'the end of all shims');
  }
}

function configuration(directory: string, socketPath: string, statePath: string): string {
  return `version = 2
root = "${directory}/root"
state = "${statePath}"
[grpc]
  address = "${socketPath}"
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "${PAUSE}"
    # Machines without CAP_SYS_RESOURCE cannot have the negative scores that sandboxes get.
    restrict_oom_score_adj = true
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "${directory}/cni"
      conf_dir = "${directory}/cni"
  [plugins."io.containerd.internal.v1.opt"]
    path = "${directory}/opt"
`;
}

/** Processes with the directory in their command line, as that of shims names the daemon's socket. */
function processesNaming(directory: string): number[] {
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids.filter((pid) => {
    try {
      return pid !== process.pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${directory}/`);
    } catch {
      return false;
    }
  });
}
