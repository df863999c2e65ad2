import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { copyImage } from '../../oci/copy.js';
import { MEDIA_TYPE, describe as describeBytes } from '../../oci/descriptor.js';
import type { Descriptor } from '../../oci/descriptor.js';
import { TlsError, UnauthorizedError } from '../../oci/errors.js';
import { Layout } from '../../oci/layout.js';
import { parseReference } from '../../oci/reference.js';
import { RegistryRepository } from '../../oci/registry.js';
import type { RegistryOptions } from '../../oci/registry.js';
import { fetchBytes } from '../../oci/target.js';
import { buildSample, createTemporaryDirectory, removeDirectory, temporaryDirectory } from './images.js';
import { serveReferrers } from './referrers-front.js';
import { pushWithSkopeo, startRegistry } from './registry.js';
import type { RegistryKind, RunningRegistry } from './registry.js';
import { serve } from './server.js';

const NAME = 'owner/trace_sample:v1';

/** A registry for the tests of one `describe`, and how to reach it. */
function useRegistry(kind: RegistryKind): {
  host: () => string;
  options: () => RegistryOptions;
  get: () => RunningRegistry;
} {
  let registry: RunningRegistry | undefined;
  let empty: string;
  beforeAll(async () => {
    empty = createTemporaryDirectory();
    registry = await startRegistry(kind);
  });
  afterAll(async () => {
    await registry?.stop();
    removeDirectory(empty);
  });
  const get = (): RunningRegistry => registry!;
  const options = (): RegistryOptions => ({
    env: {},
    home: empty,
    ...(get().authFile === undefined ? {} : { authFile: get().authFile! }),
    ...(get().caFile === undefined ? { insecureRegistries: [get().host] } : { caFile: get().caFile! }),
  });
  return { host: () => get().host, options, get };
}

function open(name: string, options: RegistryOptions): RegistryRepository {
  const repository = new RegistryRepository(parseReference(name), options);
  onTestFinished(() => repository.close());
  return repository;
}

/** A layout that holds the sample image under `name`. */
async function layoutWith(name: string): Promise<{ layout: Layout; root: Descriptor }> {
  const layout = new Layout(temporaryDirectory());
  return { layout, root: await buildSample(layout, name) };
}

/** All content of a layout, by digest. */
function contentOf({ root }: Layout): Record<string, string> {
  const directory = join(root, 'blobs/sha256');
  return Object.fromEntries(
    readdirSync(directory).map((name) => [name, readFileSync(join(directory, name)).toString('base64')]),
  );
}

async function pulled(name: string, options: RegistryOptions): Promise<Layout> {
  const copy = new Layout(temporaryDirectory());
  await copyImage(open(name, options), copy, name);
  return copy;
}

describe.each<[string, RegistryKind]>([
  ['over plain HTTP', {}],
  ['that wants a password', { login: { username: 'alice', password: 's3cret' } }],
  ['over TLS with its own CA', { tls: true, login: { username: 'alice', password: 's3cret' } }],
])('a registry %s', (_what, kind) => {
  const registry = useRegistry(kind);

  it('gives back bit by bit what was pushed, for both architectures', async () => {
    const name = `${registry.host()}/${NAME}`;
    const { layout, root } = await layoutWith(name);
    expect((await copyImage(layout, open(name, registry.options()), name)).digest).toBe(root.digest);
    const copy = await pulled(name, registry.options());
    expect(contentOf(copy)).toEqual(contentOf(layout));
    expect((await copy.resolve(name)).digest).toBe(root.digest);
  });

  it('gives skopeo what was pushed, and takes it back from it', async () => {
    const name = `${registry.host()}/owner/first:v1`;
    const { layout } = await layoutWith(name);
    await copyImage(layout, open(name, registry.options()), name);
    const other = new Layout(join(temporaryDirectory(), 'copy'));
    const { caFile, authFile } = registry.get();
    const tls = caFile === undefined ? ['--src-tls-verify=false'] : ['--src-cert-dir', dirname(caFile)];
    const login = authFile === undefined ? [] : ['--src-authfile', authFile];
    const words = ['copy', '--all', '--preserve-digests', ...tls, ...login];
    execFileSync('skopeo', [...words, `docker://${name}`, `oci:${other.root}:v1`], { stdio: 'pipe' });
    expect(contentOf(other)).toEqual(contentOf(layout));
    pushWithSkopeo(other.root, 'v1', registry.get(), 'owner/second:v1');
    const copy = await pulled(`${registry.host()}/owner/second:v1`, registry.options());
    expect(contentOf(copy)).toEqual(contentOf(layout));
  });

  it('takes a blob that is sent in pieces', async () => {
    const bytes = randomBytes(17 * 1024 * 1024);
    const blob = describeBytes('application/octet-stream', bytes);
    const repository = open(`${registry.host()}/owner/large`, registry.options());
    await repository.push(blob, [bytes]);
    expect(await repository.has(blob)).toBe(true);
    const read = await fetchBytes(repository, blob, bytes.length, 'it');
    expect(Buffer.compare(read, bytes)).toBe(0);
  });
});

