// `ig image pull` and `ig image push`, as built: what they print, and mirrors of the configuration file.

import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Layout } from '../../oci/layout.js';
import { Ig, runIg, type Ended, type IgOptions } from '../ig.js';
import { HostileRegistry, holdImage } from './hostile-registry.js';
import { temporaryDirectory } from './images.js';
import { pushWithSkopeo, startRegistry, type RegistryKind, type RunningRegistry } from './registry.js';

const BUILTIN = fileURLToPath(new URL('../../dist/images', import.meta.url));
const GHCR_NAME = 'ghcr.io/inspektor-gadget/gadget/trace_exec:latest';
const PATH = 'inspektor-gadget/gadget/trace_exec:latest';
const BIND = 'mount --bind "$0" /var/lib && ';

let digest: string;
let varLib: string;

beforeAll(async () => {
  ({ digest } = await new Layout(BUILTIN).resolve(GHCR_NAME));
});

beforeEach(() => {
  varLib = temporaryDirectory();
});

/** With an empty store: root's is always below /var/lib, which is another directory in its mount namespace. */
function privately(command = `${BIND} exec "$@"`): IgOptions {
  return {
    inside: ['unshare', '-m', 'sh', '-c', command, varLib],
    cwd: varLib,
    // Keeps the credentials and settings of whoever runs the tests out.
    env: { HOME: varLib, DOCKER_CONFIG: join(varLib, '.docker'), REGISTRY_AUTH_FILE: '' },
  };
}

function image(...args: string[]): Promise<Ended> {
  return runIg(['image', ...args], privately());
}

/** Files with content that is being written. */
function unfinished(directory: string): string[] {
  if (!existsSync(directory)) return [];
  const names = readdirSync(directory).filter((name) => name.startsWith('tmp.'));
  return names.map((name) => join(directory, name)).filter((path) => existsSync(path));
}

/** A configuration file. */
function configFile(settings: unknown): string {
  const path = join(varLib, 'config.yaml');
  writeFileSync(path, JSON.stringify(settings));
  return path;
}

/** A registry for the tests of one `describe`, holding the built-in gadget. */
function useRegistry(kind: RegistryKind): () => RunningRegistry {
  let registry: RunningRegistry | undefined;
  beforeAll(async () => {
    registry = await startRegistry(kind);
    pushWithSkopeo(BUILTIN, GHCR_NAME, registry, PATH);
  });
  afterAll(async () => {
    await registry?.stop();
  });
  return () => registry!;
}

