import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe as suite, expect, it } from 'vitest';
import { EBPF_AMD64, buildSample, temporaryDirectory } from '../test/registry/images.js';
import { exportBytes, exportToFile } from './archive-writer.js';
import { Archive } from './archive.js';
import { ANNOTATION, MEDIA_TYPE, describe, parseIndex } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { DigestMismatchError, InvalidImageError } from './errors.js';
import { readGadgetImage } from './gadget-image.js';
import { importImages } from './import.js';
import type { Imported } from './import.js';
import { Layout, blobPath } from './layout.js';

const A = 'ghcr.io/a/b:1';
const B = 'ghcr.io/a/b:2';

function emptyLayout(): Layout {
  return new Layout(temporaryDirectory());
}

async function push(layout: Layout, mediaType: string, text: string): Promise<Descriptor> {
  const bytes = Buffer.from(text);
  await layout.push(describe(mediaType, bytes), [bytes]);
  return describe(mediaType, bytes);
}

/** A manifest that is about `subject` by its `subject` member. */
async function attach(layout: Layout, subject: Descriptor): Promise<Descriptor> {
  const config = await push(layout, MEDIA_TYPE.emptyJson, '{}');
  const layers = [await push(layout, 'x/layer', `about ${subject.digest}`)];
  const document = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    artifactType: 'x/y',
    config,
    layers,
    subject,
  };
  const bytes = Buffer.from(JSON.stringify(document));
  await layout.attach(subject, describe(MEDIA_TYPE.manifest, bytes), bytes);
  return describe(MEDIA_TYPE.manifest, bytes);
}

function exported(layout: Layout, ...names: string[]): Promise<string> {
  const path = join(temporaryDirectory(), 'images.tar');
  return exportToFile(layout, names, path).then(() => path);
}

/** Everything of a layout, and perhaps another index.json, as tar writes it. */
function tarOf(layout: Layout, manifests?: readonly unknown[]): string {
  const index = join(layout.root, 'index.json');
  if (manifests !== undefined) writeFileSync(index, JSON.stringify({ schemaVersion: 2, manifests }));
  const path = join(temporaryDirectory(), 'images.tar');
  execFileSync('tar', ['-C', layout.root, '-cf', path, '.']);
  return path;
}

async function importInto(layout: Layout, path: string): Promise<Imported[]> {
  return importImages(await Archive.open(path), layout);
}

suite('an export', () => {
  it('holds the images asked for and nothing of others, the same whatever else is there and when it is made', async () => {
    const [one, two] = [emptyLayout(), emptyLayout()];
    await buildSample(one, A);
    await buildSample(two, B, { metadata: Buffer.from('name: other\n') });
    await buildSample(two, A);
    const [first, second] = [await exported(one, A), await exported(two, A, A)];
    expect(readFileSync(second).equals(readFileSync(first))).toBe(true);
    const listing = execFileSync('tar', ['--numeric-owner', '--utc', '-tvf', first], { encoding: 'utf8' });
    const lines = listing.trimEnd().split('\n');
    for (const line of lines) expect(line).toMatch(/^-rw-r--r-- 0\/0 +\d+ 1970-01-01 00:00 \S+$/);
    const names = lines.map((line) => line.split(' ').at(-1));
    expect(names).toEqual([...names].sort());
    expect(names.filter((name) => name?.startsWith('blobs/')).length).toBe(readdirSync(one.blobsPath).length);
  });

  it('is the same bytes as a stream', async () => {
    const layout = emptyLayout();
    await buildSample(layout, A);
    const chunks: Uint8Array[] = [];
    for await (const chunk of exportBytes(layout, [A])) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(readFileSync(await exported(layout, A)))).toBe(true);
  });

  it('takes signatures of both forms along, and an import brings them in', async () => {
    const layout = emptyLayout();
    const image = await buildSample(layout, A);
    const other = await buildSample(layout, B, { metadata: Buffer.from('name: other\n') });
    const legacy = `ghcr.io/a/b:${image.digest.replace(':', '-')}.sig`;
    await buildSample(layout, legacy, { metadata: Buffer.from('name: signature\n') });
    const signature = await attach(layout, image);
    const countersignature = await attach(layout, signature);
    await attach(layout, other);
    const destination = emptyLayout();
    const imported = await importInto(destination, await exported(layout, A));
    expect(imported).toEqual([{ reference: A, digest: image.digest }]);
    expect((await destination.list()).map(({ reference }) => reference).sort()).toEqual([
      A,
      legacy,
      undefined,
      undefined,
    ]);
    expect(await destination.referrers(image)).toEqual(await layout.referrers(image));
    expect((await destination.referrers(signature)).map(({ digest }) => digest)).toEqual([
      countersignature.digest,
    ]);
    expect(await destination.referrers(other)).toEqual([]);
  });

  it('may lack an architecture that was never fetched, but no part of one that was', async () => {
    const layout = emptyLayout();
    const image = await buildSample(layout, A);
    const { manifests } = parseIndex(readFileSync(join(layout.root, blobPath(image.digest))), 'it');
    const [amd64, arm64] = manifests.map(({ digest }) => join(layout.root, blobPath(digest)));
    rmSync(arm64!);
    const destination = emptyLayout();
    await importInto(destination, await exported(layout, A));
    const gadget = await readGadgetImage(destination, image, { architecture: 'amd64' });
    expect(gadget.ebpf).toEqual(EBPF_AMD64);
    const { config } = JSON.parse(readFileSync(amd64!, 'utf8')) as { config: Descriptor };
    rmSync(join(layout.root, blobPath(config.digest)));
    await expect(exported(layout, A)).rejects.toThrow(`${config.digest} is missing from ${layout.root}`);
  });

  it('that fails leaves the file that was there', async () => {
    const layout = emptyLayout();
    const image = await buildSample(layout, A);
    const path = await exported(layout, A);
    const before = readFileSync(path);
    writeFileSync(join(layout.root, blobPath(image.digest)), Buffer.alloc(image.size));
    await expect(exportToFile(layout, [A], path)).rejects.toThrow(DigestMismatchError);
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(join(path, '..'))).toEqual(['images.tar']);
  });
});

