import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe as suite, expect, it } from 'vitest';
import { buildSample, temporaryDirectory } from '../test/registry/images.js';
import { copyImage } from './copy.js';
import { ANNOTATION, MEDIA_TYPE, describe } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import {
  DigestMismatchError,
  InvalidImageError,
  InvalidReferenceError,
  NotFoundError,
  StoreError,
} from './errors.js';
import { Layout, blobPath, defaultStorePath } from './layout.js';
import { ownedName } from './owner.js';
import { fetchBytes } from './target.js';

const HELLO = Buffer.from('hello');

function helloDescriptor(): Descriptor {
  return describe('text/plain', HELLO);
}

function filesUnder(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
}

suite('a layout', () => {
  it('that does not exist has no images and is not created by reading', async () => {
    const layout = new Layout(join(temporaryDirectory(), 'store'));
    expect(await layout.list()).toEqual([]);
    await expect(layout.resolve('a')).rejects.toThrow(NotFoundError);
    expect(existsSync(layout.root)).toBe(false);
  });

  it('gives back what was pushed', async () => {
    const layout = new Layout(join(temporaryDirectory(), 'deep', 'store'));
    await layout.push(helloDescriptor(), [HELLO]);
    expect(await layout.has(helloDescriptor())).toBe(true);
    expect(await fetchBytes(layout, helloDescriptor(), 5, 'it')).toEqual(HELLO);
    expect(readFileSync(join(layout.root, 'oci-layout'), 'utf8')).toBe('{"imageLayoutVersion":"1.0.0"}');
  });

  it.each([
    ['of the same length', 'hellO'],
    ['shorter', 'hell'],
    ['longer', 'hello!'],
  ])('shows nothing of pushed content that is wrong, %s', async (_how, content) => {
    const layout = new Layout(temporaryDirectory());
    await expect(layout.push(helloDescriptor(), [Buffer.from(content)])).rejects.toThrow(DigestMismatchError);
    expect(await layout.has(helloDescriptor())).toBe(false);
    expect(filesUnder(layout.root)).toEqual(['oci-layout']);
  });

  it('leaves nothing behind when the content breaks off', async () => {
    const layout = new Layout(temporaryDirectory());
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield HELLO.subarray(0, 2);
      await Promise.reject(new Error('broken off'));
    };
    await expect(layout.push(helloDescriptor(), broken())).rejects.toThrow('broken off');
    expect(filesUnder(layout.root)).toEqual(['oci-layout']);
  });

  it('names digest and path of a missing blob', async () => {
    const layout = new Layout(temporaryDirectory());
    const descriptor = helloDescriptor();
    const failure = layout.fetch(descriptor);
    await expect(failure).rejects.toThrow(NotFoundError);
    await expect(failure).rejects.toThrow(descriptor.digest);
    await expect(failure).rejects.toThrow(join(layout.root, blobPath(descriptor.digest)));
  });

  it('notices a corrupt blob when it is read, and names it', async () => {
    const layout = new Layout(temporaryDirectory());
    const descriptor = helloDescriptor();
    await layout.push(descriptor, [HELLO]);
    const path = join(layout.root, blobPath(descriptor.digest));
    writeFileSync(path, 'hellO');
    const failure = fetchBytes(layout, descriptor, 5, 'it');
    await expect(failure).rejects.toThrow(DigestMismatchError);
    await expect(failure).rejects.toThrow(`${path} is corrupt`);
    await expect(failure).rejects.toThrow(descriptor.digest);
  });

  it('does not count a truncated blob as present', async () => {
    const layout = new Layout(temporaryDirectory());
    await layout.push(helloDescriptor(), [HELLO]);
    writeFileSync(join(layout.root, blobPath(helloDescriptor().digest)), 'hell');
    expect(await layout.has(helloDescriptor())).toBe(false);
  });

  it('may be an empty directory at first', async () => {
    const layout = new Layout(temporaryDirectory());
    expect(await layout.list()).toEqual([]);
    await layout.push(helloDescriptor(), [HELLO]);
    expect(await layout.has(helloDescriptor())).toBe(true);
  });

  it('refuses a directory that is something else', async () => {
    const layout = new Layout(temporaryDirectory());
    writeFileSync(join(layout.root, 'notes.txt'), '');
    const failure = layout.list();
    await expect(failure).rejects.toThrow(InvalidImageError);
    await expect(failure).rejects.not.toThrow('remove');
  });

  it('refuses a layout of another version', async () => {
    const layout = new Layout(temporaryDirectory());
    writeFileSync(join(layout.root, 'oci-layout'), '{"imageLayoutVersion":"2.0.0"}');
    await expect(layout.list()).rejects.toThrow('does not have imageLayoutVersion 1.0.0');
  });

  it('says so when it cannot be written', async () => {
    const file = join(temporaryDirectory(), 'file');
    writeFileSync(file, '');
    await expect(new Layout(join(file, 'store')).push(helloDescriptor(), [HELLO])).rejects.toThrow(
      StoreError,
    );
  });
});

