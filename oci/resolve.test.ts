import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe as suite, expect, it, onTestFinished, vi } from 'vitest';
import { EBPF_AMD64, buildSample, temporaryDirectory } from '../test/registry/images.js';
import { MEDIA_TYPE, describe } from './descriptor.js';
import {
  InvalidImageError,
  InvalidReferenceError,
  NotAllowedError,
  NotFoundError,
  UnreachableError,
  UntrustedImageError,
} from './errors.js';
import { readGadgetImage } from './gadget-image.js';
import { Layout, blobPath } from './layout.js';
import { resolveImage } from './resolve.js';
import type { ResolveOptions, ResolvedImage } from './resolve.js';
import { INSPEKTOR_GADGET_PUBLIC_KEY } from './signature/default-key.js';

/** Nothing listens there: what is not found here is not found. */
const DEAD = '127.0.0.1:1';

async function setUp(): Promise<{ store: Layout; builtin: Layout; options: ResolveOptions }> {
  const store = new Layout(join(temporaryDirectory(), 'store'));
  const builtin = new Layout(temporaryDirectory());
  await buildSample(builtin, 'trace_exec');
  return { store, builtin, options: { store, builtin, pull: 'missing' } };
}

suite('a short name', () => {
  it.each(['trace_exec', 'trace_exec:latest'])('%s is the built-in gadget, without a store', async (text) => {
    const { store, builtin, options } = await setUp();
    const image = await resolveImage(text, options);
    expect(image).toMatchObject({ from: 'builtin', location: builtin.root, target: builtin });
    expect(String(image.reference)).toBe('ghcr.io/inspektor-gadget/gadget/trace_exec:latest');
    expect(existsSync(store.root)).toBe(false);
  });

  it('is the image of the local store before the built-in one', async () => {
    const { store, options } = await setUp();
    const { digest } = await buildSample(store, 'trace_exec', { metadata: Buffer.from('name: mine\n') });
    expect(await resolveImage('trace_exec', options)).toMatchObject({
      from: 'store',
      descriptor: { digest },
    });
  });
});

it('says of a mistyped short name that it is not built in', async () => {
  const { options } = await setUp();
  // Through a dead proxy, so that the test does not depend on the network.
  vi.stubEnv('https_proxy', `http://${DEAD}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  await expect(resolveImage('trace_exce', options)).rejects.toThrow(
    '; there is no built-in gadget trace_exce, only trace_exec',
  );
  const bare = { ...options, builtin: new Layout(temporaryDirectory()) };
  await expect(resolveImage('trace_exec', bare)).rejects.toThrow(/; no gadgets are built into this ig$/);
});

suite('a full reference', () => {
  it('is found in the store by tag and by digest', async () => {
    const { store, options } = await setUp();
    const { digest } = await buildSample(store, `${DEAD}/owner/x:v1`);
    expect(await resolveImage(`${DEAD}/owner/x:v1`, options)).toMatchObject({ from: 'store' });
    expect(await resolveImage(`${DEAD}/owner/x@${digest}`, options)).toMatchObject({ from: 'store' });
  });

  it('is never a built-in gadget, but the error names the one of that name', async () => {
    const { options } = await setUp();
    const failure = resolveImage(`${DEAD}/owner/trace_exec:v1`, options);
    await expect(failure).rejects.toThrow(UnreachableError);
    await expect(failure).rejects.toThrow('there is a built-in gadget trace_exec: ig run trace_exec');
  });

  it('is not the built-in gadget even where it names the same image', async () => {
    const { builtin, options } = await setUp();
    vi.stubEnv('https_proxy', `http://${DEAD}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    const [entry] = await builtin.list();
    for (const text of [entry?.reference ?? '', `ghcr.io/owner/x@${entry?.digest}`]) {
      await expect(resolveImage(text, options)).rejects.toThrow('cannot reach registry ghcr.io');
    }
  });

  it('that cannot be had leads to no advice when no built-in gadget has its name', async () => {
    const { options } = await setUp();
    const message = await resolveImage(`${DEAD}/owner/other`, options).catch((error: Error) => error.message);
    expect(message).not.toContain('built-in');
  });

  it('that is here without a signature says why the registry cannot be asked for one', async () => {
    const { store, options } = await setUp();
    await buildSample(store, `${DEAD}/owner/x:v1`);
    const trust = { publicKeys: [INSPEKTOR_GADGET_PUBLIC_KEY] };
    const failure = resolveImage(`${DEAD}/owner/x:v1`, { ...options, trust });
    await expect(failure).rejects.toThrow(UntrustedImageError);
    await expect(failure).rejects.toThrow(/is not signed; .*--verify-image=false; .* cannot reach registry/);
  });

  it('that is not allowed is not asked for', async () => {
    const { options } = await setUp();
    const failure = resolveImage(`${DEAD}/owner/x`, { ...options, allowed: ['trace_exec'] });
    await expect(failure).rejects.toThrow(NotAllowedError);
  });

  it('that is malformed is refused', async () => {
    const { options } = await setUp();
    await expect(resolveImage('Not A Name', options)).rejects.toThrow(InvalidReferenceError);
  });
});

