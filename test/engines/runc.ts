// Containers of plain runc, which no engine knows.
//
//   const runc = new Runc();                              // state in runc's usual place; `root` for another
//   const id = runc.start('sleep 1000');                  // a container that goes on
//   runc.run('id');                                       // one that has ended
//   runc.exec(id, '/bin/true');
//   await runc.close();                                   // ends all, removes everything

import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../until.js';
import { makeRootfs } from './rootfs.js';

export interface RuncOptions {
  /** Has it keep state in a directory of its own (`--root`). */
  readonly ownRoot?: boolean;
}

export interface RuncContainer {
  /** A new one when left out. */
  readonly id?: string;
  /** `linux.cgroupsPath`. */
  readonly cgroupsPath?: string;
}

/** Whether runc can be run here; tests skip where it cannot. */
export function canRunRunc(): boolean {
  const found = spawnSync('sh', ['-c', 'command -v runc && command -v busybox']);
  return process.getuid?.() === 0 && found.status === 0;
}

export class Runc {
  /** A root directory of busybox. */
  readonly rootfs: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'ig-runc-'));
  readonly #flags: readonly string[];
  readonly #ids = new Set<string>();

  constructor({ ownRoot = false }: RuncOptions = {}) {
    this.#flags = ownRoot ? ['--root', join(this.#directory, 'state')] : [];
    this.rootfs = join(this.#directory, 'rootfs');
    makeRootfs(this.rootfs);
  }

  /** An id that no other container of the machine has. */
  newId(): string {
    return `ig-test-${randomBytes(4).toString('hex')}`;
  }

  /** Where its bundle is. */
  bundleOf(id: string): string {
    return join(this.#directory, id);
  }

  /** Runs `script` in a container to its end, while runc waits for it; returns its id. */
  run(script: string, options: RuncContainer = {}): string {
    const id = this.#prepare(script, options);
    this.#runc(['run', '--bundle', this.bundleOf(id), id]);
    return id;
  }

  /** Runs it in a container that goes on without runc; returns its id. */
  start(script: string, options: RuncContainer = {}): string {
    const id = this.#prepare(script, options);
    this.#runc(['run', '--detach', '--bundle', this.bundleOf(id), id]);
    return id;
  }

  /** Runs one more program in a container, which may also mount there. */
  exec(id: string, ...words: string[]): void {
    this.#runc(['exec', '--cap', 'CAP_SYS_ADMIN', id, ...words]);
  }

  /** Its first process, as the host numbers it. */
  pidOf(id: string): number {
    const text = execFileSync('runc', [...this.#flags, 'state', id], { encoding: 'utf8' });
    return (JSON.parse(text) as { pid: number }).pid;
  }

  /** Ends and removes a container. */
  remove(id: string): void {
    this.#runc(['delete', '--force', id]);
    this.#ids.delete(id);
  }

  /** Ends and removes all containers. */
  async close(): Promise<void> {
    for (const id of this.#ids) {
      spawnSync('runc', [...this.#flags, 'delete', '--force', id], { stdio: 'ignore' });
    }
    const listed = (): string =>
      execFileSync('runc', [...this.#flags, 'list', '--quiet'], { encoding: 'utf8' });
    await until(
      () =>
        !listed()
          .split('\n')
          .some((id) => this.#ids.has(id)),
      'the end of all containers',
    );
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #prepare(script: string, { id = this.newId(), cgroupsPath }: RuncContainer): string {
    const bundle = this.bundleOf(id);
    mkdirSync(bundle, { recursive: true });
    rmSync(join(bundle, 'config.json'), { force: true });
    execFileSync('runc', ['spec', '--bundle', bundle]);
    const path = join(bundle, 'config.json');
    const spec = JSON.parse(readFileSync(path, 'utf8')) as Spec;
    spec.process.terminal = false;
    spec.process.args = ['/bin/sh', '-c', script];
    spec.process.env = ['PATH=/bin'];
    spec.root.path = this.rootfs;
    if (cgroupsPath !== undefined) spec.linux.cgroupsPath = cgroupsPath;
    writeFileSync(path, JSON.stringify(spec));
    this.#ids.add(id);
    return id;
  }

  #runc(words: readonly string[]): void {
    // A container that goes on keeps what it got for its output: pipes would be waited for.
    execFileSync('runc', [...this.#flags, ...words], { stdio: 'ignore' });
  }
}

/** The parts of a bundle's configuration that are changed here. */
interface Spec {
  process: { terminal: boolean; args: string[]; env: string[] };
  root: { path: string };
  linux: { cgroupsPath?: string };
}
