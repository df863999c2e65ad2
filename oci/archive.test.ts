import { execFileSync } from 'node:child_process';
import { createWriteStream, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import type { Header } from 'tar-stream';
import { describe as suite, expect, it } from 'vitest';
import { EBPF_AMD64, METADATA, buildSample, temporaryDirectory } from '../test/registry/images.js';
import { Archive } from './archive.js';
import { describe } from './descriptor.js';
import { DigestMismatchError, InvalidImageError, NotFoundError } from './errors.js';
import { readGadgetImage } from './gadget-image.js';
import { Layout, blobPath } from './layout.js';
import { fetchBytes } from './target.js';

type Entry = Partial<Header> & { name: string; content?: string | Buffer };

const MARKER: Entry = { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' };
const LETTER = describe('text/plain', Buffer.from('x'));
const EMPTY_INDEX: Entry = { name: 'index.json', content: '{"schemaVersion":2,"manifests":[]}' };

async function writeTar(entries: Entry[]): Promise<string> {
  const path = join(temporaryDirectory(), 'image.tar');
  const tar = pack();
  for (const { content, ...header } of entries) tar.entry(header, content ?? '');
  tar.finalize();
  await pipeline(tar as unknown as NodeJS.ReadableStream, createWriteStream(path));
  return path;
}

/** Every file of a layout as GNU tar writes it (`./index.json`, directories between). */
async function tarOfSample(): Promise<string> {
  const layout = new Layout(temporaryDirectory());
  await buildSample(layout, 'a/b:1');
  const path = join(temporaryDirectory(), 'image.tar');
  execFileSync('tar', ['-C', layout.root, '-cf', path, '.']);
  return path;
}

suite('an archive', () => {
  it('is read as the layout it holds', async () => {
    const archive = await Archive.open(await tarOfSample());
    expect((await archive.list()).map(({ reference }) => reference)).toEqual(['ghcr.io/a/b:1']);
    const image = await readGadgetImage(archive, await archive.resolve('ghcr.io/a/b:1'), {
      architecture: 'amd64',
    });
    expect(image.ebpf).toEqual(EBPF_AMD64);
    expect(image.metadata).toEqual(METADATA);
  });

  it('may use long names and extended headers', async () => {
    const long = { name: 'x'.repeat(300), content: 'y', pax: { comment: 'z' } };
    const blob = { name: `./${blobPath(LETTER.digest)}`, content: 'x', pax: { comment: 'z' } };
    const archive = await Archive.open(await writeTar([long, MARKER, EMPTY_INDEX, blob]));
    expect(await archive.list()).toEqual([]);
    expect(String(await fetchBytes(archive, LETTER, 1, 'it'))).toBe('x');
  });

  it.each(['../evil', '../../etc/passwd', '/etc/passwd', 'blobs/../../evil', './../evil'])(
    'with the path %s is refused',
    async (name) => {
      const path = await writeTar([MARKER, EMPTY_INDEX, { name, content: 'x' }]);
      await expect(Archive.open(path)).rejects.toThrow(InvalidImageError);
      await expect(Archive.open(path)).rejects.toThrow('leads outside');
    },
  );

  it.each(['link', 'symlink', 'character-device', 'block-device', 'fifo'] as const)(
    'with a %s is refused',
    async (type) => {
      const path = await writeTar([MARKER, EMPTY_INDEX, { name: 'x', type, linkname: '/etc/hostname' }]);
      await expect(Archive.open(path)).rejects.toThrow(
        `${path} is not a sound archive: "x" in it is a ${type}`,
      );
    },
  );

  it('with a path that is in it twice is refused, however it is written', async () => {
    const path = await writeTar([MARKER, EMPTY_INDEX, { ...EMPTY_INDEX, name: './/index.json' }]);
    await expect(Archive.open(path)).rejects.toThrow('the path "index.json" is in it twice');
  });

  it('with too many entries is refused', async () => {
    const directories = Array.from({ length: 10_001 }, (): Entry => ({ name: 'd/', type: 'directory' }));
    await expect(Archive.open(await writeTar(directories))).rejects.toThrow('holds more than 10000 files');
  });

  it('says which blob is missing', async () => {
    const archive = await Archive.open(await writeTar([MARKER, EMPTY_INDEX]));
    await expect(archive.fetch(LETTER)).rejects.toThrow(NotFoundError);
    await expect(archive.fetch(LETTER)).rejects.toThrow(`it has no file ${blobPath(LETTER.digest)}`);
  });

  it('notices a corrupt blob', async () => {
    const descriptor = describe('text/plain', Buffer.from('right'));
    const path = await writeTar([
      MARKER,
      EMPTY_INDEX,
      { name: blobPath(descriptor.digest), content: 'wrong' },
    ]);
    const archive = await Archive.open(path);
    await expect(fetchBytes(archive, descriptor, 5, 'it')).rejects.toThrow(DigestMismatchError);
  });

  it('that breaks off is refused', async () => {
    const path = await tarOfSample();
    writeFileSync(path, readFileSync(path).subarray(0, 3000));
    await expect(Archive.open(path)).rejects.toThrow(`${path} is not a complete tar file`);
  });

  it('that is compressed is refused with advice', async () => {
    const path = await tarOfSample();
    execFileSync('gzip', ['-n', path]);
    expect(readdirSync(join(path, '..'))).toEqual(['image.tar.gz']);
    await expect(Archive.open(`${path}.gz`)).rejects.toThrow('is compressed; unpack it first');
  });

  it.each([
    ['garbage', Buffer.alloc(4096, 'x')],
    ['nothing', Buffer.alloc(0)],
  ])('of %s is refused', async (_what, content) => {
    const path = join(temporaryDirectory(), 'image.tar');
    writeFileSync(path, content);
    await expect(Archive.open(path)).rejects.toThrow(InvalidImageError);
  });

  it('that does not exist is said to be missing', async () => {
    await expect(Archive.open('/nonexistent/image.tar')).rejects.toThrow(NotFoundError);
  });
});
