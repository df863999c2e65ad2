import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe as suite, expect, it, onTestFinished } from 'vitest';
import {
  EBPF_AMD64,
  EBPF_ARM64,
  METADATA,
  WASM,
  buildSample,
  temporaryDirectory,
} from '../test/registry/images.js';
import { copyImage } from './copy.js';
import { MEDIA_TYPE, describe } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { DigestMismatchError, InvalidImageError, NotFoundError, RegistryError } from './errors.js';
import { readGadgetImage } from './gadget-image.js';
import { Layout, blobPath } from './layout.js';
import type { Source, Target } from './target.js';

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

/** `layout` with some of its functions replaced. */
function variant(layout: Layout, changes: Partial<Target>): Target {
  return {
    resolve: (name) => layout.resolve(name),
    fetch: (descriptor) => layout.fetch(descriptor),
    referrers: (subject) => layout.referrers(subject),
    has: (descriptor) => layout.has(descriptor),
    push: (descriptor, content) => layout.push(descriptor, content),
    tag: (descriptor, name) => layout.tag(descriptor, name),
    attach: (subject, manifest, bytes) => layout.attach(subject, manifest, bytes),
    ...changes,
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

  it('tells of each blob once, with all its bytes, and of what was there already', async () => {
    const source = await sampleLayout();
    const destination = new Layout(temporaryDirectory());
    await destination.push(AMD64, [EBPF_AMD64]);
    const doneBytes = new Map<string, number>();
    const lines: string[] = [];
    await copyImage(source, destination, REF, {
      progress: {
        begin: (id, title, totalBytes, done = false) => {
          lines.push(`${title.replace(/ [0-9a-f]{12}$/, '')} ${totalBytes}${done ? ' present' : ''}`);
          doneBytes.set(id, 0);
        },
        advance: (id, bytes) => doneBytes.set(id, (doneBytes.get(id) ?? 0) + bytes),
        end: (id) => lines.push(`end ${doneBytes.get(id)}`),
      },
    });
    expect(lines.toSorted()).toEqual(
      [
        `eBPF amd64 ${AMD64.size} present`,
        `eBPF arm64 ${ARM64.size}`,
        `Wasm ${WASM.length}`,
        `metadata ${METADATA.length}`,
        'end 0',
        ...[ARM64.size, WASM.length, METADATA.length].map((bytes) => `end ${bytes}`),
      ].toSorted(),
    );
  });

  it('names no architecture of what is for several', async () => {
    const source = new Layout(temporaryDirectory());
    const platforms = ['amd64', 'arm64'].map((architecture) => ({ architecture, ebpf: EBPF_AMD64 }));
    await buildSample(source, REF, { platforms });
    const titles: string[] = [];
    const begin = (_id: string, title: string): void => void titles.push(title.replace(/ [0-9a-f]{12}$/, ''));
    const progress = { begin, advance: () => undefined, end: () => undefined };
    await copyImage(source, new Layout(temporaryDirectory()), REF, { progress });
    expect(titles.toSorted()).toEqual(['eBPF', 'metadata']);
  });

  it('stops what else is under way at the first failure, which is the one reported', async () => {
    const layout = await sampleLayout();
    let begun = 0;
    let given = false;
    /** All blobs fail at once but one, which comes byte by byte without end until the copy stops. */
    async function* endless(): AsyncGenerator<Uint8Array> {
      while (!given) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        yield new Uint8Array(1);
      }
    }
    const source: Source = {
      ...watch(layout),
      fetch: (descriptor) => {
        if (descriptor.mediaType === MEDIA_TYPE.index || descriptor.mediaType === MEDIA_TYPE.manifest) {
          return layout.fetch(descriptor);
        }
        if (++begun === 1) return Promise.resolve(endless());
        return Promise.reject(new RegistryError('it broke'));
      },
    };
    const destination = new Layout(temporaryDirectory());
    const pushed: string[] = [];
    const slow = variant(destination, {
      has: () => Promise.resolve(false),
      push: async ({ digest }, content) => {
        for await (const _chunk of content);
        pushed.push(digest);
      },
    });
    onTestFinished(() => void (given = true));
    await expect(copyImage(source, slow, REF)).rejects.toThrow('it broke');
    expect(pushed).toEqual([]);
  });

  it('takes blobs over from where the destination has them', async () => {
    const source = watch(await sampleLayout());
    const destination = new Layout(temporaryDirectory());
    const asked: string[] = [];
    const mounting = variant(destination, {
      mount: async (blob, from) => {
        asked.push(`${blob.digest} ${from}`);
        if (blob.digest !== AMD64.digest || from !== 'c/d') return false;
        await destination.push(AMD64, [EBPF_AMD64]);
        return true;
      },
    });
    await copyImage(source, mounting, REF, { mountFrom: ['a/b', 'c/d'] });
    expect(source.fetched).not.toContain(AMD64.digest);
    expect(source.fetched).toContain(ARM64.digest);
    expect(asked).toContain(`${AMD64.digest} c/d`);
    expect(asked).toContain(`${ARM64.digest} a/b`);
  });
});

suite('an image too large', () => {
  /** A source that has an index of these manifests, and nothing else. */
  function indexOf(manifests: readonly Descriptor[]): { source: Source; fetched: string[] } {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests }));
    const root = describe(MEDIA_TYPE.index, bytes);
    const fetched: string[] = [];
    const source: Source = {
      resolve: () => Promise.resolve(root),
      referrers: () => Promise.resolve([]),
      fetch: ({ digest }) => {
        fetched.push(digest);
        return digest === root.digest
          ? Promise.resolve(Readable.from([bytes]))
          : Promise.reject(new NotFoundError(digest));
      },
    };
    return { source, fetched };
  }

  const manifest = (n: number, size: number): Descriptor => ({
    ...describe(MEDIA_TYPE.manifest, Buffer.from(`${n}`)),
    size,
  });

  it.each([
    ['by the number of its manifests', 300, 100, 'too many manifests'],
    ['by what its manifests have together', 20, 4 * 1024 * 1024, 'whose manifests have more than'],
  ])('%s is refused before they are fetched', async (_what, count, size, why) => {
    const { source, fetched } = indexOf(Array.from({ length: count }, (_, n) => manifest(n, size)));
    const failure = copyImage(source, new Layout(temporaryDirectory()), REF);
    await expect(failure).rejects.toThrow(InvalidImageError);
    await expect(failure).rejects.toThrow(why);
    expect(fetched.length).toBe(1);
  });

  it('by its blobs together is refused before they are fetched', async () => {
    const size = 500 * 1024 * 1024;
    const layers = Array.from({ length: 10 }, (_, n) => ({
      ...describe(MEDIA_TYPE.ebpf, Buffer.from(`${n}`)),
      size,
    }));
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, config: layers[0], layers }));
    const layout = new Layout(temporaryDirectory());
    const root = describe(MEDIA_TYPE.manifest, bytes);
    await layout.push(root, [bytes]);
    await layout.tag(root, REF);
    const source = watch(layout);
    await expect(copyImage(source, new Layout(temporaryDirectory()), REF)).rejects.toThrow(
      'has blobs of more than',
    );
    expect(source.fetched).toEqual([root.digest]);
  });
});
