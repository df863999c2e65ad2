import { existsSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe as suite, expect, it } from 'vitest';
import { EBPF_AMD64, buildSample, temporaryDirectory } from '../test/registry/images.js';
import { MEDIA_TYPE, describe } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { NotFoundError } from './errors.js';
import { readGadgetImage } from './gadget-image.js';
import { Layout } from './layout.js';
import { ownedName } from './owner.js';
import { prune, removeImages } from './prune.js';
import type { Removed } from './prune.js';

const A = 'ghcr.io/a/b:1';
const B = 'ghcr.io/a/b:2';
const OTHER = { metadata: Buffer.from('name: other\n') };

function blobs(layout: Layout): string[] {
  return readdirSync(layout.blobsPath).sort();
}

function blobBytes(layout: Layout): number {
  return blobs(layout).reduce((sum, name) => sum + statSync(join(layout.blobsPath, name)).size, 0);
}

/** As if everything there had been written an hour ago. */
function age(layout: Layout): void {
  for (const name of blobs(layout)) utimesSync(join(layout.blobsPath, name), 1, 1);
}

function remove(layout: Layout, name: string): Promise<Removed> {
  return removeImages(layout, (candidate) => candidate === name, name);
}

/** A signature of the kind that has a `subject`. */
async function attach(layout: Layout, subject: Descriptor, type = 'x/signature'): Promise<Descriptor> {
  const empty = Buffer.from('{}');
  const config = describe(MEDIA_TYPE.emptyJson, empty);
  const layer = Buffer.from(`about ${subject.digest}`);
  const layers = [describe('x/layer', layer)];
  await layout.push(config, [empty]);
  await layout.push(layers[0]!, [layer]);
  const document = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    artifactType: type,
    config,
    layers,
    subject,
  };
  const bytes = Buffer.from(JSON.stringify(document));
  const manifest = describe(MEDIA_TYPE.manifest, bytes);
  await layout.attach(subject, manifest, bytes);
  return manifest;
}

async function expectWhole(layout: Layout, name: string): Promise<void> {
  const descriptor = await layout.resolve(name);
  expect((await readGadgetImage(layout, descriptor, { architecture: 'amd64' })).ebpf).toEqual(EBPF_AMD64);
}

suite('removing an image', () => {
  it('frees all of it', async () => {
    const layout = new Layout(temporaryDirectory());
    await buildSample(layout, A);
    const [count, sizeBytes] = [blobs(layout).length, blobBytes(layout)];
    expect(await remove(layout, A)).toEqual({ count, sizeBytes, busy: [], names: [A] });
    expect(blobs(layout)).toEqual([]);
    expect(await layout.list()).toEqual([]);
  });

  it('keeps what another image shares with it', async () => {
    const layout = new Layout(temporaryDirectory());
    await buildSample(layout, A);
    const before = blobs(layout);
    await buildSample(layout, B, OTHER);
    await remove(layout, B);
    expect(blobs(layout)).toEqual(before);
    await expectWhole(layout, A);
  });

  it('keeps all of it while it has another name', async () => {
    const layout = new Layout(temporaryDirectory());
    await layout.tag(await buildSample(layout, A), B);
    expect((await remove(layout, A)).count).toBe(0);
    await expectWhole(layout, B);
  });

  it('takes its signatures out, of both forms, and those of its parts and of signatures', async () => {
    const layout = new Layout(temporaryDirectory());
    const image = await buildSample(layout, A);
    const legacy = `ghcr.io/a/b:${image.digest.replace(':', '-')}.sig`;
    await layout.tag(await attach(layout, image), legacy);
    const signature = await attach(layout, image, 'x/bundle');
    await attach(layout, signature);
    expect((await layout.list()).length).toBe(5);
    expect((await remove(layout, A)).names).toEqual([A, legacy]);
    expect(await layout.list()).toEqual([]);
    expect(blobs(layout)).toEqual([]);
  });

  it('keeps the signatures of what else is there', async () => {
    const layout = new Layout(temporaryDirectory());
    const image = await buildSample(layout, A);
    await attach(layout, image);
    await buildSample(layout, B, OTHER);
    await remove(layout, B);
    expect((await layout.referrers(image)).length).toBe(1);
  });

  it('frees nothing while another process writes images, which may rely on it', async () => {
    const layout = new Layout(temporaryDirectory());
    await buildSample(layout, A);
    const before = blobs(layout);
    await layout.withLease(async () => {
      expect(await remove(layout, A)).toEqual({ count: 0, sizeBytes: 0, busy: [process.pid], names: [A] });
      // What is there is found there, and not written again.
      await buildSample(layout, B);
    });
    expect(blobs(layout)).toEqual(before);
    await expectWhole(layout, B);
  });

  it('says so when there is none', async () => {
    const layout = new Layout(temporaryDirectory());
    await buildSample(layout, A);
    await expect(remove(layout, B)).rejects.toThrow(NotFoundError);
    expect((await layout.list()).length).toBe(1);
  });

  it('does not read as a gadget what another program stored', async () => {
    const layout = new Layout(temporaryDirectory());
    const layers = Array.from({ length: 200 }, (_unused, i) => describe('x/layer', Buffer.from(String(i))));
    for (const [i, layer] of layers.entries()) await layout.push(layer, [Buffer.from(String(i))]);
    const config = describe('x/config', Buffer.from('c'));
    const manifest = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.manifest, config, layers }),
    );
    const descriptor = describe(MEDIA_TYPE.manifest, manifest);
    await layout.push(descriptor, [manifest]);
    await layout.tag(descriptor, 'latest');
    await buildSample(layout, A);
    await remove(layout, A);
    expect(blobs(layout).length).toBe(201);
  });
});