describe('a pull', () => {
  const registry = useRegistry({});
  const insecure = (): string[] => ['--insecure-registries', registry().host];

  it('tells of each blob on stderr and of the result on stdout', async () => {
    const name = `${registry().host}/${PATH}`;
    const { status, stdout, stderr } = await image('pull', name, ...insecure());
    expect(stdout).toMatch(/^Pulled \S+: [0-9.]+ kB, [0-9.]+ kB transferred, no new signature\n$/);
    expect(stdout).toContain(`Pulled ${name}@${digest}:`);
    expect(stderr).toMatch(/^eBPF (\w+ )?[0-9a-f]{12}: [0-9.]+ kB$/m);
    expect(stderr).toMatch(/^metadata (\w+ )?[0-9a-f]{12}: /m);
    expect(status).toBe(0);
    const again = await image('pull', name, ...insecure());
    expect(again.stderr).toMatch(/^eBPF .*: already there$/m);
    expect(again.stdout).toContain('0 B transferred');
  });

  it('prints JSON', async () => {
    const name = `${registry().host}/${PATH}`;
    const { stdout } = await image('pull', name, ...insecure(), '-o', 'json');
    const result = JSON.parse(stdout) as { size: number; transferred: number };
    expect(result).toMatchObject({ reference: name, digest, signatures: 0 });
    expect(result.size).toBeGreaterThan(1000);
    expect(result.transferred).toBe(result.size);
  });

  it('shows bars on a terminal', async () => {
    const name = `${registry().host}/${PATH}`;
    // script(1) makes the terminal; none of the words needs quotes.
    const onTerminal = privately(`${BIND} exec script -qefc "stty cols 100; $*" /dev/null`);
    const { stdout, status } = await runIg(['image', 'pull', name, ...insecure()], onTerminal);
    expect(stdout).toMatch(/eBPF (\w+ )?[0-9a-f]{12} +[█░]+ [0-9.]+ k?B \/ [0-9.]+ kB/);
    expect(stdout).toContain(`Pulled ${name}@${digest}`);
    expect(status).toBe(0);
  });

  it('by digest names it as it was asked for', async () => {
    const name = `${registry().host}/inspektor-gadget/gadget/trace_exec@${digest}`;
    const { stdout } = await image('pull', name, ...insecure());
    expect(stdout).toContain(`Pulled ${name}:`);
  });

  it('of what is not there is one sentence, and nothing on stdout', async () => {
    const failed = await image('pull', `${registry().host}/x/y:1`, ...insecure());
    expect(failed.stderr).toMatch(/^Error: no such image or tag .+\n$/);
    expect([failed.status, failed.stdout]).toEqual([1, '']);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('that %s ends leaves nothing unfinished behind', async (signal) => {
    const stalling = await HostileRegistry.start();
    const { ebpf } = holdImage(stalling);
    stalling.on(ebpf.digest, (response) => {
      response.writeHead(200, { 'content-length': ebpf.size });
      response.write('ELF');
    });
    const ingest = join(varLib, 'ig/oci-store/ingest');
    const args = ['image', 'pull', `${stalling.host}/x/y:v1`, '--insecure-registries', stalling.host];
    const ig = Ig.start(args, privately());
    await ig.until(() => unfinished(ingest).some((file) => statSync(file).size > 0), 'a part of the layer');
    expect((await ig.stop(signal)).signal).toBe(signal);
    expect(unfinished(ingest)).toEqual([]);
  });

  it('in an unknown mode is refused before anything is asked', async () => {
    const failed = await image('pull', '127.0.0.1:1/x/y:1', '-o', 'xml');
    expect(failed.stderr).toBe('Error: --output is columns or json, not xml\n');
    expect(failed.status).toBe(2);
  });
});

describe('a push', () => {
  const registry = useRegistry({ tls: true, login: { username: 'alice', password: 's3cret' } });

  it('sends what was pulled and named anew, to a registry with its own CA and passwords', async () => {
    const { host, caFile, authFile } = registry();
    const access = ['--ca-file', caFile!, '--authfile', authFile!];
    const [first, second] = [`${host}/${PATH}`, `${host}/mine/trace:v2`];
    expect((await image('pull', first, ...access)).status).toBe(0);
    expect((await image('tag', first, second)).status).toBe(0);
    const pushed = await image('push', second, ...access, '-o', 'json');
    expect(pushed.status).toBe(0);
    // Mounted from the other repository.
    expect(JSON.parse(pushed.stdout)).toMatchObject({ reference: second, digest, transferred: 0 });
    varLib = temporaryDirectory();
    const { stdout } = await image('pull', second, ...access);
    expect(stdout).toContain(`Pulled ${second}@${digest}`);
  });

  it('of an image that the store does not have is refused', async () => {
    const failed = await image('push', 'x.example/y:1');
    expect(failed.stderr).toMatch(/^Error: there is no image x\.example\/y:1 in the local store .+\n$/);
    expect([failed.status, failed.stdout]).toEqual([1, '']);
  });
});

describe('mirrors in the configuration', () => {
  const registry = useRegistry({});

  it('give an image of ghcr.io where that cannot be reached, though the first of them is down', async () => {
    const mirrors = { 'ghcr.io': ['http://127.0.0.1:1/v2', `http://${registry().host}/v2`] };
    const { stdout, stderr, status } = await image('pull', GHCR_NAME, '--config', configFile({ mirrors }));
    expect(stderr).not.toContain('Error');
    expect(stdout).toContain(`Pulled ${GHCR_NAME}@${digest}`);
    expect(status).toBe(0);
  });

  it('are all named when the image is nowhere', async () => {
    const mirrors = { '127.0.0.1:1': ['http://127.0.0.1:2/v2', `http://${registry().host}/v2`] };
    const failed = await image('pull', '127.0.0.1:1/x/y:1', '--config', configFile({ mirrors }));
    expect(failed.stderr).toMatch(/^Error: no such image or tag 127\.0\.0\.1:1\/x\/y:1.+\n$/);
    for (const host of ['127.0.0.1:2', registry().host, '127.0.0.1:1']) {
      expect(failed.stderr).toContain(`${host} (`);
    }
    expect(failed.status).toBe(1);
  });
});
