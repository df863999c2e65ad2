// Which images `ig run`, as built, takes: whose signature counts, when the registry is asked, which mirrors, which names.

import { execFileSync } from 'node:child_process';
import { chownSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Ended, IG, type IgOptions, runIg } from '../ig.js';
import { createTemporaryDirectory, removeDirectory, temporaryDirectory } from './images.js';
import { type RunningRegistry, pushWithSkopeo, startRegistry } from './registry.js';

const BUILTIN = fileURLToPath(new URL('../../dist/images', import.meta.url));
const BUILTIN_NAME = 'ghcr.io/inspektor-gadget/gadget/trace_exec:latest';
const FLAGS = ['--host', '--timeout', '0.1', '-v', '-o', 'none'];
/** Nobody listens there. */
const NOWHERE = 'http://127.0.0.1:1/v2';

let registry: RunningRegistry;
let keys: string;
/** An empty machine: its /var/lib, its users' homes. */
let machine: string;

beforeAll(async () => {
  registry = await startRegistry();
  keys = createTemporaryDirectory();
  for (const name of ['mine', 'other']) igAtOnce('generate-key', '--no-password', '-o', join(keys, name));
  for (const name of ['signed', 'unsigned', 'inspektor-gadget/gadget/trace_signed']) {
    pushWithSkopeo(BUILTIN, BUILTIN_NAME, registry, `${name}:latest`);
    if (name !== 'unsigned') sign(name);
  }
});
afterAll(async () => {
  removeDirectory(keys);
  await registry.stop();
});
beforeEach(() => {
  machine = temporaryDirectory();
});

/** `ig image …` in the home of nobody. */
function igAtOnce(...args: string[]): void {
  execFileSync(process.execPath, [IG, 'image', ...args], {
    stdio: 'pipe',
    env: { ...process.env, HOME: keys },
  });
}

function sign(name: string): void {
  igAtOnce('sign', `${registry.host}/${name}`, '--key', join(keys, 'mine.key'), ...insecure());
}

function insecure(): string[] {
  return ['--insecure-registries', registry.host];
}

function mine(): string[] {
  return ['--public-keys', join(keys, 'mine.pub')];
}

function on(env: NodeJS.ProcessEnv = {}): IgOptions {
  const mount = 'mkdir -p "$0/lib" && mount --bind "$0/lib" /var/lib && exec "$@"';
  return {
    inside: ['unshare', '-m', 'sh', '-c', mount, machine],
    cwd: machine,
    env: { HOME: machine, DOCKER_CONFIG: join(machine, '.docker'), ...env },
  };
}

