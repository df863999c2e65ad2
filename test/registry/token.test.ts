// A real registry that takes the tokens of a server beside it.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { copyImage } from '../../oci/copy.js';
import type { Descriptor } from '../../oci/descriptor.js';
import { UnauthorizedError } from '../../oci/errors.js';
import { Layout } from '../../oci/layout.js';
import { parseReference } from '../../oci/reference.js';
import { RegistryRepository } from '../../oci/registry.js';
import { fetchBytes } from '../../oci/target.js';
import { until } from '../until.js';
import { buildSample, createTemporaryDirectory, removeDirectory, temporaryDirectory } from './images.js';
import { startRegistry } from './registry.js';
import type { RunningRegistry } from './registry.js';
import { TokenServer } from './token-server.js';

const REPOSITORY = 'team/sample';

let tokens: TokenServer;
let registry: RunningRegistry;
let directory: string;
let layout: Layout;
let image: Descriptor;

beforeAll(async () => {
  tokens = await TokenServer.start({ users: { alice: 's3cret' }, identities: { 'refresh me': 'alice' } });
  registry = await startRegistry(tokens.registryKind);
  directory = createTemporaryDirectory();
  layout = new Layout(join(directory, 'layout'));
  image = await buildSample(layout, nameIn(REPOSITORY));
  const repository = open('alice:s3cret', REPOSITORY, directory);
  await copyImage(layout, repository, nameIn(REPOSITORY));
  await repository.close();
});

afterAll(async () => {
  await registry.stop();
  await tokens.stop();
  removeDirectory(directory);
});

beforeEach(() => {
  tokens.grants.length = 0;
  tokens.lifeS = 300;
  tokens.saidLifeS = 300;
});

function nameIn(repository: string): string {
  return `${registry.host}/${repository}:v1`;
}

/** @param user `NAME:PASSWORD`, or the entry of a credentials file */
function open(user: string | object, repository: string, home: string): RegistryRepository {
  const entry = typeof user === 'string' ? { auth: Buffer.from(user).toString('base64') } : user;
  const authFile = join(home, 'auth.json');
  writeFileSync(authFile, JSON.stringify({ auths: { [registry.host]: entry } }));
  const insecureRegistries = [registry.host];
  return new RegistryRepository(parseReference(nameIn(repository)), { insecureRegistries, authFile });
}

/** The same until the test ends; nobody asks unless a user is given. */
function opened(user: string | object = {}, repository = REPOSITORY): RegistryRepository {
  const made = open(user, repository, temporaryDirectory());
  onTestFinished(() => made.close());
  return made;
}

/** Sends the image to another repository. */
async function push(user: string | object, repository: string): Promise<void> {
  const name = nameIn(repository);
  await layout.tag(image, name);
  await copyImage(layout, opened(user, repository), name);
}

describe('a registry with a token server', () => {
  it('lets anybody pull with one token for all', async () => {
    const store = new Layout(join(temporaryDirectory(), 'store'));
    await copyImage(opened(), store, nameIn(REPOSITORY));
    expect((await store.resolve(nameIn(REPOSITORY))).digest).toBe(image.digest);
    expect(tokens.grants.map(({ user, scopes }) => ({ user, scopes }))).toEqual([
      { user: undefined, scopes: [`repository:${REPOSITORY}:pull`] },
    ]);
  });

  it('lets those push who have a password, with one token for all', async () => {
    await push('alice:s3cret', 'team/other');
    expect(tokens.grants.map(({ user, scopes }) => ({ user, scopes }))).toEqual([
      { user: 'alice', scopes: ['repository:team/other:pull,push'] },
    ]);
    expect((await opened({}, 'team/other').resolve(nameIn('team/other'))).digest).toBe(image.digest);
  });

  it('lets nobody else push, and says what to do', async () => {
    const failure = push({}, 'team/third');
    await expect(failure).rejects.toThrow(UnauthorizedError);
    await expect(failure).rejects.toThrow(
      /to write to team\/third.*there are no credentials.*`ig login localhost:/,
    );
  });

  it('refuses a wrong password also where none is needed', async () => {
    await expect(opened('alice:wrong').resolve(nameIn(REPOSITORY))).rejects.toThrow(
      /\(incorrect username or password\), and it refused those of user alice from .*auth\.json/,
    );
  });

  it('takes an identity token in place of the password', async () => {
    const user = { identitytoken: 'refresh me' };
    const { digest } = await opened(user).resolve(nameIn(REPOSITORY));
    expect(digest).toBe(image.digest);
    expect(tokens.grants[0]).toMatchObject({ user: 'alice', method: 'POST' });
    await expect(opened({ identitytoken: 'stale' }).resolve(nameIn(REPOSITORY))).rejects.toThrow(
      'it refused the identity token',
    );
  });

  it('is asked for both repositories when one gives a blob to the other', async () => {
    const bytes = await fetchBytes(layout, image, 2 ** 20, 'the index');
    const [manifest] = (JSON.parse(Buffer.from(bytes).toString()) as { manifests: Descriptor[] }).manifests;
    const config = JSON.parse(
      Buffer.from(await fetchBytes(layout, manifest!, 2 ** 20, 'the manifest')).toString(),
    ) as { config: Descriptor };
    expect(await opened('alice:s3cret', 'team/mounted').mount(config.config, REPOSITORY)).toBe(true);
    expect(tokens.grants.at(-1)?.scopes?.toSorted()).toEqual([
      'repository:team/mounted:pull,push',
      `repository:${REPOSITORY}:pull`,
    ]);
  });
});

describe('a token that expires', () => {
  /** Asks for the manifest until as many tokens as `count` have been granted. */
  async function readUntilGranted(count: number): Promise<void> {
    const repository = opened();
    await until(async () => {
      const { digest } = await repository.resolve(nameIn(REPOSITORY));
      expect(digest).toBe(image.digest);
      return tokens.grants.length >= count;
    }, `${count} tokens`);
  }

  it('is renewed in time', async () => {
    tokens.saidLifeS = 1;
    await readUntilGranted(3);
  });

  it('sooner than its server said is replaced when the registry refuses it', async () => {
    tokens.lifeS = 1;
    await readUntilGranted(2);
  });
});