suite('pruning', () => {
  it('frees what no image refers to, and nothing else', async () => {
    const layout = new Layout(temporaryDirectory());
    await attach(layout, await buildSample(layout, A));
    const before = blobs(layout);
    const sizeBefore = blobBytes(layout);
    await buildSample(layout, B, OTHER);
    await buildSample(layout, B);
    age(layout);
    const garbage = {
      count: blobs(layout).length - before.length,
      sizeBytes: blobBytes(layout) - sizeBefore,
    };
    expect(garbage.count).toBeGreaterThan(0);
    const all = blobs(layout);
    expect(await prune(layout, { dryRun: true })).toMatchObject(garbage);
    expect(blobs(layout)).toEqual(all);
    expect(await prune(layout, { dryRun: false })).toEqual({ ...garbage, busy: [], orphans: 0, spared: 0 });
    expect(blobs(layout)).toEqual(before);
    await expectWhole(layout, A);
  });

  it('spares what was written lately, as another program may be about to name it', async () => {
    const layout = new Layout(temporaryDirectory());
    await layout.push(describe('text/plain', Buffer.from('x')), [Buffer.from('x')]);
    expect(await prune(layout, { dryRun: false })).toMatchObject({ count: 0, spared: 1 });
    expect(blobs(layout).length).toBe(1);
  });

  it('takes signatures out whose image was replaced under its name', async () => {
    const layout = new Layout(temporaryDirectory());
    await attach(layout, await buildSample(layout, A));
    await buildSample(layout, A, OTHER);
    age(layout);
    expect(await prune(layout, { dryRun: true })).toMatchObject({ orphans: 1 });
    expect((await layout.list()).length).toBe(2);
    expect(await prune(layout, { dryRun: false })).toMatchObject({ orphans: 1 });
    expect((await layout.list()).map(({ reference }) => reference)).toEqual([A]);
    expect(await prune(layout, { dryRun: false })).toMatchObject({ count: 0, orphans: 0 });
  });

  it('removes what dead processes left, and nothing of the living', async () => {
    const layout = new Layout(temporaryDirectory());
    await buildSample(layout, A);
    const { pid } = spawnSync('true');
    const dead = ['tmp', 'lock', 'lease'].map((kind) =>
      ownedName(kind).replace(`-${process.pid}-`, `-${pid}-`),
    );
    const living = ownedName('tmp');
    for (const name of [...dead, living]) writeFileSync(join(layout.ingestPath, name), 'left');
    await prune(layout, { dryRun: false });
    expect(readdirSync(layout.ingestPath)).toEqual([living]);
  });

  it('removes files of other programs in ingest only when they are old', async () => {
    const layout = new Layout(temporaryDirectory());
    await buildSample(layout, A);
    for (const name of ['old', 'new']) writeFileSync(join(layout.ingestPath, name), 'left');
    utimesSync(join(layout.ingestPath, 'old'), 1, 1);
    expect(await prune(layout, { dryRun: false })).toMatchObject({ count: 1, sizeBytes: 4 });
    expect(readdirSync(layout.ingestPath)).toEqual(['new']);
  });

  it('creates no store', async () => {
    const layout = new Layout(join(temporaryDirectory(), 'store'));
    expect(await prune(layout, { dryRun: false })).toMatchObject({ count: 0 });
    expect(existsSync(layout.root)).toBe(false);
  });
});