describe('who may not write', () => {
  const registry = useRegistry({ tls: true, login: { username: 'alice', password: 's3cret' } });

  it('is told, without a password', async () => {
    const name = `${registry.host()}/${NAME}`;
    const { layout } = await layoutWith(name);
    const { authFile: _without, ...options } = registry.options();
    const failure = copyImage(layout, open(name, options), name);
    await expect(failure).rejects.toThrow(UnauthorizedError);
    await expect(failure).rejects.toThrow(/to write to .* you may not write there, or you need to log in/);
  });

  it('is told, without the CA', async () => {
    const name = `${registry.host()}/${NAME}`;
    const { layout } = await layoutWith(name);
    const { caFile: _without, ...options } = registry.options();
    const failure = copyImage(layout, open(name, options), name);
    await expect(failure).rejects.toThrow(TlsError);
    await expect(failure).rejects.toThrow('--ca-file');
  });
});

describe('another repository of the same registry', () => {
  const registry = useRegistry({});

  it('gives its blobs without their being sent again', async () => {
    const first = `${registry.host()}/owner/first:v1`;
    const { layout, root } = await layoutWith(first);
    await copyImage(layout, open(first, registry.options()), first);
    // Looks at what goes to the registry under its own name.
    const front = await serveReferrers(registry.host());
    const second = `${front.host}/owner/second:v1`;
    await layout.tag(root, second);
    const options = { ...registry.options(), insecureRegistries: [front.host] };
    await copyImage(layout, open(second, options), second, { mountFrom: ['owner/nothing', 'owner/first'] });
    const uploads = front.requests.filter(({ url }) => url?.includes('/blobs/uploads/') === true);
    const blobs = Object.keys(contentOf(layout)).length - 3; // without the index and two manifests
    // One request for each repository and blob, and no content in any.
    expect(uploads.map(({ method }) => method)).toEqual(Array.from({ length: 2 * blobs }, () => 'POST'));
    expect(uploads.every(({ headers }) => (headers['content-length'] ?? '0') === '0')).toBe(true);
    expect(contentOf(await pulled(second, options))).toEqual(contentOf(layout));
  });

  it('is left alone for what is there already', async () => {
    const name = `${registry.host()}/owner/again:v1`;
    const { layout } = await layoutWith(name);
    await copyImage(layout, open(name, registry.options()), name);
    const begun: [string, boolean | undefined][] = [];
    const progress = {
      begin: (_id: string, title: string, _bytes: number, done?: boolean) => void begun.push([title, done]),
      advance: () => expect.unreachable(),
      end: () => undefined,
    };
    await copyImage(layout, open(name, registry.options()), name, { progress });
    expect(begun.length).toBe(4);
    expect(begun.every(([, done]) => done)).toBe(true);
  });
});

