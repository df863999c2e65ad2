// An image laid out byte by byte as Inspektor Gadget publishes its gadgets, made without any code of ours, is run;
// and the images made here have the parts that its tool looks for.
//
// Layout and media types: `pkg/oci` of https://github.com/inspektor-gadget/inspektor-gadget; signature: cosign's
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md, made with openssl.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { IG, Ig, type IgOptions, runIg } from '../ig.js';
import { createTemporaryDirectory, removeDirectory } from './images.js';
import { type RunningRegistry, startRegistry } from './registry.js';

const NAME = 'ghcr.io/inspektor-gadget/gadget/trace_sample:latest';
const REPOSITORY = 'inspektor-gadget/gadget/trace_sample';
const PROGRAM = fileURLToPath(new URL('samples/trace_sample/program.bpf.c', import.meta.url));
const METADATA = `name: trace_sample
description: Show which directories are made
dataSources: # the peer reads keys regardless of case
  made:
    fields:
      path:
        annotations:
          columns.width: 40
params:
  ebpf:
    min_mode:
      key: min-mode
      description: Show only directories of at least this mode
`;
const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const GADGET = 'application/vnd.gadget.v1+binary';
const CONFIG = 'application/vnd.gadget.config.v1+yaml';
const EBPF = 'application/vnd.gadget.ebpf.program.v1+binary';

let registry: RunningRegistry;
let work: string;

beforeAll(async () => {
  registry = await startRegistry();
  work = createTemporaryDirectory();
  for (const name of ['lib', 'home/.ig', 'parts', 'gadget']) mkdirSync(join(work, name), { recursive: true });
  copyFileSync(PROGRAM, join(work, 'gadget/program.bpf.c'));
  writeFileSync(join(work, 'gadget/gadget.yaml'), METADATA);
  const key = join(work, 'peer.key');
  execFileSync('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', key]);
  execFileSync('openssl', ['ec', '-in', key, '-pubout', '-out', join(work, 'peer.pub')], { stdio: 'pipe' });
  const build = [IG, 'image', 'build', 'gadget', '-t', 'mine', '-o', 'parts'];
  execFileSync(
    'unshare',
    ['-m', 'sh', '-c', 'mount --bind lib /var/lib && exec "$@"', 'sh', process.execPath, ...build],
    {
      cwd: work,
      stdio: 'pipe',
    },
  );
  writeFileSync(
    join(work, 'home/.ig/config.yaml'),
    `mirrors: {ghcr.io: ['http://${registry.host}/v2']}\noperator.oci.public-keys: [${join(work, 'peer.pub')}]\n`,
  );
});
afterAll(async () => {
  removeDirectory(work);
  await registry.stop();
});

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

function describeBytes(mediaType: string, bytes: Uint8Array): Descriptor {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { mediaType, digest, size: bytes.length };
}

async function pushBlob(mediaType: string, bytes: Uint8Array): Promise<Descriptor> {
  const descriptor = describeBytes(mediaType, bytes);
  const begun = await request(`http://${registry.host}/v2/${REPOSITORY}/blobs/uploads/`, { method: 'POST' });
  const url = new URL(String(begun.headers['location']), `http://${registry.host}`);
  url.searchParams.set('digest', descriptor.digest);
  await begun.body.dump();
  const { statusCode } = await request(url, { method: 'PUT', body: bytes });
  expect(statusCode).toBe(201);
  return descriptor;
}

async function pushManifest(document: object, tag?: string): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(document));
  const { mediaType } = document as { mediaType: string };
  const descriptor = describeBytes(mediaType, bytes);
  const { statusCode } = await request(
    `http://${registry.host}/v2/${REPOSITORY}/manifests/${tag ?? descriptor.digest}`,
    { method: 'PUT', body: bytes, headers: { 'content-type': mediaType } },
  );
  expect(statusCode).toBe(201);
  return descriptor;
}

/** Pushes the gadget with `tag`; returns the digest of its index. */
async function publish(tag: string): Promise<string> {
  const metadata = Buffer.from(METADATA);
  const annotations = {
    'io.inspektor-gadget.builder.version': 'v0.50.0',
    'org.opencontainers.image.created': '2026-08-01T10:00:00Z',
    'org.opencontainers.image.description': 'Show which directories are made',
    'org.opencontainers.image.title': 'trace_sample',
  };
  const config = { ...(await pushBlob(CONFIG, metadata)), annotations };
  const manifests: object[] = [];
  for (const architecture of ['amd64', 'arm64']) {
    const program = readFileSync(join(work, `parts/${architecture}.bpf.o`));
    const layers = [await pushBlob(EBPF, program)];
    const manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST,
      artifactType: GADGET,
      config,
      layers,
      annotations,
    };
    manifests.push({ ...(await pushManifest(manifest)), platform: { architecture, os: 'linux' } });
  }
  const index = await pushManifest({ schemaVersion: 2, mediaType: INDEX, manifests, annotations }, tag);
  return index.digest;
}

