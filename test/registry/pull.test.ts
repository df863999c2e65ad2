import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NotFoundError, TlsError, UnauthorizedError } from '../../oci/errors.js';
import { readGadgetImage } from '../../oci/gadget-image.js';
import { Layout } from '../../oci/layout.js';
import type { RegistryOptions } from '../../oci/registry.js';
import { resolveImage } from '../../oci/resolve.js';
import type { ResolvedImage } from '../../oci/resolve.js';
import {
  EBPF_AMD64,
  METADATA,
  buildSample,
  createTemporaryDirectory,
  removeDirectory,
  temporaryDirectory,
} from './images.js';
import { pushWithSkopeo, startRegistry } from './registry.js';
import type { RegistryKind, RunningRegistry } from './registry.js';

const REF = 'ghcr.io/owner/trace_sample:v1';
const NAME = 'owner/trace_sample:v1';
const OCI_SOURCES = join(import.meta.dirname, '../../oci');

let work: string;
let layout: Layout;
let digest: string;

beforeAll(async () => {
  work = createTemporaryDirectory();
  layout = new Layout(join(work, 'layout'));
  ({ digest } = await buildSample(layout, REF));
});
afterAll(() => removeDirectory(work));

/** A registry for the tests of one `describe`, holding the sample image. */
function useRegistry(kind: RegistryKind): () => RunningRegistry {
  let registry: RunningRegistry | undefined;
  beforeAll(async () => {
    registry = await startRegistry(kind);
    pushWithSkopeo(layout.root, REF, registry, NAME);
  });
  afterAll(async () => {
    await registry?.stop();
  });
  return () => {
    if (registry === undefined) throw new Error('the registry is not running');
    return registry;
  };
}

function pull(
  text: string,
  registryOptions: RegistryOptions,
  store = new Layout(temporaryDirectory()),
): Promise<ResolvedImage> {
  // An empty file keeps the credentials of whoever runs the tests out of them.
  const authFile = join(work, 'no-credentials.json');
  writeFileSync(authFile, '{}');
  return resolveImage(text, { store, registryOptions: { authFile, ...registryOptions }, pull: 'missing' });
}

async function expectSample(image: ResolvedImage): Promise<void> {
  expect(image.descriptor.digest).toBe(digest);
  const gadget = await readGadgetImage(image.target, image.descriptor, { architecture: 'amd64' });
  expect(gadget.ebpf).toEqual(EBPF_AMD64);
}

describe('skopeo', () => {
  it('reads the layout this program writes', () => {
    const raw = execFileSync('skopeo', ['inspect', '--raw', `oci:${layout.root}:${REF}`], {
      encoding: 'utf8',
    });
    expect((JSON.parse(raw) as { manifests: unknown[] }).manifests.length).toBe(2);
  });

  it('copies it to an archive that this program reads', async () => {
    const archive = join(temporaryDirectory(), 'image.tar');
    execFileSync('skopeo', ['copy', '--all', `oci:${layout.root}:${REF}`, `oci-archive:${archive}:v1`]);
    const image = await pull(archive, {});
    expect(image.from).toBe('archive');
    await expectSample(image);
    await expectSample(await pull(`${archive}:v1`, {}));
  });
});

describe('a registry over plain HTTP', () => {
  const registry = useRegistry({});
  const insecure = (): RegistryOptions => ({ insecureRegistries: [registry().host] });

  it('gives an image to anyone, which is then in the store', async () => {
    const store = new Layout(temporaryDirectory());
    const text = `${registry().host}/${NAME}`;
    const image = await pull(text, insecure(), store);
    expect(image.from).toBe('registry');
    await expectSample(image);
    const again = await pull(text, {}, store);
    expect(again.from).toBe('store');
    await expectSample(again);
  });

  it('gives an image by digest', async () => {
    await expectSample(await pull(`${registry().host}/owner/trace_sample@${digest}`, insecure()));
  });

  it('takes and gives an image of metadata alone, which has no layers', async () => {
    const bare = new Layout(temporaryDirectory());
    const built = await buildSample(bare, REF, { platforms: [{ architecture: 'amd64' }] });
    pushWithSkopeo(bare.root, REF, registry(), 'owner/bare:v1');
    const { target, descriptor } = await pull(`${registry().host}/owner/bare:v1`, insecure());
    expect(descriptor.digest).toBe(built.digest);
    expect((await readGadgetImage(target, descriptor, { architecture: 'amd64' })).metadata).toEqual(METADATA);
  });

  it('stores a pulled image so that skopeo reads it', async () => {
    const store = new Layout(temporaryDirectory());
    const { reference } = await pull(`${registry().host}/${NAME}`, insecure(), store);
    const copy = join(temporaryDirectory(), 'copy');
    execFileSync('skopeo', ['copy', '--all', `oci:${store.root}:${String(reference)}`, `oci:${copy}:v1`]);
    await expectSample(await pull(copy, {}));
  });

  it.each(['owner/trace_sample:v2', 'owner/nothing:v1'])('says that there is no %s', async (name) => {
    const failure = pull(`${registry().host}/${name}`, insecure());
    await expect(failure).rejects.toThrow(NotFoundError);
    await expect(failure).rejects.toThrow(`no such image or tag ${registry().host}/${name}`);
  });

  it('is not talked to unless it is listed as insecure', async () => {
    const failure = pull(`${registry().host}/${NAME}`, {});
    await expect(failure).rejects.toThrow(TlsError);
    await expect(failure).rejects.toThrow('--insecure-registries');
  });
});

