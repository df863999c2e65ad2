// `ig image generate-key`, `sign` and `verify`, as built, with a real registry; and cosign, where there is one.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ANNOTATION } from '../../oci/descriptor.js';
import { Layout } from '../../oci/layout.js';
import { SIGNATURE_FORMS } from '../../oci/signature/policy.js';
import { generateKeyPair } from '../../oci/signature/private-key.js';
import { type Ended, runIg } from '../ig.js';
import { Terminal } from '../terminal.js';
import { until } from '../until.js';
import { buildSample, createTemporaryDirectory, removeDirectory, temporaryDirectory } from './images.js';
import { type RunningRegistry, pushWithSkopeo, startRegistry } from './registry.js';

const PASSWORD = 'correct horse';
const COSIGN = process.env['IG_TEST_COSIGN'] ?? 'cosign';
const NEXT_STEPS = ['--public-keys FILE', 'operator.oci.public-keys'];

let registry: RunningRegistry;
/** Keys, and the layout that images are pushed from. */
let work: string;
/** An empty machine: its /var/lib, its user's home. */
let machine: string;
let pushed = 0;

beforeAll(async () => {
  registry = await startRegistry();
  work = createTemporaryDirectory();
  for (const [name, password] of [['mine', PASSWORD] as const, ['other', undefined] as const]) {
    const { privateKey, publicKey } = await generateKeyPair(password);
    writeFileSync(`${key(name)}.key`, privateKey);
    writeFileSync(`${key(name)}.pub`, publicKey);
  }
});
afterAll(async () => {
  removeDirectory(work);
  await registry.stop();
});
beforeEach(() => {
  machine = temporaryDirectory();
});

function key(name: string): string {
  return join(work, name);
}

function ig(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const mount = 'mkdir -p "$0/lib" && mount --bind "$0/lib" /var/lib && exec "$@"';
  return runIg(args, {
    inside: ['unshare', '-m', 'sh', '-c', mount, machine],
    cwd: machine,
    env: { HOME: machine, DOCKER_CONFIG: join(machine, '.docker'), ...env },
  });
}

