import { describe as suite, expect, it } from 'vitest';
import {
  EBPF_AMD64,
  EBPF_ARM64,
  METADATA,
  WASM,
  buildSample,
  sampleSpec,
  temporaryDirectory,
} from '../test/registry/images.js';
import { ANNOTATION, MEDIA_TYPE, describe } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { InvalidImageError } from './errors.js';
import { buildGadgetImage, readGadgetImage, sourceDate } from './gadget-image.js';
import { Layout } from './layout.js';
import { fetchBytes } from './target.js';

const AMD64 = { architecture: 'amd64' };

async function json(layout: Layout, descriptor: Descriptor): Promise<unknown> {
  return JSON.parse(Buffer.from(await fetchBytes(layout, descriptor, 100_000, 'it')).toString());
}

async function pushJson(layout: Layout, mediaType: string, document: unknown): Promise<Descriptor> {
  return pushBlob(layout, mediaType, JSON.stringify(document));
}

async function pushBlob(layout: Layout, mediaType: string, content: string): Promise<Descriptor> {
  const bytes = Buffer.from(content);
  const descriptor = describe(mediaType, bytes);
  await layout.push(descriptor, [bytes]);
  return descriptor;
}

/** A manifest without an index, with layers of the given types. */
async function pushManifest(layout: Layout, configType: string, layerTypes: string[]): Promise<Descriptor> {
  const config = await pushBlob(layout, configType, '{}');
  const layers = await Promise.all(
    layerTypes.map((type, number) => pushBlob(layout, type, `layer ${number}`)),
  );
  return pushJson(layout, MEDIA_TYPE.manifest, { schemaVersion: 2, config, layers });
}

suite('a built gadget image', () => {
  it('is read back as it was built', async () => {
    const layout = new Layout(temporaryDirectory());
    const descriptor = await buildSample(layout, 'a/b:1');
    const image = await readGadgetImage(layout, descriptor, AMD64);
    expect(image).toMatchObject({
      digest: descriptor.digest,
      metadata: METADATA,
      ebpf: EBPF_AMD64,
      wasm: WASM,
      annotations: { [ANNOTATION.title]: 'trace_sample' },
      warnings: [],
    });
    const other = await readGadgetImage(layout, descriptor, { architecture: 'arm64' });
    expect(other.ebpf).toEqual(EBPF_ARM64);
    expect(other.manifestDigest).not.toBe(image.manifestDigest);
  });

  it('has the media types and annotations other runtimes expect', async () => {
    const layout = new Layout(temporaryDirectory());
    const descriptor = await buildSample(layout, 'a/b:1', { created: new Date(1_700_000_000_000) });
    const annotations = {
      'org.opencontainers.image.created': '2023-11-14T22:13:20Z',
      'org.opencontainers.image.description': 'a sample',
      'org.opencontainers.image.title': 'trace_sample',
    };
    expect(descriptor.mediaType).toBe('application/vnd.oci.image.index.v1+json');
    const index = (await json(layout, descriptor)) as { manifests: Descriptor[] };
    expect(index).toMatchObject({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      annotations,
      manifests: [
        {
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          platform: { architecture: 'amd64', os: 'linux' },
        },
        { platform: { architecture: 'arm64', os: 'linux' } },
      ],
    });
    expect(await json(layout, index.manifests[0]!)).toEqual({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      artifactType: 'application/vnd.gadget.v1+binary',
      config: { ...describe('application/vnd.gadget.config.v1+yaml', METADATA), annotations },
      layers: [
        describe('application/vnd.gadget.ebpf.program.v1+binary', EBPF_AMD64),
        describe('application/vnd.gadget.wasm.program.v1+binary', WASM),
      ],
      annotations,
    });
  });

  it('has the same digest whatever the order of its input', async () => {
    const spec = sampleSpec('a/b:1');
    const swapped = {
      ...spec,
      platforms: [...spec.platforms].reverse(),
      annotations: Object.fromEntries(Object.entries(spec.annotations ?? {}).reverse()),
    };
    const first = await buildGadgetImage(new Layout(temporaryDirectory()), spec);
    const second = await buildGadgetImage(new Layout(temporaryDirectory()), swapped);
    expect(second).toEqual(first);
  });

  it('is not built of parts that are too large to be read', async () => {
    const layout = new Layout(temporaryDirectory());
    const built = buildSample(layout, 'a/b:1', { metadata: Buffer.alloc(1024 * 1024 + 1) });
    await expect(built).rejects.toThrow(
      /^the gadget metadata has 1048577 bytes, more than the limit of 1048576$/,
    );
    expect(await layout.list()).toEqual([]);
  });

  it('has another digest when its content differs', async () => {
    const layout = new Layout(temporaryDirectory());
    const first = await buildSample(layout, 'a/b:1');
    const second = await buildSample(layout, 'a/b:1', { metadata: Buffer.from('name: other\n') });
    expect(second.digest).not.toBe(first.digest);
  });

  it('may have metadata alone, or no metadata', async () => {
    const layout = new Layout(temporaryDirectory());
    const bare = await buildSample(layout, 'a/b:1', { platforms: [AMD64] });
    const metadataOnly = await readGadgetImage(layout, bare, AMD64);
    expect(metadataOnly.metadata).toEqual(METADATA);
    expect(metadataOnly.ebpf).toBeUndefined();
    const { metadata: _none, ...spec } = sampleSpec('a/b:2');
    const program = await readGadgetImage(layout, await buildGadgetImage(layout, spec), AMD64);
    expect(program.metadata).toBeUndefined();
    expect(program.ebpf).toEqual(EBPF_AMD64);
  });

  it.each([
    ['no architecture', { platforms: [] }],
    [
      'one architecture twice',
      {
        platforms: [
          { architecture: 'amd64', wasm: WASM },
          { architecture: 'amd64', wasm: WASM },
        ],
      },
    ],
  ])('is refused for %s', async (_what, changes) => {
    await expect(buildSample(new Layout(temporaryDirectory()), 'a/b:1', changes)).rejects.toThrow(
      InvalidImageError,
    );
  });

  it('is refused when there is nothing in it', async () => {
    const { metadata: _none, ...spec } = sampleSpec('a/b:1', { platforms: [AMD64] });
    await expect(buildGadgetImage(new Layout(temporaryDirectory()), spec)).rejects.toThrow(InvalidImageError);
  });
});

