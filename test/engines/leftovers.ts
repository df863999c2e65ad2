// Ends the daemons of the tests' own, and removes what they leave on the machine.

import { spawnSync, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const STOP_TIMEOUT_MS = 30_000;
const CGROUPS = '/sys/fs/cgroup';
const LOG_LINES = 8;

/** Ends a daemon, by force if it takes too long; does nothing when it has ended. */
export async function endDaemon(daemon: ChildProcess | undefined): Promise<void> {
  if (daemon?.pid === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return;
  const ended = new Promise((resolve) => daemon.once('exit', resolve));
  daemon.kill('SIGTERM');
  const inTime = await Promise.race([ended.then(() => true), sleep(STOP_TIMEOUT_MS, false, { ref: false })]);
  if (!inTime) daemon.kill('SIGKILL');
  await ended;
}

/** The end of a daemon's log, for errors that say why it does not start. */
export function lastLines(path: string): string {
  return readFileSync(path, 'utf8').split('\n').slice(-LOG_LINES).join('\n');
}

/** Where cgroups are: the v2 tree, and each v1 hierarchy. */
export function cgroupTrees(): string[] {
  const folders = readdirSync(CGROUPS, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [CGROUPS, ...folders.map(({ name }) => join(CGROUPS, name))];
}

/** Removes cgroups, by their paths from the root, in every tree. Those that others use are not empty, and stay. */
export function removeEmptyCgroups(...paths: readonly string[]): void {
  for (const tree of cgroupTrees()) {
    for (const path of paths) {
      try {
        rmdirSync(join(tree, path));
      } catch {
        // Not there, or in use.
      }
    }
  }
}

export function unmountBelow(directory: string): void {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${directory}/`));
  for (const path of mounts.reverse()) spawnSync('umount', ['-l', path], { stdio: 'ignore' });
}
