// `ig login` and `ig logout`, as built, with real registries.

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Layout } from '../../oci/layout.js';
import { runIg, type Ended } from '../ig.js';
import { Terminal } from '../terminal.js';
import { until } from '../until.js';
import { buildSample, temporaryDirectory } from './images.js';
import { startRegistry, type RegistryKind, type RunningRegistry } from './registry.js';
import { TokenServer } from './token-server.js';

const LOGIN = { username: 'alice', password: 's3:cret' };
const AUTH = Buffer.from('alice:s3:cret').toString('base64');

let home: string;
let authFile: string;

beforeEach(() => {
  home = temporaryDirectory();
  authFile = join(home, 'auth.json');
});

interface Surroundings {
  /** What it reads from standard input. */
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Without the credentials of whoever runs the tests: /var/lib is another directory in its mount namespace. */
function ig(args: readonly string[], { input, env }: Surroundings = {}): Promise<Ended> {
  const stdin = input === undefined ? '' : `printf %s "$IG_TEST_INPUT" |`;
  return runIg(args, {
    inside: ['unshare', '-m', 'sh', '-c', `mount --bind "$0" /var/lib && ${stdin} "$@"`, home],
    cwd: home,
    env: { HOME: home, DOCKER_CONFIG: undefined, XDG_RUNTIME_DIR: undefined, IG_TEST_INPUT: input, ...env },
  });
}

/** Logs in with --password-stdin. */
function login(host: string, password = LOGIN.password, ...flags: string[]): Promise<Ended> {
  const args = ['login', host, '-u', 'alice', '--password-stdin', '--authfile', authFile, ...flags];
  return ig(args, { input: `${password}\n` });
}

function expectRefused({ status, stdout, stderr }: Ended, message: string | RegExp, code = 1): void {
  expect(stderr).toMatch(message);
  expect(stderr).toMatch(/^(?:Warning: .+\n)?Error: .+\n$/);
  expect(stdout).toBe('');
  expect(status).toBe(code);
}

function written(): { auths?: Record<string, unknown> } & Record<string, unknown> {
  return JSON.parse(readFileSync(authFile, 'utf8')) as Record<string, unknown>;
}

function useRegistry(kind: RegistryKind): () => RunningRegistry {
  let registry: RunningRegistry | undefined;
  beforeAll(async () => {
    registry = await startRegistry(kind);
  });
  afterAll(async () => {
    await registry?.stop();
  });
  return () => registry!;
}

describe('with a registry that wants a password', () => {
  const registry = useRegistry({ login: LOGIN });
  const host = (): string => registry().host;
  const plain = '--plain-http';

  it('keeps one that is right, for its owner alone, beside what the file held', async () => {
    writeFileSync(authFile, JSON.stringify({ auths: { 'a.example': { auth: 'x' } }, psFormat: 'table' }));
    chmodSync(authFile, 0o644);
    const { stdout, status } = await login(host(), LOGIN.password, plain);
    expect(stdout).toBe(
      `Logged in to ${host()} as alice; the password is kept in ${authFile}, not encrypted.\n`,
    );
    expect(status).toBe(0);
    expect(written()).toEqual({
      auths: { 'a.example': { auth: 'x' }, [host()]: { auth: AUTH } },
      psFormat: 'table',
    });
    expect(statSync(authFile).mode & 0o777).toBe(0o600);
  });

  it('keeps it where pull and push find it, and docker’s tools too, until logout', async () => {
    await buildSample(new Layout(join(home, 'ig/oci-store')), `${host()}/a/b:v1`);
    const insecure = ['--insecure-registries', host()];
    const push = (): Promise<Ended> => ig(['image', 'push', `${host()}/a/b:v1`, ...insecure]);
    expectRefused(await push(), `you need to log in (\`ig login ${host()}\`)`);
    const args = ['login', `http://${host()}/`, '-u', 'alice', '--password-stdin', ...insecure];
    expect((await ig(args, { input: LOGIN.password })).status).toBe(0);
    expect((await push()).status).toBe(0);
    const kept = join(home, 'ig/config.json');
    execFileSync('skopeo', [
      'inspect',
      '--raw',
      '--tls-verify=false',
      '--authfile',
      kept,
      `docker://${host()}/a/b:v1`,
    ]);
    expect((await ig(['logout', host()])).stdout).toBe(`Logged out of ${host()}.\n`);
    expectRefused(await push(), 'there are no credentials');
  });

  it('keeps nothing of one that is wrong', async () => {
    expectRefused(
      await login(host(), 'wrong', plain),
      /asks for authentication.*, and it refused those of user alice: check the user name and the password/,
    );
    expect(existsSync(authFile)).toBe(false);
  });

  it('does as REGISTRY_AUTH_FILE says, and follows a link', async () => {
    const link = join(home, 'link.json');
    writeFileSync(authFile, '{}');
    symlinkSync(authFile, link);
    const args = ['login', host(), '-u', 'alice', '--password-stdin', plain];
    const surroundings = { input: LOGIN.password, env: { REGISTRY_AUTH_FILE: link } };
    expect((await ig(args, surroundings)).stdout).toContain(`kept in ${link}`);
    expect(written().auths).toHaveProperty([host()]);
  });

  it('loses none of several logins at a time', async () => {
    const names = [
      host(),
      host().replace('localhost', '127.0.0.1'),
      host().replace('localhost', 'LOCALHOST'),
    ];
    const ended = await Promise.all(names.map((name) => login(name, LOGIN.password, plain)));
    expect(ended.map(({ status }) => status)).toEqual([0, 0, 0]);
    expect(Object.keys(written().auths ?? {}).sort()).toEqual(names.sort());
  });

  it('warns of a password on the command line', async () => {
    const args = ['login', host(), '-u', 'alice', '-p', LOGIN.password, '--authfile', authFile, plain];
    const { stderr, status } = await ig(args);
    expect(stderr).toBe(
      'Warning: others can see a password on the command line; --password-stdin hides it\n',
    );
    expect(status).toBe(0);
  });

  it.each([
    [['-u', 'alice'], 'give --password-stdin'],
    [[], 'give --username and --password-stdin'],
    [['--password-stdin'], '--password-stdin needs --username'],
    [['-u', 'a', '-p', 'b', '--password-stdin'], '--password and --password-stdin exclude each other'],
    [['-u', 'a:b', '-p', 'c'], 'has no colon'],
    [['-u', 'a', '-p', ''], 'the password is empty'],
    [['--tls-verify=maybe'], 'true or false'],
  ])('asks nobody without a terminal: %j', async (flags, message) => {
    expectRefused(await ig(['login', host(), ...flags]), message, 2);
  });

  it('names what is no registry', async () => {
    expectRefused(await ig(['login', 'ghcr.io/me', '-u', 'a']), 'a registry is HOST or HOST:PORT', 2);
    expectRefused(await ig(['login', 'no registry', '-u', 'a']), 'a registry is HOST or HOST:PORT', 2);
  });

  it('does not touch a file that is no credentials file, nor write where it cannot', async () => {
    writeFileSync(authFile, '[1, 2]');
    expectRefused(await login(host(), LOGIN.password, plain), 'is not a docker config.json');
    expect(readFileSync(authFile, 'utf8')).toBe('[1, 2]');
    authFile = '/proc/auth.json';
    expectRefused(
      await login(host(), LOGIN.password, plain),
      'cannot write the credentials file /proc/auth.json',
    );
  });

  describe('on a terminal', () => {
    const terminal = (): Terminal => new Terminal(100, ['login', host(), '--authfile', authFile, plain]);
    const shows = (shown: Terminal, text: string): Promise<void> =>
      until(() => shown.raw().includes(text), `${text} on the terminal`);

    it('asks for user name and password, and shows the name only', async () => {
      const shown = terminal();
      await shows(shown, `User name for ${host()}: `);
      shown.type('alicf\x7fe\r');
      await shows(shown, 'Password: ');
      shown.type(`${LOGIN.password}\r`);
      expect(await shown.end()).toBe(0);
      expect(shown.raw()).toContain(`Logged in to ${host()} as alice`);
      expect(shown.raw()).not.toContain('cret');
      expect(written().auths).toEqual({ [host()]: { auth: AUTH } });
    });

    it('ends at Ctrl-C, and at the end of input, with nothing kept', async () => {
      const first = terminal();
      await shows(first, 'User name');
      expect(await first.interrupt()).toBe(130);
      const second = terminal();
      await shows(second, 'User name');
      second.type('alice\r');
      await shows(second, 'Password: ');
      second.type('\x04');
      expect(await second.end()).toBe(130);
      expect(existsSync(authFile)).toBe(false);
    });
  });
});

describe('logout', () => {
  const entries = { 'a.example': { auth: AUTH }, 'https://index.docker.io/v1/': { auth: AUTH } };
  const logout = (...args: string[]): Promise<Ended> => ig(['logout', '--authfile', authFile, ...args]);

  it('removes one registry’s credentials, and says when there are none', async () => {
    writeFileSync(authFile, JSON.stringify({ auths: entries, psFormat: 'table' }));
    expect((await logout('docker.io')).stdout).toBe('Logged out of docker.io.\n');
    expect(written()).toEqual({ auths: { 'a.example': { auth: AUTH } }, psFormat: 'table' });
    const again = await logout('docker.io');
    expect(again.stdout).toContain('Not logged in to docker.io: ');
    expect(again.status).toBe(0);
    expect((await logout()).stdout).toContain('Not logged in to ghcr.io: ');
  });

  it('removes all with --all', async () => {
    writeFileSync(authFile, JSON.stringify({ auths: entries }));
    expect((await logout('--all')).stdout).toBe('Logged out of a.example.\nLogged out of docker.io.\n');
    expect(written()).toEqual({ auths: {} });
    expect((await logout('--all')).stdout).toContain('Not logged in to any registry');
    expectRefused(await logout('--all', 'a.example'), 'takes a registry or --all', 2);
  });

  it('makes no file, and tells of credentials elsewhere', async () => {
    expect((await logout('a.example')).status).toBe(0);
    expect(existsSync(authFile)).toBe(false);
    writeFileSync(join(home, 'config.json'), JSON.stringify({ auths: entries }));
    const { stdout, stderr } = await ig(['logout', 'a.example'], { env: { DOCKER_CONFIG: home } });
    expect(stdout).toContain('Not logged in to a.example');
    expect(stderr).toBe(`Warning: there are other credentials for a.example in ${home}/config.json\n`);
  });
});

describe('with a credential helper', () => {
  const registry = useRegistry({ login: LOGIN });
  /** Keeps what it is given in a file. */
  const HELPER = `#!/bin/sh
kept="$(dirname "$0")/kept"
case $1 in
  store) cat > "$kept" ;;
  get) [ -s "$kept" ] && cat "$kept" || { echo 'credentials not found in native keychain'; exit 1; } ;;
  erase) rm "$kept" ;;
esac
`;

  it('keeps the password there, and finds it there, until logout', async () => {
    const { host } = registry();
    writeFileSync(join(home, 'docker-credential-test'), HELPER);
    chmodSync(join(home, 'docker-credential-test'), 0o755);
    writeFileSync(
      authFile,
      JSON.stringify({ credHelpers: { [host]: 'test' }, auths: { [host]: { auth: 'old' } } }),
    );
    const env = { PATH: `${home}${delimiter}${process.env['PATH']}`, REGISTRY_AUTH_FILE: authFile };
    const args = ['login', host, '-u', 'alice', '--password-stdin', '--plain-http'];
    const { stdout } = await ig(args, { input: LOGIN.password, env });
    expect(stdout).toBe(`Logged in to ${host} as alice; the password is kept by docker-credential-test.\n`);
    expect(JSON.parse(readFileSync(join(home, 'kept'), 'utf8'))).toEqual({
      ServerURL: host,
      Username: 'alice',
      Secret: LOGIN.password,
    });
    expect(written().auths).toEqual({ [host]: {} });
    const pull = (): Promise<Ended> =>
      ig(['image', 'pull', `${host}/a/b:v1`, '--insecure-registries', host], { env });
    expectRefused(await pull(), 'no such image or tag');
    expect((await ig(['logout', '--all'], { env })).stdout).toBe(`Logged out of ${host}.\n`);
    expect(existsSync(join(home, 'kept'))).toBe(false);
    expectRefused(await pull(), 'there are no credentials');
  });

  it('that is missing keeps nothing and says so', async () => {
    writeFileSync(authFile, JSON.stringify({ credsStore: 'pass' }));
    expectRefused(
      await login(registry().host, LOGIN.password, '--plain-http'),
      /docker-credential-pass, .* is not installed: install it \(Debian package/,
    );
    expect(written()).toEqual({ credsStore: 'pass' });
  });
});

describe('with a registry over TLS', () => {
  const registry = useRegistry({ login: LOGIN, tls: true });

  it('is sent the password only when its certificate is trusted, or need not be', async () => {
    const { host, caFile } = registry();
    expectRefused(await login(host), `no trusted TLS connection to registry ${host}`);
    expect((await login(host, LOGIN.password, '--ca-file', caFile!)).status).toBe(0);
    expect((await login(host, LOGIN.password, '--tls-verify=false')).status).toBe(0);
  });
});

describe('with a registry that takes tokens', () => {
  let tokens: TokenServer;
  let registry: RunningRegistry;

  beforeAll(async () => {
    tokens = await TokenServer.start({ users: { alice: 's3cret' } });
    registry = await startRegistry(tokens.registryKind);
  });

  afterAll(async () => {
    await registry.stop();
    await tokens.stop();
  });

  it('checks the password with the token server, for no resource', async () => {
    expectRefused(await login(registry.host, 'wrong', '--plain-http'), 'incorrect username or password');
    expect((await login(registry.host, 's3cret', '--plain-http')).status).toBe(0);
    expect(tokens.grants).toEqual([{ user: 'alice', method: 'GET', scopes: [], access: [] }]);
  });
});

describe('with what is no such registry', () => {
  const registry = useRegistry({});

  it('warns that nothing was checked when everybody may', async () => {
    const { stderr, status } = await login(registry().host, 'anything', '--plain-http');
    expect(stderr).toContain(`registry ${registry().host} lets everybody in`);
    expect(status).toBe(0);
  });

  it('says that nobody answers', async () => {
    expectRefused(await login('127.0.0.1:1'), 'cannot reach registry 127.0.0.1:1 (connection refused)');
  });
});
