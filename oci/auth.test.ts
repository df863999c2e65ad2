import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { temporaryDirectory } from '../test/registry/images.js';
import { findCredentials } from './auth.js';
import { AuthFileError } from './errors.js';

const auth = base64('alice:pass:word');
const ALICE = { username: 'alice', password: 'pass:word' };

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function write(config: unknown): string {
  const path = join(temporaryDirectory(), 'config.json');
  writeFileSync(path, typeof config === 'string' ? config : JSON.stringify(config));
  return path;
}

/** Puts `docker-credential-NAME`, a shell script, where programs are found until the test ends. */
function installHelper(name: string, script: string): void {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`);
  chmodSync(join(directory, `docker-credential-${name}`), 0o755);
  vi.stubEnv('PATH', `${directory}${delimiter}${process.env['PATH']}`);
  onTestFinished(() => void vi.unstubAllEnvs());
}

/** Answers for the one server, and as every helper does for others. */
function helperFor(server: string, username: string, secret: string): string {
  const answer = JSON.stringify({ ServerURL: server, Username: username, Secret: secret });
  return `read server; [ "$1 $server" = 'get ${server}' ] && echo '${answer}' && exit
    echo 'credentials not found in native keychain'; exit 1`;
}

describe('credentials', () => {
  it.each([
    ['ghcr.io', { 'ghcr.io': { auth } }],
    ['ghcr.io', { 'https://ghcr.io/v1/': { auth } }],
    ['docker.io', { 'https://index.docker.io/v1/': { auth } }],
    ['docker.io', { 'docker.io': { auth } }],
    ['localhost:5000', { 'localhost:5000': { username: 'alice', password: 'pass:word' } }],
    ['ghcr.io', { 'ghcr.io': { auth: base64('alice:pass:word\0\0') } }],
  ])('for %s are found under the keys docker and podman write', async (registry, auths) => {
    const found = await findCredentials(registry, { authFile: write({ auths }) });
    expect(found.credentials).toEqual(ALICE);
  });

  it('for another host or port are not used', async () => {
    const authFile = write({ auths: { 'localhost:5000': { auth }, 'ghcr.io.example': { auth } } });
    expect((await findCredentials('localhost:5001', { authFile })).credentials).toBeUndefined();
    expect((await findCredentials('ghcr.io', { authFile })).credentials).toBeUndefined();
  });

  it('for a namespace count there, the closest first, and nowhere else', async () => {
    const authFile = write({
      auths: {
        'quay.io/team': { auth: base64('team:1') },
        'quay.io/team/tool': { auth: base64('tool:2') },
        'quay.io': { auth: base64('all:3') },
      },
    });
    const userFor = async (repository?: string): Promise<string | undefined> =>
      (await findCredentials('quay.io', { authFile }, repository)).credentials?.username;
    expect(await userFor('team/tool')).toBe('tool');
    expect(await userFor('team/other')).toBe('team');
    expect(await userFor('teamwork/tool')).toBe('all');
    expect(await userFor()).toBe('all');
  });

  it('may be an identity token', async () => {
    const auths = { 'a.example': { auth: base64('00000000:'), identitytoken: 'refresh' } };
    const { credentials } = await findCredentials('a.example', { authFile: write({ auths }) });
    expect(credentials?.identityToken).toBe('refresh');
  });

  it('come from REGISTRY_AUTH_FILE unless a file is named', async () => {
    const env = { REGISTRY_AUTH_FILE: write({ auths: { 'a.example': { auth } } }) };
    expect((await findCredentials('a.example', { env })).credentials?.username).toBe('alice');
    expect((await findCredentials('a.example', { env, authFile: write({}) })).credentials).toBeUndefined();
  });

  it.each([
    ['null', 'is not a docker config.json'],
    ['{"auths": []}', 'is not a docker config.json'],
    ['{', 'is not a docker config.json'],
    [' '.repeat(2 ** 20 + 1), 'is larger than 1048576 bytes'],
  ])('in a file that is no credentials file (%.12s) are an error', async (text, message) => {
    const failure = findCredentials('a.example', { authFile: write(text) });
    await expect(failure).rejects.toThrow(AuthFileError);
    await expect(failure).rejects.toThrow(message);
  });

  it('in a file that is damaged are told to nobody, not even as a cause', async () => {
    const failure: unknown = await findCredentials('a.example', { authFile: write('{"auth": hush') }).catch(
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(AuthFileError);
    expect(inspect(failure, { depth: 9 })).not.toContain('hush');
  });

  it('in a file that is named and missing are an error', async () => {
    await expect(findCredentials('a.example', { authFile: '/nonexistent' })).rejects.toThrow(
      'there is no such file',
    );
  });

  it('are looked for where docker and podman keep them, which need not be there', async () => {
    const env = { XDG_RUNTIME_DIR: '/nonexistent/run', DOCKER_CONFIG: '/nonexistent/docker' };
    const { credentials, files } = await findCredentials('a.example', { env });
    expect(credentials).toBeUndefined();
    const podman = '/nonexistent/run/containers/auth.json';
    expect(files).toEqual(['/var/lib/ig/config.json', '/nonexistent/docker/config.json', podman]);
    const home = temporaryDirectory();
    mkdirSync(join(home, '.docker'));
    writeFileSync(join(home, '.docker/config.json'), JSON.stringify({ auths: { 'a.example': { auth } } }));
    expect((await findCredentials('a.example', { env: {}, home })).source).toBe(
      join(home, '.docker/config.json'),
    );
  });
});

describe('a credential helper', () => {
  const auths = { 'a.example': { auth } };

  it('for the registry comes before the one for all, and that before the file', async () => {
    installHelper('own', helperFor('a.example', 'own', '1'));
    installHelper('all', helperFor('a.example', 'all', '2'));
    const userWith = async (config: object): Promise<string | undefined> =>
      (await findCredentials('a.example', { authFile: write({ auths, ...config }) })).credentials?.username;
    expect(await userWith({ credsStore: 'all', credHelpers: { 'a.example': 'own' } })).toBe('own');
    expect(await userWith({ credsStore: 'all', credHelpers: { 'b.example': 'own' } })).toBe('all');
    expect(await userWith({})).toBe('alice');
  });

  it('that has none leaves it to the file', async () => {
    installHelper('all', helperFor('b.example', 'bob', '1'));
    const found = await findCredentials('a.example', { authFile: write({ auths, credsStore: 'all' }) });
    expect(found.credentials).toEqual(ALICE);
    expect(found.failures).toEqual([]);
  });

  it('knows Docker Hub by docker’s name for it, and may give an identity token', async () => {
    installHelper('all', helperFor('https://index.docker.io/v1/', '<token>', 'refresh'));
    const { credentials } = await findCredentials('docker.io', { authFile: write({ credsStore: 'all' }) });
    expect(credentials?.identityToken).toBe('refresh');
  });

  it.each([
    ['echo boom; exit 1', 'failed to get credentials: "boom"'],
    ['echo oops >&2; exit 3', 'failed to get credentials: "oops"'],
    ['echo \'{"Secret":"hush"}\'; exit 1', /failed to get credentials$/],
    ['echo nonsense', 'gave something that is no credentials'],
    ['head -c 2000000 /dev/zero; sleep 60', 'wrote more than 1048576 bytes'],
  ])('that does `%s` is as one that has none, and is remembered', async (script, message) => {
    installHelper('bad', script);
    const authFile = write({ credsStore: 'bad' });
    const { credentials, failures } = await findCredentials('a.example', { authFile });
    expect(credentials).toBeUndefined();
    expect(failures?.[0]).toMatch(message);
    expect(failures?.[0]).toContain(`the credential helper docker-credential-bad, which ${authFile} names,`);
  });

  it('that is not installed is named, with what to do', async () => {
    const { failures } = await findCredentials('a.example', { authFile: write({ credsStore: 'pass' }) });
    expect(failures?.[0]).toContain(
      'is not installed: install it (Debian package golang-docker-credential-helpers), or take it out of that file',
    );
  });

  it.each(['../../tmp/evil', 'a/b', 'a b', '$(id)'])('is not run when its name is %s', async (credsStore) => {
    const { failures } = await findCredentials('a.example', { authFile: write({ credsStore }) });
    expect(failures?.[0]).toContain('names a credential helper that cannot be');
  });
});