suite('a path', () => {
  let previous: string;
  beforeEach(() => {
    previous = process.cwd();
  });
  afterEach(() => process.chdir(previous));

  /** A directory, made the current one, with `layout/` and `image.tar`, holding the given references. */
  async function inDirectoryWith(...references: string[]): Promise<ResolveOptions> {
    process.chdir(temporaryDirectory());
    const layout = new Layout('layout');
    for (const ref of references) await buildSample(layout, ref, { metadata: Buffer.from(ref) });
    execFileSync('tar', ['-C', 'layout', '-cf', 'image.tar', '.']);
    return { store: new Layout('store'), pull: 'missing' };
  }

  async function metadataOf({ target, descriptor }: ResolvedImage): Promise<string> {
    const image = await readGadgetImage(target, descriptor, { architecture: 'amd64' });
    return Buffer.from(image.metadata ?? '').toString();
  }

  it.each([
    ['./layout', 'layout'],
    ['./image.tar', 'archive'],
    ['image.tar', 'archive'],
  ])('%s is its only image', async (text, from) => {
    const image = await resolveImage(text, await inDirectoryWith('a/b:1'));
    expect(image).toMatchObject({ from, location: text });
    expect(String(image.reference)).toBe('ghcr.io/a/b:1');
    expect(await metadataOf(image)).toBe('a/b:1');
  });

  it.each(['./layout:2', './layout:a/b:2', 'image.tar:ghcr.io/a/b:2'])('%s chooses by name', async (text) => {
    const image = await resolveImage(text, await inDirectoryWith('a/b:1', 'a/b:2'));
    expect(await metadataOf(image)).toBe('a/b:2');
  });

  it('that holds signatures beside an image has one image', async () => {
    const signature = `a/b:sha256-${'0'.repeat(64)}.sig`;
    const image = await resolveImage('./layout', await inDirectoryWith('a/b:1', signature));
    expect(await metadataOf(image)).toBe('a/b:1');
  });

  it('that holds several images wants one named', async () => {
    const options = await inDirectoryWith('a/b:1', 'a/c:1');
    await expect(resolveImage('./layout', options)).rejects.toThrow(InvalidImageError);
    for (const text of ['./layout', './layout:1']) {
      await expect(resolveImage(text, options)).rejects.toThrow('ghcr.io/a/b:1, ghcr.io/a/c:1');
    }
  });

  it('without the named image says what there is', async () => {
    const options = await inDirectoryWith('a/b:1');
    await expect(resolveImage('./layout:3', options)).rejects.toThrow(
      'there is no image 3 in ./layout, only ghcr.io/a/b:1',
    );
  });

  it('that does not exist is not taken for a reference', async () => {
    const options = await inDirectoryWith('a/b:1');
    await expect(resolveImage('./missing', options)).rejects.toThrow(NotFoundError);
  });

  it.each([
    ['./empty', 'there is no image in ./empty'],
    ['.', '. is not an OCI image layout'],
    ['./sources', 'build that with `ig image build ./sources`'],
  ])('%s without images is refused', async (text, message) => {
    const options = await inDirectoryWith('a/b:1');
    mkdirSync('empty');
    mkdirSync('sources');
    writeFileSync('sources/gadget.yaml', '');
    await expect(resolveImage(text, options)).rejects.toThrow(message);
  });

  it('with a missing or corrupt blob names it when it is read', async () => {
    const options = await inDirectoryWith('a/b:1');
    const image = await resolveImage('./layout', options);
    const { digest, size } = describe(MEDIA_TYPE.ebpf, EBPF_AMD64);
    const path = join('layout', blobPath(digest));
    writeFileSync(path, Buffer.alloc(size));
    await expect(metadataOf(image)).rejects.toThrow(`${path} is corrupt`);
    rmSync(path);
    await expect(metadataOf(image)).rejects.toThrow(`${digest} is missing from the layout ./layout`);
  });
});