async function expectDone(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string> {
  const { status, stdout, stderr } = await ig(args, env);
  // Pull and push tell their progress there.
  expect(stderr).not.toMatch(/Error|Warning/);
  expect(status).toBe(0);
  return stdout;
}

async function expectRefused(args: readonly string[], status: number, ...words: string[]): Promise<void> {
  const ended = await ig(args);
  expect(ended.stderr).toMatch(/^Error: .+\n$/);
  for (const word of words) expect(ended.stderr).toContain(word);
  expect(ended.stdout).toBe('');
  expect(ended.status).toBe(status);
}

interface Pushed {
  /** `HOST/NAME:v1`. */
  image: string;
  name: string;
  digest: string;
}

/** An image in the registry, in a repository of its own, unlike any other. */
async function push(name = `team/sample${++pushed}`, title = name): Promise<Pushed> {
  const layout = new Layout(join(work, 'layout'));
  const reference = `example.test/${name}:v1`;
  const { digest } = await buildSample(layout, reference, { annotations: { [ANNOTATION.title]: title } });
  pushWithSkopeo(layout.root, reference, registry, `${name}:v1`);
  return { image: `${registry.host}/${name}:v1`, name, digest };
}

function insecure(): string[] {
  return ['--insecure-registries', registry.host];
}

function sign(image: string, by: string, form = 'tag'): Promise<string> {
  const args = ['image', 'sign', image, '--key', `${key(by)}.key`, '--form', form, ...insecure()];
  return expectDone(args, { IG_KEY_PASSWORD: PASSWORD });
}

function verifyArguments(image: string, by: string): string[] {
  return ['image', 'verify', image, '--public-keys', `${key(by)}.pub`, ...insecure()];
}

async function expectVerified({ image, digest }: Pushed, by: string, form: string): Promise<void> {
  const stdout = await expectDone([...verifyArguments(image, by), '-o', 'json']);
  expect(JSON.parse(stdout)).toEqual({ reference: image, digest, form, signedBy: `key ${fingerprint(by)}` });
}

async function expectUntrusted(image: string, by: string, ...words: string[]): Promise<void> {
  await expectRefused(verifyArguments(image, by), 1, image, fingerprint(by), ...NEXT_STEPS, ...words);
}

function fingerprint(name: string): string {
  const der = execFileSync('openssl', ['pkey', '-pubin', '-in', `${key(name)}.pub`, '-outform', 'DER']);
  return execFileSync('sha256sum', { input: der, encoding: 'utf8' }).split(' ')[0]!;
}

function skopeoCopy(from: string, to: string): void {
  const flags = ['--all', '--src-tls-verify=false', '--dest-tls-verify=false'];
  execFileSync('skopeo', ['copy', ...flags, `docker://${from}`, `docker://${to}`], { stdio: 'pipe' });
}

/** The name of the signatures of form `tag`. */
function signatureTag({ name, digest }: Pushed): string {
  return `${registry.host}/${name}:${digest.replace(':', '-')}.sig`;
}

async function answer(terminal: Terminal, question: string, text: string): Promise<void> {
  await until(() => terminal.raw().includes(question), `the question "${question}"`);
  terminal.type(text);
}

describe('ig image generate-key', () => {
  it('makes a private key that only its owner reads, and a public key that openssl reads', async () => {
    const stdout = await expectDone(['image', 'generate-key', '-o', 'mine'], { IG_KEY_PASSWORD: PASSWORD });
    expect(stdout).toMatch(
      /^Private key in mine\.key, public key in mine\.pub \(fingerprint [0-9a-f]{64}\)\n$/,
    );
    expect(statSync(join(machine, 'mine.key')).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(machine, 'mine.key'), 'utf8')).toMatch(
      /^-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY/,
    );
    execFileSync('openssl', ['pkey', '-pubin', '-in', join(machine, 'mine.pub'), '-noout']);
  });

  it.each(['mine.key', 'mine.pub'])('never overwrites %s', async (file) => {
    writeFileSync(join(machine, file), 'precious');
    await expectRefused(['image', 'generate-key', '-o', 'mine', '--no-password'], 1, file, '--output');
    expect(readFileSync(join(machine, file), 'utf8')).toBe('precious');
  });

  it('asks for a password on a terminal, twice, and never shows it', async () => {
    const output = join(machine, 'asked');
    const terminal = new Terminal(80, ['image', 'generate-key', '-o', output]);
    await answer(terminal, `Password for ${output}.key: `, `${PASSWORD}x\x7f\r`);
    await answer(terminal, 'Once more: ', `${PASSWORD}\r`);
    expect(await terminal.end()).toBe(0);
    expect(terminal.raw()).not.toContain(PASSWORD.slice(0, 4));
    const args = [
      'image',
      'sign',
      'x/y:v1',
      '--key',
      `${output}.key`,
      '--insecure-registries',
      'localhost:1',
    ];
    const { stderr } = await ig([...args.with(2, 'localhost:1/x/y:v1')], { IG_KEY_PASSWORD: PASSWORD });
    expect(stderr).toContain('localhost:1'); // the key was opened, and the registry asked for
  });

  it('makes no key when the two passwords differ, or at Ctrl-C', async () => {
    for (const [first, second, status, words] of [
      ['one\r', 'two\r', 2, 'the two passwords differ'],
      ['one\r', '\x03', 130, ''],
    ] as const) {
      const output = join(machine, 'differing');
      const terminal = new Terminal(80, ['image', 'generate-key', '-o', output]);
      await answer(terminal, 'Password for', first);
      await answer(terminal, 'Once more: ', second);
      expect(await terminal.end()).toBe(status);
      expect(terminal.raw()).toContain(words);
      expect(existsSync(`${output}.key`)).toBe(false);
    }
  });

  it('makes no key that an empty password protects', async () => {
    const env = { IG_KEY_PASSWORD: '' };
    const { stderr, status } = await ig(['image', 'generate-key', '-o', 'empty'], env);
    expect(stderr).toMatch(/^Error: an empty password protects no key: .*--no-password/);
    expect(status).toBe(2);
    expect(existsSync(join(machine, 'empty.key'))).toBe(false);
  });

  it('says how to give a password where nobody can be asked', async () => {
    const words = ['mine.key', 'IG_KEY_PASSWORD', '--no-password'];
    await expectRefused(['image', 'generate-key', '-o', 'mine'], 2, ...words);
  });

  it('says where it cannot write', async () => {
    await expectRefused(
      ['image', 'generate-key', '-o', './no/such/mine', '--no-password'],
      1,
      'no/such/mine.key',
    );
  });
});

