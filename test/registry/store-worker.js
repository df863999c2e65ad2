// Works in an image store, as several do at once in store.test.ts: builds, copies, names, removes and prunes
// images at random. STORE SOURCE ID SEED COUNT; a COUNT of 0 goes on until killed. Prints what names it has left.

import { createHash } from 'node:crypto';
import { readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { copyImage } from '../../dist/oci/copy.js';
import { NotFoundError } from '../../dist/oci/errors.js';
import { buildGadgetImage } from '../../dist/oci/gadget-image.js';
import { Layout } from '../../dist/oci/layout.js';
import { prune, removeImages } from '../../dist/oci/prune.js';

const [storePath, sourcePath, id, seed, count] = process.argv.slice(2);
const store = new Layout(storePath);
const source = new Layout(sourcePath);
let drawn = 0;
/** An integer from 0 below `limit`, the same for the same seed. */
const random = (limit) => createHash('sha256').update(`${seed} ${drawn++}`).digest().readUInt32LE() % limit;
const own = (kind) => `ghcr.io/worker${id}/gadget:${kind}${random(3)}`;
const names = new Set();

function build() {
  const ref = own('built');
  names.add(ref);
  const platform = (architecture) => ({
    architecture,
    ebpf: Buffer.from(`\x7fELF ${architecture} ${random(4)}`),
  });
  return buildGadgetImage(store, {
    ref,
    metadata: Buffer.from(`name: gadget${random(4)}\n`),
    platforms: [platform('amd64'), platform('arm64')],
  });
}

/** Everyone copies the same images, and takes them out again. */
async function copy() {
  const entries = await source.list();
  await copyImage(source, store, entries[random(entries.length)].reference);
}

function tag() {
  return store.withLease(async () => {
    const [image] = [...names].filter((name) => name.includes(':built'));
    if (image === undefined) return;
    const descriptor = await store.resolve(image);
    const name = own('tagged');
    await store.tag(descriptor, name);
    names.add(name);
  });
}

async function removeOwn() {
  const name = [...names][random(names.size)];
  if (name === undefined) return;
  names.delete(name);
  await removeImages(store, (candidate) => candidate === name, name);
}

async function removeShared() {
  const entries = await source.list();
  const name = entries[random(entries.length)].reference;
  await removeImages(store, (candidate) => candidate === name, name).catch((error) => {
    if (!(error instanceof NotFoundError)) throw error;
  });
}

/** Nothing is spared for being young, so that leases alone protect what has no name yet. */
async function pruneOld() {
  const blobs = await readdir(store.blobsPath).catch(() => []);
  await Promise.all(blobs.map((name) => utimes(join(store.blobsPath, name), 1, 1).catch(() => undefined)));
  await prune(store, { dryRun: false });
}

const actions = [build, build, copy, copy, tag, removeOwn, removeShared, pruneOld];
process.stdout.write('ready\n');
for (let done = 0; done < Number(count) || Number(count) === 0; done++)
  await actions[random(actions.length)]();
process.stdout.write(`${JSON.stringify([...names])}\n`);
