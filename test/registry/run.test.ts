// `ig run`, as built, with images from a real registry, a layout and an archive.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Layout } from '../../oci/layout.js';
import { Ig, runIg, type Ended, type IgOptions } from '../ig.js';
import { createTemporaryDirectory, removeDirectory, temporaryDirectory } from './images.js';
import { pushWithSkopeo, startRegistry, type RegistryKind, type RunningRegistry } from './registry.js';

const BUILTIN = fileURLToPath(new URL('../../dist/images', import.meta.url));
const BUILTIN_NAME = 'ghcr.io/inspektor-gadget/gadget/trace_exec:latest';
const NAME = 'x/trace_exec:v1';
const FLAGS = ['--host', '--timeout', '0.1', '-v', '-o', 'json'];
/** With --verbose, causes follow the sentence. */
const QUIET = FLAGS.filter((flag) => flag !== '-v');
/** Nobody listens there. */
const UNREACHABLE = '127.0.0.1:1';

let digest: string;
let varLib: string;

beforeAll(async () => {
  ({ digest } = await new Layout(BUILTIN).resolve(BUILTIN_NAME));
});

beforeEach(() => {
  varLib = temporaryDirectory();
});

/** With an empty store: root's is always below /var/lib, which is another directory in its mount namespace. */
function privately(): IgOptions {
  return {
    inside: ['unshare', '-m', 'sh', '-c', 'mount --bind "$0" /var/lib && exec "$@"', varLib],
    cwd: varLib,
    // Keeps the credentials of whoever runs the tests out. The images here are not signed.
    env: {
      HOME: varLib,
      DOCKER_CONFIG: join(varLib, '.docker'),
      INSPEKTOR_GADGET_OPERATOR_OCI_VERIFY_IMAGE: 'false',
    },
  };
}

function run(image: string, ...flags: string[]): Promise<Ended> {
  return runIg(['run', image, ...FLAGS, ...flags], privately());
}

function runQuietly(image: string, ...flags: string[]): Promise<Ended> {
  return runIg(['run', image, ...QUIET, ...flags], privately());
}

function expectRan({ status, stdout, stderr }: Ended, image: string, from: string): void {
  expect(stderr).toContain(`Image ${image}@${digest}, from ${from}\n`);
  expect(stderr).toMatch(/^\d+ events delivered, 0 lost\n$/m);
  for (const line of stdout.split('\n').filter(Boolean)) expect(JSON.parse(line)).toHaveProperty('proc.comm');
  expect(status).toBe(0);
}

function expectRefused({ status, stdout, stderr }: Ended, ...words: string[]): void {
  expect(stderr).toMatch(/^Error: .+\n$/);
  for (const word of words) expect(stderr).toContain(word);
  expect(stdout).toBe('');
  expect(status).toBe(1);
}

/** A registry for the tests of one `describe`, holding the built-in gadget. */
function useRegistry(kind: RegistryKind): () => RunningRegistry {
  let registry: RunningRegistry | undefined;
  beforeAll(async () => {
    registry = await startRegistry(kind);
    pushWithSkopeo(BUILTIN, BUILTIN_NAME, registry, NAME);
  });
  afterAll(async () => {
    await registry?.stop();
  });
  return () => registry!;
}

describe('from a registry', () => {
  const registry = useRegistry({});
  const address = (): string => registry().host.replace('localhost', '127.0.0.1');

  it('runs an image, and the second time without asking the registry', async () => {
    const image = `${address()}/${NAME}`;
    expectRan(await run(image, '--insecure-registries', address()), image, `registry ${address()}`);
    // Not listed as insecure now, so asking would fail.
    expectRan(await run(image), image, 'store /var/lib/ig/oci-store');
  });

  it('shows events with an image that was just pulled', async () => {
    const flags = ['--host', '-o', 'json', '--insecure-registries', address()];
    const ig = await Ig.tracing(['run', `${address()}/${NAME}`, ...flags], privately());
    execFileSync('true', ['just-pulled']);
    await ig.until(() => ig.events().some(({ args }) => args === 'true just-pulled'));
    expect((await ig.stop()).status).toBe(0);
  });

  it('runs an image by its digest', async () => {
    const image = `${address()}/x/trace_exec`;
    const result = await run(`${image}@${digest}`, '--insecure-registries', address());
    expect(result.stderr).toContain(`Image ${image}@${digest}, from registry ${address()}\n`);
    expect(result.status).toBe(0);
  });

  it('says so when there is no such tag or image', async () => {
    for (const name of ['x/trace_exec:v2', 'x/nothing:v1']) {
      const image = `${address()}/${name}`;
      expectRefused(await runQuietly(image, '--insecure-registries', address()), image);
    }
  });

  it('does not speak plain HTTP unless told to', async () => {
    expectRefused(await runQuietly(`${address()}/${NAME}`), address(), '--insecure-registries');
  });
});

describe('from a registry that wants a password', () => {
  const registry = useRegistry({ login: { username: 'alice', password: 's3cret' } });
  const insecure = (): string[] => ['--insecure-registries', registry().host];

  it('runs an image with the credentials of --authfile', async () => {
    const image = `${registry().host}/${NAME}`;
    const result = await run(image, ...insecure(), '--authfile', registry().authFile!);
    expectRan(result, image, `registry ${registry().host}`);
  });

  it('says where credentials were looked for when there are none', async () => {
    const result = await runQuietly(`${registry().host}/${NAME}`, ...insecure());
    expectRefused(result, registry().host, join(varLib, '.docker/config.json'));
  });

  it('names an --authfile that is not there', async () => {
    const result = await runQuietly(
      `${registry().host}/${NAME}`,
      ...insecure(),
      '--authfile',
      './missing.json',
    );
    expectRefused(result, 'missing.json');
  });
});

describe('from a file', () => {
  let work: string;

  beforeAll(() => {
    work = createTemporaryDirectory();
    const source = `oci:${BUILTIN}:${BUILTIN_NAME}`;
    execFileSync('skopeo', ['copy', '--all', source, `oci:${join(work, 'layout')}:v1`], { stdio: 'pipe' });
    execFileSync('skopeo', ['copy', '--all', source, `oci-archive:${join(work, 'image.tar')}:v1`], {
      stdio: 'pipe',
    });
  });
  afterAll(() => removeDirectory(work));

  it.each([
    ['layout', './layout'],
    ['layout', './layout:v1'],
    ['archive', './image.tar'],
    ['archive', 'image.tar:v1'],
  ])('runs the %s %s', async (from, path) => {
    execFileSync('cp', ['-r', join(work, 'layout'), join(work, 'image.tar'), varLib]);
    const { status, stderr } = await run(path);
    expect(stderr).toMatch(/^\d+ events delivered, 0 lost\n$/m);
    expect(stderr).toMatch(
      new RegExp(`^Image (.*@)?${digest}, from ${from} ${path.replace(':v1', '')}$`, 'm'),
    );
    expect(status).toBe(0);
  });
});

describe('from a registry that cannot be reached', () => {
  it('never runs the built-in gadget of the same name, but tells of it', async () => {
    const result = await runQuietly(`${UNREACHABLE}/x/trace_exec:v1`);
    expectRefused(result, UNREACHABLE, 'there is a built-in gadget trace_exec: ig run trace_exec');
    expect(result.stderr).not.toContain('Image ');
  });

  it('says that there is no such built-in gadget for a short name', async () => {
    const noNetwork = ['unshare', '-n'];
    const result = await runIg(['run', 'trace_exce', ...QUIET], { inside: noNetwork });
    expectRefused(result, 'ghcr.io', 'there is no built-in gadget trace_exce');
  });
});