describe('an image signed in its registry', () => {
  it.each(SIGNATURE_FORMS)('in the form %s is trusted by its key, not by others', async (form) => {
    const image = await push();
    const stdout = await sign(image.image, 'mine', form);
    expect(stdout).toBe(`Signed ${image.image}@${image.digest} in registry ${registry.host}\n`);
    await expectVerified(image, 'mine', form);
    await expectUntrusted(image.image, 'other', 'trusted');
    await sign(image.image, 'other', form);
    await expectVerified(image, 'mine', form);
  });

  it('is told in columns too', async () => {
    const { image, digest } = await push();
    await sign(image, 'mine');
    const lines = (await expectDone(verifyArguments(image, 'mine'))).trimEnd().split('\n');
    expect(lines[0]).toMatch(/^REFERENCE +DIGEST +FORM +SIGNED BY$/);
    expect(lines[1]!.split(/ {2,}/)).toEqual([image, digest, 'tag', `key ${fingerprint('mine')}`]);
  });

  it('after it was pulled is trusted by what the registry has', async () => {
    const image = await push();
    await expectDone(['image', 'pull', image.image, ...insecure()]);
    await expectUntrusted(image.image, 'mine', 'is not signed');
    const elsewhere = machine;
    machine = temporaryDirectory();
    await sign(image.image, 'mine');
    machine = elsewhere;
    await expectVerified(image, 'mine', 'tag');
  });

  it('has its name taken by another image, which is not trusted for that', async () => {
    const image = await push();
    await sign(image.image, 'mine');
    await push(image.name, 'tampered with');
    await expectUntrusted(image.image, 'mine', 'is not signed');
    const digest = image.image.replace(':v1', `@${image.digest}`);
    await expectDone(verifyArguments(digest, 'mine'));
  });
});

describe('an image signed in the store', () => {
  it.each(SIGNATURE_FORMS)(
    'takes its signature of the form %s along to the registry and back',
    async (form) => {
      const { image, digest } = await push();
      await expectDone(['image', 'pull', image, ...insecure()]);
      const stdout = await sign(image, 'mine', form);
      expect(stdout).toContain('in the local store; `ig image push` sends the signature along');
      await expectDone(['image', 'push', image, ...insecure()]);
      machine = temporaryDirectory();
      await expectDone(['image', 'pull', image, ...insecure()]);
      // Not listed as insecure now, so asking would fail.
      const offline = ['image', 'verify', image, '--public-keys', `${key('mine')}.pub`, '-o', 'json'];
      expect(JSON.parse(await expectDone(offline))).toMatchObject({ digest, form });
    },
  );

  it('by another key is told apart from an unsigned one, though the registry knows of no signature', async () => {
    const { image } = await push();
    await expectDone(['image', 'pull', image, ...insecure()]);
    await sign(image, 'other');
    await expectUntrusted(image, 'mine', 'a signature is by none of the trusted keys');
  });
});

describe('an image is not trusted', () => {
  it('when nobody signed it', async () => {
    const { image, digest } = await push();
    await expectUntrusted(image, 'mine', `${image} (${digest}) is not signed`);
  });

  it('with the signature of another image', async () => {
    const signed = await push();
    const image = await push();
    await sign(signed.image, 'mine');
    skopeoCopy(signatureTag(signed), signatureTag(image));
    await expectUntrusted(image.image, 'mine', `a signature is for another image, ${signed.digest}`);
  });

  it('when junk is where its signatures should be, and is trusted once it is signed in spite of that', async () => {
    const image = await push();
    skopeoCopy(image.image, signatureTag(image));
    await expectUntrusted(image.image, 'mine', 'a signature cannot be used');
    await sign(image.image, 'mine', 'referrer');
    await expectVerified(image, 'mine', 'referrer');
    await sign(image.image, 'other', 'tag');
    await expectVerified(image, 'other', 'tag');
  });
});