suite('reading a gadget image', () => {
  it('for an architecture it lacks names those it has', async () => {
    const layout = new Layout(temporaryDirectory());
    const descriptor = await buildSample(layout, 'a/b:1');
    await expect(readGadgetImage(layout, descriptor, { architecture: 'riscv64' })).rejects.toThrow(
      'is not made for riscv64: its architectures are amd64, arm64',
    );
  });

  it('warns of layers it does not know and keeps the rest', async () => {
    const layout = new Layout(temporaryDirectory());
    const manifest = await pushManifest(layout, MEDIA_TYPE.gadgetConfig, ['text/x-new', MEDIA_TYPE.btfgen]);
    const image = await readGadgetImage(layout, manifest, AMD64);
    expect(image.warnings).toEqual(['a layer of the image has the unknown type text/x-new and is ignored']);
    expect(image.btfgen?.mediaType).toBe(MEDIA_TYPE.btfgen);
    expect(image.manifestDigest).toBe(image.digest);
  });

  it('refuses an ordinary container image', async () => {
    const layout = new Layout(temporaryDirectory());
    const manifest = await pushManifest(layout, 'application/vnd.oci.image.config.v1+json', [
      'application/vnd.oci.image.layer.v1.tar+gzip',
    ]);
    await expect(readGadgetImage(layout, manifest, AMD64)).rejects.toThrow('is not a gadget image');
  });

  it('refuses two programs of one kind', async () => {
    const layout = new Layout(temporaryDirectory());
    const manifest = await pushManifest(layout, MEDIA_TYPE.gadgetConfig, [MEDIA_TYPE.ebpf, MEDIA_TYPE.ebpf]);
    await expect(readGadgetImage(layout, manifest, AMD64)).rejects.toThrow('has more than one eBPF program');
  });

  it.each([
    [MEDIA_TYPE.ebpf, 64],
    [MEDIA_TYPE.wasm, 100],
  ])('refuses %s of more than %i MiB before reading it', async (mediaType, mebibytes) => {
    const layout = new Layout(temporaryDirectory());
    const config = await pushBlob(layout, MEDIA_TYPE.emptyJson, '{}');
    const layer = { ...describe(mediaType, Buffer.from('x')), size: mebibytes * 1024 * 1024 + 1 };
    const manifest = await pushJson(layout, MEDIA_TYPE.manifest, {
      schemaVersion: 2,
      config,
      layers: [layer],
    });
    await expect(readGadgetImage(layout, manifest, AMD64)).rejects.toThrow('more than the limit');
  });
});

it('takes the time of a build from SOURCE_DATE_EPOCH only', () => {
  expect(sourceDate({})).toBeUndefined();
  expect(sourceDate({ SOURCE_DATE_EPOCH: '1700000000' })?.toISOString()).toBe('2023-11-14T22:13:20.000Z');
  expect(() => sourceDate({ SOURCE_DATE_EPOCH: 'now' })).toThrow('not a number of seconds');
});
