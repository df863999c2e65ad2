/** Runs the built `ig` where it can write to one directory only, and tells what it wrote there and what memory it took. */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf } from '../../oci/descriptor.js';
import { runIg } from '../ig.js';
import type { Ended } from '../ig.js';
import { temporaryDirectory } from './images.js';

export interface Outcome extends Ended {
  /** The most memory it held at a time, in bytes. */
  readonly peakBytes: number;
  /** Paths, from the directory, of what was not there before. */
  readonly written: readonly string[];
}

/** In a mount namespace of its own: all read-only but the directory, which stands in for /var/lib and home too. */
const CONFINE = `
  mount --bind "$0" "$0" && mount -o remount,bind,ro / &&
  mount --bind "$0/var-lib" /var/lib && mount --bind "$0/hosts" /etc/hosts && cd "$0/work" && exec "$@"`;

/** The kernel's own mark, of this program alone: a parent's memory counts into what \`getrusage\` tells. */
const TELL_PEAK = `
  if (require('node:worker_threads').isMainThread) process.on('exit', () => {
    const { readFileSync, writeFileSync } = require('node:fs');
    writeFileSync(process.env.IG_TEST_PEAK, /VmHWM:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1]);
  });`;

export class Confinement {
  readonly root = temporaryDirectory();
  /** The directory it is started in. */
  readonly work = join(this.root, 'work');
  readonly store = join(this.root, 'var-lib/ig/oci-store');

  constructor() {
    for (const name of ['var-lib', 'home', 'work', 'tmp']) mkdirSync(join(this.root, name));
    writeFileSync(join(this.root, 'hosts'), '127.0.0.1 localhost registry.test\n');
    writeFileSync(join(this.root, 'peak.cjs'), TELL_PEAK);
    writeFileSync(join(this.root, 'peak'), '');
  }

  async run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    const before = new Set(this.list());
    const ended = await runIg(args, {
      inside: ['unshare', '-m', 'sh', '-c', CONFINE, this.root],
      env: {
        HOME: join(this.root, 'home'),
        DOCKER_CONFIG: join(this.root, 'home/.docker'),
        TMPDIR: join(this.root, 'tmp'),
        IG_TEST_PEAK: join(this.root, 'peak'),
        NODE_OPTIONS: `--require=${join(this.root, 'peak.cjs')}`,
        ...env,
      },
    });
    const peakBytes = Number(readFileSync(join(this.root, 'peak'), 'latin1')) * 1024;
    return { ...ended, peakBytes, written: this.list().filter((path) => !before.has(path)) };
  }

  /** What the store holds: the names of its images, and files that are not whole blobs. */
  contents(): { names: string[]; unfinished: string[] } {
    const files = listing(this.store).filter((path) => !path.endsWith('/'));
    const unfinished = files.filter((path) => !this.#isWhole(path));
    if (!existsSync(join(this.store, 'index.json'))) return { names: [], unfinished };
    const index = JSON.parse(readFileSync(join(this.store, 'index.json'), 'utf8')) as {
      manifests: { digest: string; annotations?: Record<string, string> }[];
    };
    const names = index.manifests.map(
      ({ digest, annotations }) => annotations?.['org.opencontainers.image.ref.name'] ?? digest,
    );
    return { names, unfinished };
  }

  #isWhole(path: string): boolean {
    const blob = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path)?.[1];
    if (blob === undefined) return ['oci-layout', 'index.json'].includes(path);
    return digestOf(readFileSync(join(this.store, path))) === `sha256:${blob}`;
  }

  list(): string[] {
    return listing(this.root);
  }
}

/** Everything below `root`, folders with a slash at their end. */
function listing(root: string): string[] {
  if (!existsSync(root)) return [];
  return readdirSync(root, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name).slice(root.length + 1);
    return entry.isDirectory() ? `${path}/` : path;
  });
}