function ig(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended> {
  return runIg(args, on(env));
}

async function expectDone(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended> {
  const ended = await ig(args, env);
  expect(ended.stderr).not.toContain('Error');
  expect(ended.status).toBe(0);
  return ended;
}

async function expectRuns(args: readonly string[], from: string, env?: NodeJS.ProcessEnv): Promise<void> {
  const { stderr } = await expectDone(['run', ...args, ...FLAGS], env);
  expect(stderr).toContain(`, from ${from} `);
  expect(stderr).toMatch(/^\d+ events delivered/m);
}

async function expectRefused(args: readonly string[], ...words: string[]): Promise<void> {
  const { status, stdout, stderr } = await ig(['run', ...args, ...FLAGS.filter((flag) => flag !== '-v')]);
  expect(stderr).toMatch(/^Error: .+\n$/);
  for (const word of words) expect(stderr).toContain(word);
  expect(stdout).toBe('');
  expect(status).toBe(1);
}

/** Settings of the user who runs ig. */
function configure(yaml: string): void {
  mkdirSync(join(machine, '.ig'), { recursive: true });
  writeFileSync(join(machine, '.ig/config.yaml'), yaml);
}

describe('an image from a registry', () => {
  it('is not run unless somebody has signed it', async () => {
    await expectRefused(
      [`${registry.host}/unsigned`, ...insecure(), ...mine()],
      'unsigned',
      '--verify-image=false',
    );
    await expectRuns([`${registry.host}/unsigned`, ...insecure(), '--verify-image=false'], 'store');
  });

  it('is run when a key signed it that the command line, a variable or the configuration names', async () => {
    const image = `${registry.host}/signed`;
    await expectRuns([image, ...insecure(), ...mine()], 'registry');
    // Not listed as insecure now, so asking would fail: the signature came along.
    await expectRuns([image, ...mine()], 'store');
    await expectRuns([image], 'store', { INSPEKTOR_GADGET_OPERATOR_OCI_PUBLIC_KEYS: join(keys, 'mine.pub') });
    configure(`operator: {oci: {public-keys: [${join(keys, 'mine.pub')}]}}`);
    await expectRuns([image], 'store');
  });

  it("is not run when only others signed it, and Inspektor Gadget's key is what counts by default", async () => {
    const image = `${registry.host}/signed`;
    await expectRefused([image, ...insecure()], image, '--public-keys');
    await expectRefused(
      [image, ...insecure(), '--public-keys', join(keys, 'other.pub')],
      image,
      '--public-keys',
    );
  });

  it('is run once it is signed, also when it was pulled before', async () => {
    const image = `${registry.host}/late`;
    pushWithSkopeo(BUILTIN, BUILTIN_NAME, registry, 'late:latest');
    await expectRefused([image, ...insecure(), ...mine()], image);
    sign('late');
    await expectRuns([image, ...insecure(), ...mine()], 'store');
  });

  it('is the one that the digest says', async () => {
    const { stdout } = await expectDone([
      'image',
      'pull',
      `${registry.host}/signed`,
      '-o',
      'json',
      ...insecure(),
    ]);
    const { digest } = JSON.parse(stdout) as { digest: string };
    await expectRuns([`${registry.host}/signed@${digest}`, ...mine()], 'store');
    await expectRefused(
      [`${registry.host}/signed@sha256:${'0'.repeat(64)}`, ...insecure(), ...mine()],
      'no such',
    );
  });
});

describe('--pull', () => {
  it('never asks no registry', async () => {
    await expectRefused([`${registry.host}/signed`, ...insecure(), '--pull', 'never'], 'ig image pull');
    await expectRefused([`${registry.host}/signed`, ...insecure(), '--disallow-pulling'], 'ig image pull');
    await expectRuns(['trace_exec', '--pull', 'never'], 'builtin');
  });

  it('always takes what the registry has now', async () => {
    const image = `${registry.host}/changing`;
    pushWithSkopeo(BUILTIN, BUILTIN_NAME, registry, 'changing:latest');
    const flags = [...insecure(), '--verify-image=false'];
    await expectRuns([image, ...flags], 'registry');
    await expectRuns([image, ...flags], 'store');
    await expectRuns([image, ...flags, '--pull', 'always'], 'registry');
    await expectRefused([image, '--verify-image=false', '--pull', 'always'], registry.host);
  });
});

describe('a mirror', () => {
  it('has the images of ghcr.io where that cannot be reached', async () => {
    configure(`mirrors: {ghcr.io: ['${NOWHERE}', 'http://${registry.host}/v2']}`);
    await expectRuns(['ghcr.io/inspektor-gadget/gadget/trace_signed:latest', ...mine()], 'registry');
    await expectRuns(['trace_signed', ...mine()], 'store');
  });
});

describe('--allowed-gadgets', () => {
  it('lets nothing else run, and runs what it names', async () => {
    await expectRefused(['trace_exec', '--allowed-gadgets', 'trace_open'], 'trace_open', '--allowed-gadgets');
    await expectRuns(['trace_exec', '--allowed-gadgets', 'trace_open,ghcr.io/inspektor-gadget/*'], 'builtin');
    configure('operator.oci.allowed-gadgets: [trace_open]');
    await expectRefused(['trace_exec'], 'trace_open');
    await expectRefused([BUILTIN], 'a file');
  });
});

describe('an image built here', () => {
  it('is run without a signature, but not where it is carried to', async () => {
    await expectDone(['image', 'build', 'gadget', '-t', 'x/mine:v1'].map(intoFolder));
    await expectRuns(['x/mine:v1'], 'store');
    await expectDone(['image', 'export', 'x/mine:v1', 'mine.tar']);
    await expectDone(['image', 'remove', 'x/mine:v1']);
    await expectDone(['image', 'import', 'mine.tar']);
    await expectRefused(['x/mine:v1'], 'x/mine:v1', '--verify-image=false');
  });

  it('is found in the store of who called sudo, when asked for', async () => {
    await expectDone(['image', 'build', 'gadget', '-t', 'x/mine:v1'].map(intoFolder));
    const home = join(machine, 'home');
    mkdirSync(join(home, '.ig'), { recursive: true });
    cpSync(join(machine, 'lib/ig/oci-store'), join(home, '.ig/oci-store'), { recursive: true });
    execFileSync('rm', ['-r', join(machine, 'lib/ig')]);
    chownSync(home, 65533, 65533);
    writeFileSync(join(machine, 'passwd'), `author:x:65533:65533::${home}:/bin/sh\n`);
    const sudo = { SUDO_UID: '65533' };
    const { inside, ...options } = on(sudo);
    const [first, ...rest] = inside!;
    const mount = rest.map((word) => word.replace('exec', 'mount --bind "$0/passwd" /etc/passwd && exec'));
    const args = ['run', 'x/mine:v1', '--oci-store-user', ...FLAGS];
    const { stderr, status } = await runIg(args, { ...options, inside: [first!, ...mount] });
    expect(stderr).toContain(`, from store ${home}/.ig/oci-store\n`);
    expect(status).toBe(0);
  });

  function intoFolder(word: string): string {
    return word === 'gadget' ? fileURLToPath(new URL('../../gadgets/trace_exec', import.meta.url)) : word;
  }
});