suite('an import', () => {
  it('takes the full name where docker and containerd put it', async () => {
    const layout = emptyLayout();
    const image = await buildSample(layout, A);
    const annotations = { 'io.containerd.image.name': 'docker.io/me/x:v1', [ANNOTATION.refName]: 'v1' };
    const imported = await importInto(emptyLayout(), tarOf(layout, [{ ...image, annotations }]));
    expect(imported).toEqual([{ reference: 'docker.io/me/x:v1', digest: image.digest }]);
  });

  it('takes many names of one image at once', async () => {
    const layout = emptyLayout();
    const image = await buildSample(layout, A);
    const entries = Array.from({ length: 5000 }, (_unused, number) => ({
      ...image,
      annotations: { [ANNOTATION.refName]: `ghcr.io/a/b:${number}` },
    }));
    const destination = emptyLayout();
    expect((await importInto(destination, tarOf(layout, entries))).length).toBe(5000);
    expect((await destination.list()).length).toBe(5000);
  });

  it.each([
    ['no name', undefined, 'there is no named image in'],
    ['a name that is none', 'UPPER/ CASE', 'has the name "UPPER/ CASE", which is none for an image'],
    ['a path for a name', '../../etc/passwd', 'has the name "../../etc/passwd"'],
    ['the digest of another in its name', `a/b@sha256:${'a'.repeat(64)}`, 'but is the image sha256:'],
  ])('of an image with %s is refused, and nothing is stored', async (_what, name, message) => {
    const layout = emptyLayout();
    const image = await buildSample(layout, A);
    const annotations = name === undefined ? {} : { [ANNOTATION.refName]: name };
    const destination = emptyLayout();
    const failure = importInto(destination, tarOf(layout, [{ ...image, annotations }]));
    await expect(failure).rejects.toThrow(InvalidImageError);
    await expect(failure).rejects.toThrow(message);
    expect(await destination.list()).toEqual([]);
    const stored = readdirSync(destination.root, { recursive: true, encoding: 'utf8' });
    expect(stored.filter((name) => /[0-9a-f]{64}$/.test(name))).toEqual([]);
  });

  it('of a corrupt image names nothing', async () => {
    const layout = emptyLayout();
    await buildSample(layout, A);
    const ebpf = describe(MEDIA_TYPE.ebpf, EBPF_AMD64);
    writeFileSync(join(layout.root, blobPath(ebpf.digest)), Buffer.alloc(ebpf.size));
    const destination = emptyLayout();
    await expect(importInto(destination, tarOf(layout))).rejects.toThrow(DigestMismatchError);
    expect(await destination.list()).toEqual([]);
    expect(await destination.has(ebpf)).toBe(false);
  });

  it('of ten thousand entries for one large manifest reads it only once', async () => {
    const layout = emptyLayout();
    await buildSample(layout, A);
    const big = await push(layout, MEDIA_TYPE.manifest, JSON.stringify({ filler: 'x'.repeat(3_000_000) }));
    const manifests = [
      ...(await layout.list()).map(({ descriptor }) => descriptor),
      ...Array.from({ length: 9_000 }, () => big),
    ];
    const destination = emptyLayout();
    expect((await importInto(destination, tarOf(layout, manifests))).length).toBe(1);
    expect((await destination.list()).length).toBe(1);
  });
});