/** Signs `digest` with openssl under cosign's legacy tag. */
async function sign(digest: string): Promise<void> {
  const payload = join(work, 'payload.json');
  const claim = {
    critical: {
      identity: { 'docker-reference': 'ghcr.io/inspektor-gadget/gadget/trace_sample' },
      image: { 'docker-manifest-digest': digest },
      type: 'cosign container image signature',
    },
    optional: null,
  };
  writeFileSync(payload, JSON.stringify(claim));
  const signature = execFileSync('openssl', [
    'dgst',
    '-sha256',
    '-sign',
    join(work, 'peer.key'),
    payload,
  ]).toString('base64');
  const layer = await pushBlob('application/vnd.dev.cosign.simplesigning.v1+json', readFileSync(payload));
  const config = await pushBlob(
    'application/vnd.oci.image.config.v1+json',
    Buffer.from(
      JSON.stringify({ architecture: '', os: '', rootfs: { type: 'layers', diff_ids: [layer.digest] } }),
    ),
  );
  const layers = [{ ...layer, annotations: { 'dev.cosignproject.cosign/signature': signature } }];
  const manifest = { schemaVersion: 2, mediaType: MANIFEST, config, layers };
  await pushManifest(manifest, `${digest.replace(':', '-')}.sig`);
}

function machine(): IgOptions {
  return {
    inside: ['unshare', '-m', 'sh', '-c', 'mount --bind "$0/lib" /var/lib && exec "$@"', work],
    cwd: work,
    env: { HOME: join(work, 'home'), DOCKER_CONFIG: join(work, 'home/.docker') },
  };
}

it('is refused while it is not signed, and runs by its short name once it is', async () => {
  const digest = await publish('latest');
  const refused = await runIg(['run', 'trace_sample', '--timeout', '1'], machine());
  expect(refused.stderr).toContain('is not signed');
  expect(refused.status).toBe(1);

  await sign(digest);
  const ig = await Ig.tracing(
    ['run', 'trace_sample', '--host', '--min-mode', '448', '-o', 'json'],
    machine(),
  );
  expect(ig.stderr).toContain(`Image ghcr.io/${REPOSITORY}:latest@${digest}, from store`);
  const make = `import os; d = os.open('.', 0); [os.mkdir(n, m, dir_fd=d) for n, m in (('no', 0o100), ('yes', 0o700))]`;
  execFileSync('python3', ['-c', make], { cwd: join(work, 'parts') });
  await ig.until(() => ig.stdout.includes('"yes"'), 'the event');
  const { stdout, status } = await ig.stop();
  expect(stdout).not.toContain('"path":"no"');
  expect(JSON.parse(stdout.split('\n')[0]!)).toMatchObject({
    path: 'yes',
    mode: 0o700,
    proc: { comm: 'python3' },
  });
  expect(status).toBe(0);
});

it('has the parts that a gadget of ours has, too', () => {
  const store = join(work, 'lib/ig/oci-store');
  const read = (digest: string): unknown =>
    JSON.parse(readFileSync(join(store, 'blobs', digest.replace(':', '/')), 'utf8'));
  const top = JSON.parse(readFileSync(join(store, 'index.json'), 'utf8')) as {
    manifests: (Descriptor & { annotations: Record<string, string> })[];
  };
  const mine = top.manifests.find(
    ({ annotations }) =>
      annotations['org.opencontainers.image.ref.name'] === NAME.replace('trace_sample', 'mine'),
  );
  const index = read(mine!.digest) as { manifests: (Descriptor & { platform: object })[] };
  expect(index).toMatchObject({ schemaVersion: 2, mediaType: INDEX });
  expect(index.manifests.map(({ platform }) => platform)).toEqual([
    { architecture: 'amd64', os: 'linux' },
    { architecture: 'arm64', os: 'linux' },
  ]);
  for (const { digest } of index.manifests) {
    expect(read(digest)).toMatchObject({
      schemaVersion: 2,
      mediaType: MANIFEST,
      artifactType: GADGET,
      config: describeBytes(CONFIG, Buffer.from(METADATA)),
      layers: [{ mediaType: EBPF }],
      annotations: { 'org.opencontainers.image.title': 'trace_sample' },
    });
  }
  expect(readdirSync(join(work, 'parts')).sort()).toContain('arm64.bpf.o');
});