describe('a registry that wants a password', () => {
  const registry = useRegistry({ login: { username: 'alice', password: 's3cret' } });
  const insecure = (): RegistryOptions => ({ insecureRegistries: [registry().host] });

  it('gives an image to who has it', async () => {
    const authFile = registry().authFile;
    if (authFile === undefined) throw new Error('the registry has no login');
    await expectSample(await pull(`${registry().host}/${NAME}`, { ...insecure(), authFile }));
  });

  it('gives nothing to others, who learn where credentials were looked for', async () => {
    const failure = pull(`${registry().host}/${NAME}`, insecure());
    await expect(failure).rejects.toThrow(UnauthorizedError);
    await expect(failure).rejects.toThrow(join(work, 'no-credentials.json'));
  });

  it('gives nothing for a wrong password', async () => {
    const authFile = join(temporaryDirectory(), 'auth.json');
    const auth = Buffer.from('alice:wrong').toString('base64');
    writeFileSync(authFile, JSON.stringify({ auths: { [registry().host]: { auth } } }));
    const failure = pull(`${registry().host}/${NAME}`, { ...insecure(), authFile });
    await expect(failure).rejects.toThrow('refused those of user alice');
  });
});

describe('a registry over TLS with its own CA', () => {
  const registry = useRegistry({ tls: true });

  it('is not trusted by itself', async () => {
    const failure = pull(`${registry().host}/${NAME}`, {});
    await expect(failure).rejects.toThrow(TlsError);
    await expect(failure).rejects.toThrow('NODE_EXTRA_CA_CERTS');
  });

  it('is trusted with its CA in NODE_EXTRA_CA_CERTS, which Node.js reads at start', async () => {
    const code = compileOci({ dependencies: true });
    const store = new Layout(temporaryDirectory());
    const text = `${registry().host}/${NAME}`;
    runNode(
      `import { resolveImage } from '${code}/resolve.js';
       import { Layout } from '${code}/layout.js';
       const store = new Layout(${JSON.stringify(store.root)});
       await resolveImage(${JSON.stringify(text)}, { store, pull: 'missing', registryOptions: {} });`,
      { NODE_EXTRA_CA_CERTS: registry().caFile },
    );
    await expectSample(await pull(text, {}, store));
  });

  it('is not trusted with another CA', () => {
    const code = compileOci({ dependencies: true });
    const other = join(temporaryDirectory(), 'other.crt');
    const key = join(temporaryDirectory(), 'other.key');
    const options = ['-nodes', '-days', '2', '-subj', '/CN=other'];
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', ...options, '-keyout', key, '-out', other],
      {
        stdio: 'ignore',
      },
    );
    const output = runNode(
      `import { RegistryRepository } from '${code}/registry.js';
       const repository = new RegistryRepository({ registry: '${registry().host}', repository: 'owner/trace_sample' });
       const error = await repository.resolve('${registry().host}/${NAME}').catch((error) => error);
       process.stdout.write(error.name);`,
      { NODE_EXTRA_CA_CERTS: other },
    );
    expect(output).toBe('TlsError');
  });
});

describe('finding an image', () => {
  it('loads neither the registry client nor the tar reader until one is needed', () => {
    // Here undici and tar-stream cannot be found, so that importing them would fail.
    const code = compileOci({ dependencies: false });
    const output = runNode(
      `import { resolveImage } from '${code}/resolve.js';
       import { Layout } from '${code}/layout.js';
       const image = await resolveImage('${REF}', { store: new Layout('${layout.root}'), pull: 'missing' });
       process.stdout.write(image.descriptor.digest);`,
      {},
    );
    expect(output).toBe(digest);
  });
});

/** The oci room as JavaScript for a Node.js process of its own, removed when the test ends. */
function compileOci({ dependencies }: { dependencies: boolean }): string {
  const directory = temporaryDirectory();
  const output = join(directory, 'oci');
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  if (dependencies) symlinkSync(join(OCI_SOURCES, '../node_modules'), join(directory, 'node_modules'));
  const sources = readdirSync(OCI_SOURCES, { encoding: 'utf8', recursive: true });
  for (const file of sources.filter((name) => /(?<!\.test)\.ts$/.test(name))) {
    mkdirSync(dirname(join(output, file)), { recursive: true });
    const source = readFileSync(join(OCI_SOURCES, file), 'utf8');
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: {
        module: ts.ModuleKind.ESNext,
        target: ts.ScriptTarget.ES2023,
        verbatimModuleSyntax: true,
      },
    });
    writeFileSync(join(output, file.replace(/ts$/, 'js')), outputText);
  }
  return output;
}

/** Runs a module in a Node.js process of its own and returns what it wrote. */
function runNode(source: string, env: Record<string, string | undefined>): string {
  return execFileSync(process.execPath, ['--input-type=module', '-e', source], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: 30_000,
  });
}