describe('a mistake is told in one sentence', () => {
  it.each([
    ['a key that is not there', ['sign', 'x/y:v1', '--key', 'no.key'], 1, 'no.key'],
    [
      'a form that there is not',
      ['sign', 'x/y:v1', '--key', 'no.key', '--form', 'x'],
      2,
      'tag, referrer, bundle',
    ],
    ['a public key that is not there', ['verify', 'x/y:v1', '--public-keys', 'no.pub'], 2, 'no.pub'],
    ['an identity without an issuer', ['verify', 'x/y:v1', '--certificate-identity', 'me'], 2, 'oidc-issuer'],
    [
      'an identity without a root',
      ['verify', 'x/y:v1', '--certificate-identity', 'me', '--certificate-oidc-issuer', 'https://x'],
      2,
      '--trusted-root',
    ],
    ['an output that there is not', ['verify', 'x/y:v1', '-o', 'xml'], 2, 'columns or json'],
  ] as const)('%s', async (_what, args, status, words) => {
    await expectRefused(['image', ...args], status, words);
  });

  it('a password that is wrong', async () => {
    const { stderr, status } = await ig(['image', 'sign', 'x/y:v1', '--key', `${key('mine')}.key`], {
      IG_KEY_PASSWORD: 'wrong',
    });
    expect(stderr).toBe(`Error: the password does not open the private key ${key('mine')}.key\n`);
    expect(status).toBe(1);
  });
});

/** Its version, or `undefined` where there is no cosign: then the images it signed once have to do (`verify.test.ts`). */
function cosignVersion(): number | undefined {
  const { stdout } = spawnSync(COSIGN, ['version'], { encoding: 'utf8' });
  const version = /GitVersion:\s*v(\d+)/.exec(stdout ?? '')?.[1];
  return version === undefined ? undefined : Number(version);
}

function cosign(args: readonly string[]): void {
  const env = { ...process.env, COSIGN_PASSWORD: PASSWORD, COSIGN_EXPERIMENTAL: '1', HOME: machine };
  execFileSync(COSIGN, [...args, '--allow-http-registry'], { stdio: 'pipe', env, cwd: machine });
}

const version = cosignVersion();
if (version !== undefined) {
  /** For version 2, which does not look for all forms by itself. */
  const flags = {
    tag: [],
    referrer: ['--new-bundle-format=false', '--experimental-oci11'],
    bundle: version < 3 ? ['--new-bundle-format', '--trusted-root', 'root.json'] : [],
  } as const;
  const signing = {
    tag: ['--new-bundle-format=false'],
    referrer: ['--new-bundle-format=false', '--registry-referrers-mode=oci-1-1'],
    bundle: ['--new-bundle-format'],
  } as const;
  const offline = ['--tlog-upload=false', ...(version < 3 ? [] : ['--use-signing-config=false'])];

  describe(`cosign ${version}`, () => {
    it.each(SIGNATURE_FORMS)('verifies what ig signed in the form %s, by its key only', async (form) => {
      const { image } = await push();
      await sign(image, 'mine', form);
      writeFileSync(
        join(machine, 'root.json'),
        '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}',
      );
      const verify = (by: string): void =>
        cosign(['verify', '--key', `${key(by)}.pub`, '--insecure-ignore-tlog', ...flags[form], image]);
      verify('mine');
      expect(() => verify('other')).toThrow();
    });

    it.each(SIGNATURE_FORMS)('signs in the form %s with a key of ig, and ig verifies it', async (form) => {
      const image = await push();
      const digest = image.image.replace(':v1', `@${image.digest}`);
      cosign(['sign', '-y', '--key', `${key('mine')}.key`, ...offline, ...signing[form], digest]);
      await expectVerified(image, 'mine', form);
      await expectUntrusted(image.image, 'other');
    });
  });
}
