import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe as suite, expect, it } from 'vitest';
import { EBPF_AMD64, EBPF_ARM64, buildSample, temporaryDirectory } from '../test/registry/images.js';
import { copyImage } from './copy.js';
import { MEDIA_TYPE, describe } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { DigestMismatchError, NotFoundError } from './errors.js';
import { readGadgetImage } from './gadget-image.js';
import { Layout, blobPath } from './layout.js';
import type { Source } from './target.js';

const REF = 'ghcr.io/a/b:1';
const AMD64 = describe(MEDIA_TYPE.ebpf, EBPF_AMD64);
const ARM64 = describe(MEDIA_TYPE.ebpf, EBPF_ARM64);

async function sampleLayout(): Promise<Layout> {
  const layout = new Layout(temporaryDirectory());
  await buildSample(layout, REF);
  return layout;
}

/** Passes on to `source` and remembers what was fetched. */
function watch(source: Source): Source & { fetched: string[] } {
  const fetched: string[] = [];
  return {
    fetched,
    resolve: (name) => source.resolve(name),
    fetch: (descriptor: Descriptor) => {
      fetched.push(descriptor.digest);
      return source.fetch(descriptor);
    },
    referrers: (subject) => source.referrers(subject),
  };
}

suite('a copy', () => {
  it('is the same image under the same name', async () => {
    const source = await sampleLayout();
    const destination = new Layout(temporaryDirectory());
    const descriptor = await copyImage(source, destination, REF);
    expect((await destination.resolve(REF)).digest).toBe(descriptor.digest);
    for (const architecture of ['amd64', 'arm64']) {
      expect(await readGadgetImage(destination, descriptor, { architecture })).toEqual(
        await readGadgetImage(source, descriptor, { architecture }),
      );
    }
  });

  it('for one architecture takes nothing of the others', async () => {
    const source = await sampleLayout();
    const destination = new Layout(temporaryDirectory());
    await copyImage(source, destination, REF, { platform: { architecture: 'arm64' } });
    expect(await destination.has(ARM64)).toBe(true);
    expect(await destination.has(AMD64)).toBe(false);
  });

  it('does not fetch what is there', async () => {
    const source = watch(await sampleLayout());
    const destination = new Layout(temporaryDirectory());
    await destination.push(AMD64, [EBPF_AMD64]);
    await copyImage(source, destination, REF);
    expect(source.fetched).toContain(ARM64.digest);
    expect(source.fetched).not.toContain(AMD64.digest);
    source.fetched.length = 0;
    await copyImage(source, destination, REF);
    expect(source.fetched).toEqual([]);
  });

  it('completes an image of which a blob is gone', async () => {
    const source = await sampleLayout();
    const destination = new Layout(temporaryDirectory());
    await copyImage(source, destination, REF);
    rmSync(join(destination.root, blobPath(ARM64.digest)));
    await copyImage(source, destination, REF);
    expect(await destination.has(ARM64)).toBe(true);
  });

  it('of a corrupt image leaves neither the blob nor the name', async () => {
    const source = await sampleLayout();
    writeFileSync(join(source.root, blobPath(AMD64.digest)), Buffer.alloc(AMD64.size));
    const destination = new Layout(temporaryDirectory());
    await expect(copyImage(source, destination, REF)).rejects.toThrow(DigestMismatchError);
    expect(await destination.has(AMD64)).toBe(false);
    expect(await destination.list()).toEqual([]);
  });

  it('of an image that is not there says so', async () => {
    const source = await sampleLayout();
    const destination = new Layout(temporaryDirectory());
    await expect(copyImage(source, destination, 'ghcr.io/a/b:2')).rejects.toThrow(NotFoundError);
  });
});