describe('what refers to an image', () => {
  const registry = useRegistry({});

  /** Pushes the sample image and `count` manifests about it, as signatures are. */
  async function pushWithReferrers(
    name: string,
    options: RegistryOptions,
    count: number,
  ): Promise<Descriptor> {
    const { layout, root } = await layoutWith(name);
    const repository = open(name, options);
    await copyImage(layout, repository, name);
    for (let n = 0; n < count; n++) await attach(repository, root, n);
    return root;
  }

  async function attach(
    repository: RegistryRepository,
    { mediaType, digest, size }: Descriptor,
    n: number,
  ): Promise<void> {
    const config = describeBytes(MEDIA_TYPE.emptyJson, Buffer.from('{}'));
    const layer = describeBytes('text/plain', Buffer.from(`signature ${n}`));
    await repository.push(config, [Buffer.from('{}')]);
    await repository.push(layer, [Buffer.from(`signature ${n}`)]);
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPE.manifest,
        artifactType: `application/vnd.test.${n % 2 === 0 ? 'even' : 'odd'}`,
        config,
        layers: [layer],
        subject: { mediaType, digest, size },
        annotations: { n: `${n}` },
      }),
    );
    const described = describeBytes(MEDIA_TYPE.manifest, manifest);
    await repository.attach({ mediaType, digest, size }, described, manifest);
  }

  const numbers = (found: readonly Descriptor[]): string[] =>
    found.map(({ annotations }) => annotations?.['n'] ?? '').sort();

  it('is listed by the tag where there is no API, also for skopeo', async () => {
    const name = `${registry.host()}/owner/tagged:v1`;
    const root = await pushWithReferrers(name, registry.options(), 3);
    const repository = open(name, registry.options());
    expect(numbers(await repository.referrers(root))).toEqual(['0', '1', '2']);
    expect(numbers(await repository.referrers(root, 'application/vnd.test.odd'))).toEqual(['1']);
    const tag = `docker://${registry.host()}/owner/tagged:${root.digest.replace(':', '-')}`;
    const raw = execFileSync('skopeo', ['inspect', '--raw', '--tls-verify=false', tag], { encoding: 'utf8' });
    expect((JSON.parse(raw) as { manifests: unknown[] }).manifests.length).toBe(3);
  });

  it('is listed once, however often it is attached', async () => {
    const name = `${registry.host()}/owner/twice:v1`;
    const root = await pushWithReferrers(name, registry.options(), 1);
    const repository = open(name, registry.options());
    await attach(repository, root, 0);
    expect(numbers(await repository.referrers(root))).toEqual(['0']);
  });

  it('is listed by the API where there is one, page by page, and no tag is written', async () => {
    const front = await serveReferrers(registry.host());
    const options = { ...registry.options(), insecureRegistries: [front.host] };
    const name = `${front.host}/owner/listed:v1`;
    const root = await pushWithReferrers(name, options, 5);
    const repository = open(name, options);
    expect(numbers(await repository.referrers(root))).toEqual(['0', '1', '2', '3', '4']);
    expect(numbers(await repository.referrers(root, 'application/vnd.test.even'))).toEqual(['0', '2', '4']);
    expect(front.requests.filter(({ url }) => url?.includes('/manifests/sha256-'))).toEqual([]);
    // As the registry behind it sees it, which has neither.
    const behind = open(`${registry.host()}/owner/listed:v1`, registry.options());
    expect(await behind.referrers(root)).toEqual([]);
  });

  it('is looked for at the registry when a mirror has the image but not that', async () => {
    const name = `${registry.host()}/owner/mirrored:v1`;
    const root = await pushWithReferrers(name, registry.options(), 1);
    const mirror = await serve((_request, response) => {
      const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests: [] };
      response.writeHead(200, { 'content-type': MEDIA_TYPE.index }).end(JSON.stringify(index));
    });
    const mirrors = { [registry.host()]: [`http://${mirror.host}/v2`] };
    const repository = open(name, { ...registry.options(), mirrors });
    expect(numbers(await repository.referrers(root))).toEqual(['0']);
    expect(mirror.requests.length).toBe(1);
  });
});