suite('names in a layout', () => {
  it('move to the image that got them last', async () => {
    const layout = new Layout(temporaryDirectory());
    const first = await buildSample(layout, 'a/b:1');
    const second = await buildSample(layout, 'a/b:1', { metadata: Buffer.from('name: other\n') });
    expect(second.digest).not.toBe(first.digest);
    expect((await layout.resolve('ghcr.io/a/b:1')).digest).toBe(second.digest);
    expect((await layout.list()).map(({ reference }) => reference)).toEqual(['ghcr.io/a/b:1']);
  });

  it('include the digest, whatever name the image has', async () => {
    const layout = new Layout(temporaryDirectory());
    const { digest } = await buildSample(layout, 'a/b:1');
    expect((await layout.resolve(`ghcr.io/other/name@${digest}`)).digest).toBe(digest);
  });

  it('that hold a digest are only ever that image’s, whatever another program wrote', async () => {
    const layout = new Layout(temporaryDirectory());
    const image = await buildSample(layout, 'a/b:1');
    const other = await buildSample(layout, 'a/c:1', { metadata: Buffer.from('name: other\n') });
    const name = `ghcr.io/a/b@${image.digest}`;
    await expect(layout.tag(other, name)).rejects.toThrow(InvalidReferenceError);
    const forged = { ...other, annotations: { [ANNOTATION.refName]: name } };
    writeFileSync(join(layout.root, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [forged] }));
    await expect(layout.resolve(name)).rejects.toThrow(NotFoundError);
    expect((await layout.list())[0]?.reference).toBeUndefined();
  });

  it('all survive when many are given at once', async () => {
    const root = temporaryDirectory();
    await buildSample(new Layout(root), 'a/b:0');
    const descriptor = await new Layout(root).resolve('ghcr.io/a/b:0');
    const names = Array.from({ length: 20 }, (_unused, number) => `ghcr.io/a/b:${number}`);
    await Promise.all(names.map((name) => new Layout(root).tag(descriptor, name)));
    const found = (await new Layout(root).list()).map(({ reference }) => reference);
    expect(found.sort()).toEqual([...names].sort());
    expect(readdirSync(root).sort()).toEqual(['blobs', 'index.json', 'ingest', 'oci-layout']);
  });

  it('can be given at once although a process died holding the lock', async () => {
    const layout = new Layout(temporaryDirectory());
    const descriptor = await buildSample(layout, 'a/b:1');
    const { pid } = spawnSync('true');
    const lock = ownedName('lock').replace(`-${process.pid}-`, `-${pid}-`);
    writeFileSync(join(layout.ingestPath, lock), '');
    await layout.tag(descriptor, 'ghcr.io/a/b:2');
    expect((await layout.list()).length).toBe(2);
    expect(readdirSync(layout.ingestPath)).toEqual([]);
  });

  it('wait for another process that holds the lock', async () => {
    const layout = new Layout(temporaryDirectory());
    const descriptor = await buildSample(layout, 'a/b:1');
    const lock = join(layout.ingestPath, ownedName('lock'));
    writeFileSync(lock, '');
    let done = false;
    const tagged = layout.tag(descriptor, 'ghcr.io/a/b:2').then(() => (done = true));
    await sleep(100);
    expect(done).toBe(false);
    rmSync(lock);
    await tagged;
    expect((await layout.list()).length).toBe(2);
  });

  it('tell what was built here, which no other layout can claim', async () => {
    const layout = new Layout(temporaryDirectory());
    const descriptor = await buildSample(layout, 'a/b:1');
    await layout.tag(descriptor, 'ghcr.io/a/b:2', { origin: 'built' });
    expect((await layout.list()).map(({ origin }) => origin)).toEqual([undefined, 'built']);
    const claimed = await layout.resolve('ghcr.io/a/b:2');
    expect(claimed.annotations).toHaveProperty([ANNOTATION.origin], 'built');
    const other = new Layout(temporaryDirectory());
    await copyImage(layout, other, 'ghcr.io/a/b:2');
    expect((await other.list()).map(({ origin }) => origin)).toEqual([undefined]);
  });

  it('keep what was built here as such under every name', async () => {
    const layout = new Layout(temporaryDirectory());
    const descriptor = await buildSample(layout, 'a/b:1');
    await layout.tag(descriptor, 'ghcr.io/a/b:1', { origin: 'built' });
    await layout.tag(descriptor, 'ghcr.io/a/b:2');
    await layout.tag(descriptor, 'ghcr.io/a/b:1');
    expect((await layout.list()).map(({ origin }) => origin)).toEqual(['built', 'built']);
  });

  it('are refused when index.json would become too large to be read', async () => {
    const layout = new Layout(temporaryDirectory());
    const descriptor = await buildSample(layout, 'a/b:1');
    const entry = (number: number): Descriptor => ({
      ...descriptor,
      annotations: { [ANNOTATION.refName]: `ghcr.io/a/b:${number}` },
    });
    const manifests = Array.from({ length: 10_000 }, (_unused, number) => entry(number));
    writeFileSync(join(layout.root, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
    await expect(layout.tag(descriptor, 'ghcr.io/a/c:1')).rejects.toThrow(
      'is full (there are more than 10000',
    );
    expect((await layout.list()).length).toBe(10_000);
  });

  it('do not disturb what other programs keep in index.json', async () => {
    const layout = new Layout(temporaryDirectory());
    await layout.push(helloDescriptor(), [HELLO]);
    const foreign = { ...helloDescriptor(), urls: ['https://example.com'] };
    writeFileSync(
      join(layout.root, 'index.json'),
      JSON.stringify({ schemaVersion: 2, manifests: [foreign], note: 'kept' }),
    );
    await layout.tag(helloDescriptor(), 'ghcr.io/a/b:1');
    expect(JSON.parse(readFileSync(join(layout.root, 'index.json'), 'utf8'))).toEqual({
      schemaVersion: 2,
      note: 'kept',
      manifests: [foreign, { ...helloDescriptor(), annotations: { [ANNOTATION.refName]: 'ghcr.io/a/b:1' } }],
    });
  });
});

suite('what a layout holds about an image', () => {
  const about = (subject: Descriptor, artifactType: string): Uint8Array =>
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPE.manifest,
        artifactType,
        config: describe(MEDIA_TYPE.emptyJson, Buffer.from('{}')),
        layers: [],
        subject,
        annotations: { note: 'kept' },
      }),
    );
  const attach = async (layout: Layout, subject: Descriptor, type: string): Promise<Descriptor> => {
    const bytes = about(subject, type);
    const manifest = describe(MEDIA_TYPE.manifest, bytes);
    await layout.attach(subject, manifest, bytes);
    return { ...manifest, artifactType: type, annotations: { note: 'kept' } };
  };

  it('is listed, by type if asked, and once however often it was attached', async () => {
    const layout = new Layout(temporaryDirectory());
    const image = await buildSample(layout, 'a/b:1');
    const other = await buildSample(layout, 'a/b:2', { metadata: Buffer.from('name: other\n') });
    const signature = await attach(layout, image, 'x/signature');
    const list = await attach(layout, image, 'x/parts');
    await attach(layout, image, 'x/signature');
    expect(await layout.referrers(image)).toEqual(expect.arrayContaining([signature, list]));
    expect((await layout.referrers(image)).length).toBe(2);
    expect(await layout.referrers(image, 'x/signature')).toEqual([signature]);
    expect(await layout.referrers(other)).toEqual([]);
  });

  it('must be about it', async () => {
    const layout = new Layout(temporaryDirectory());
    const image = await buildSample(layout, 'a/b:1');
    const bytes = about(helloDescriptor(), 'x/signature');
    const attached = layout.attach(image, describe(MEDIA_TYPE.manifest, bytes), bytes);
    await expect(attached).rejects.toThrow(`is not about ${image.digest}`);
    expect((await layout.list()).length).toBe(1);
  });

  it('does not include what cannot be read', async () => {
    const layout = new Layout(temporaryDirectory());
    const image = await buildSample(layout, 'a/b:1');
    const { digest } = await attach(layout, image, 'x/signature');
    const signature = await attach(layout, image, 'x/other');
    writeFileSync(join(layout.root, blobPath(digest)), 'broken');
    expect(await layout.referrers(image)).toEqual([signature]);
  });
});

it('refuses an index.json that is too large', async () => {
  const layout = new Layout(temporaryDirectory());
  writeFileSync(join(layout.root, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  mkdirSync(join(layout.root, 'blobs'));
  writeFileSync(join(layout.root, 'index.json'), Buffer.alloc(4 * 1024 * 1024 + 1, ' '));
  await expect(layout.list()).rejects.toThrow(InvalidImageError);
});

it.each(['oci-layout', 'index.json'])('reads no %s that is not a file, nor waits for it', async (name) => {
  const layout = new Layout(temporaryDirectory());
  writeFileSync(join(layout.root, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  rmSync(join(layout.root, name), { force: true });
  spawnSync('mkfifo', [join(layout.root, name)]);
  await expect(layout.list()).rejects.toThrow('is not a file');
  rmSync(join(layout.root, name));
  symlinkSync('/dev/zero', join(layout.root, name));
  await expect(layout.list()).rejects.toThrow('is not a file');
});

it('keeps the store where the peer does', () => {
  expect(defaultStorePath(0, '/root')).toBe('/var/lib/ig/oci-store');
  expect(defaultStorePath(1000, '/home/a')).toBe('/home/a/.ig/oci-store');
});
