// The local store as built: several processes at once, processes that are killed, and the commands for it.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { ANNOTATION, type Descriptor } from '../../oci/descriptor.js';
import { copyImage } from '../../oci/copy.js';
import { Layout } from '../../oci/layout.js';
import { ownedName, parseOwnedName } from '../../oci/owner.js';
import { prune } from '../../oci/prune.js';
import { reachable } from '../../oci/reachable.js';
import { isArtefact } from '../../oci/referrers.js';
import { type Ended, IG, type IgOptions, runIg } from '../ig.js';
import { until } from '../until.js';
import { buildSample, temporaryDirectory } from './images.js';

const WORKER = fileURLToPath(new URL('store-worker.js', import.meta.url));
const A = 'ghcr.io/a/b:1';
const B = 'ghcr.io/a/b:2';

/** Every part of every image there must be there and be what its digest says. */
async function expectWhole(store: Layout): Promise<void> {
  const entries = (await store.list()).map(({ descriptor }) => descriptor);
  for (const part of (await reachable(store, entries)).values()) {
    // Throws unless it has its digest.
    for await (const _chunk of await store.fetch(part));
  }
}

async function namesIn(store: Layout): Promise<string[]> {
  return (await store.list()).flatMap(({ reference }) => reference ?? []).sort();
}

/** As if all had been written long ago. */
function age(store: Layout): void {
  for (const name of readdirSync(store.blobsPath)) utimesSync(join(store.blobsPath, name), 1, 1);
}

/** Images that share content with each other. */
async function sourceLayout(): Promise<Layout> {
  const source = new Layout(temporaryDirectory());
  for (const number of [1, 2, 3]) {
    const metadata = Buffer.from(`name: shared${number}\n`);
    await buildSample(source, `ghcr.io/shared/gadget:${number}`, { metadata });
  }
  return source;
}

interface Worker {
  readonly child: ChildProcess;
  output: string;
  readonly ended: Promise<unknown>;
}

function startWorker(store: Layout, source: Layout, id: number, seed: number, count: number): Worker {
  const words = [WORKER, store.root, source.root, String(id), String(seed), String(count)];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  const worker: Worker = { child, output: '', ended: once(child, 'close') };
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => (worker.output += chunk.toString()));
  }
  onTestFinished(() => void child.kill('SIGKILL'));
  return worker;
}

describe('processes in one store', () => {
  it('leave every name and all content when six build, copy, name, remove and prune at once', async () => {
    const store = new Layout(join(temporaryDirectory(), 'store'));
    const source = await sourceLayout();
    const workers = [1, 2, 3, 4, 5, 6].map((id) => startWorker(store, source, id, id, 20));
    await Promise.all(workers.map(({ ended }) => ended));
    const expected: string[] = [];
    for (const { child, output } of workers) {
      expect([child.exitCode, output]).toEqual([0, expect.stringMatching(/^ready\n\[.*\]\n$/)]);
      expected.push(...(JSON.parse(output.slice('ready\n'.length)) as string[]));
    }
    const names = (await namesIn(store)).filter((name) => !name.startsWith('ghcr.io/shared/'));
    expect(names).toEqual(expected.sort());
    await expectWhole(store);
    age(store);
    await prune(store, { dryRun: false });
    const entries = (await store.list()).map(({ descriptor }) => descriptor);
    const needed = [...(await reachable(store, entries)).keys()].map((digest) =>
      digest.slice('sha256:'.length),
    );
    expect(readdirSync(store.blobsPath).sort()).toEqual(needed.sort());
    expect(readdirSync(store.ingestPath)).toEqual([]);
  });

  const seed = process.env['SEED'] ?? String(Date.now() % 1_000_000);
  it(`leave it sound and usable wherever they are killed (SEED=${seed})`, async () => {
    let drawn = 0;
    const random = (limit: number): number =>
      createHash('sha256').update(`${seed} ${drawn++}`).digest().readUInt32LE() % limit;
    const store = new Layout(join(temporaryDirectory(), 'store'));
    const source = await sourceLayout();
    const kept = await copyImage(source, store, 'ghcr.io/shared/gadget:1');
    for (let round = 0; round < 36; round++) {
      const pair = [1, 2].map((id) => startWorker(store, source, id, random(1e6), 0));
      await until(() => pair.every(({ output }) => output === 'ready\n'), 'the workers to work');
      await sleep(random(60));
      for (const { child } of pair) child.kill('SIGKILL');
      await Promise.all(pair.map(({ ended }) => ended));
      for (const { output } of pair) expect(output).toBe('ready\n');
      await expectWhole(store);
      // The next one works, too.
      const name = `ghcr.io/after/round:${round}`;
      await copyImage(source, store, 'ghcr.io/shared/gadget:1');
      await store.tag(kept, name);
      expect(await namesIn(store)).toContain(name);
    }
    age(store);
    const { busy } = await prune(store, { dryRun: false });
    expect(busy).toEqual([]);
    await expectWhole(store);
    expect(readdirSync(store.ingestPath)).toEqual([]);
    // Starting 72 processes takes its time where others work, too.
  }, 180_000);
});

it('takes a process in another PID namespace for one that cannot be looked up', () => {
  const module = fileURLToPath(new URL('../../dist/oci/owner.js', import.meta.url));
  const script = `import('${module}').then(({ ownedName }) => console.log(ownedName('lock')))`;
  // /proc stays that of the outer namespace, whose numbers are others.
  const { stdout } = spawnSync('unshare', ['-pf', process.execPath, '-e', script], { encoding: 'utf8' });
  const realms = [stdout.trim(), ownedName('lock')].map((name) => parseOwnedName(name)?.realm);
  expect(realms[0]).toMatch(/^[0-9a-f]{8}-\d+$/);
  expect(realms[0]).not.toBe(realms[1]);
});

describe('the commands', () => {
  let varLib: string;
  let store: Layout;
  let image: Descriptor;

  beforeEach(async () => {
    varLib = temporaryDirectory();
    store = new Layout(join(varLib, 'ig/oci-store'));
    image = await buildSample(store, A, { created: new Date('2024-05-06T07:08:09Z') });
  });

  /** Root's store is always below /var/lib, which is another directory in its mount namespace. */
  function ig(...words: string[]): Promise<Ended> {
    return runIg(['image', ...words], privately());
  }

  function privately(): IgOptions {
    return {
      inside: ['unshare', '-m', 'sh', '-c', 'mount --bind "$0" /var/lib && exec "$@"', varLib],
      cwd: varLib,
      env: { HOME: varLib, DOCKER_CONFIG: join(varLib, '.docker') },
    };
  }

  function expectDone({ status, stdout, stderr }: Ended, line: string | RegExp): void {
    expect(stderr).toBe('');
    expect(stdout).toMatch(line);
    expect(status).toBe(0);
  }

  function expectFailed({ status, stderr }: Ended, expectedStatus: number, ...words: string[]): void {
    expect(stderr).toMatch(/^Error: .+\n$/);
    for (const word of words) expect(stderr).toContain(word);
    expect(status).toBe(expectedStatus);
  }

  /** An image about `A` of the kind cosign makes: its name says about what. */
  async function sign(): Promise<string> {
    const name = `ghcr.io/a/b:${image.digest.replace(':', '-')}.sig`;
    await buildSample(store, name, { metadata: Buffer.from('name: signature\n') });
    return name;
  }

  it('list shows images but not their signatures, as columns and JSON', async () => {
    await sign();
    await store.tag(image, B, { origin: 'built' });
    const { stdout, stderr } = await ig('list');
    expect(stderr).toBe('');
    const [header, ...lines] = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    expect(header).toEqual(['REPOSITORY', 'TAG', 'DIGEST', 'CREATED', 'SIZE', 'ORIGIN']);
    const hex = image.digest.slice('sha256:'.length);
    expect(lines.map((line) => line.toSpliced(3, 2))).toEqual([
      ['ghcr.io/a/b', '1', hex.slice(0, 12), 'pulled'],
      ['ghcr.io/a/b', '2', hex.slice(0, 12), 'built'],
    ]);
    expect(lines[0]![3]).toMatch(/^\d+ years? ago$/);
    expect((await ig('ls', '--no-trunc')).stdout).toContain(` ${image.digest} `);
    const rows = JSON.parse((await ig('list', '-o', 'json')).stdout) as Record<string, unknown>[];
    expect(rows[0]).toEqual({
      repository: 'ghcr.io/a/b',
      tag: '1',
      digest: image.digest,
      created: '2024-05-06T07:08:09Z',
      size: expect.any(Number) as number,
      reference: A,
      origin: 'pulled',
    });
    expect((await ig('list', '-o', 'jsonpretty')).stdout).toBe(`${JSON.stringify(rows, null, 2)}\n`);
    expectFailed(await ig('list', '-o', 'yaml'), 2, 'columns, json or jsonpretty');
  });

  it('list-gadgets names none that cannot be run so, such as what a shell would execute', async () => {
    const named = (name: string): Descriptor => ({ ...image, annotations: { [ANNOTATION.refName]: name } });
    const manifests = [named(A), named('v1'), named('$(touch pwned)')];
    writeFileSync(join(store.root, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
    const { stdout } = await runIg(['list-gadgets', '-o', 'names'], privately());
    expect(stdout).toBe(`trace_exec\n${A}\n`);
  });

  it('tag gives another name, and keeps that the image was built here', async () => {
    await store.tag(image, A, { origin: 'built' });
    expectDone(
      await ig('tag', 'a/b:1', 'mine'),
      `Tagged ghcr.io/inspektor-gadget/gadget/mine:latest@${image.digest}\n`,
    );
    expect((await store.list()).map(({ origin }) => origin)).toEqual(['built', 'built']);
    expectFailed(await ig('tag', 'a/b:3', 'mine'), 1, 'ghcr.io/a/b:3', 'ig image list');
    expectFailed(await ig('tag', 'a/b:1', 'UPPER'), 2, 'UPPER');
    expectFailed(await ig('tag', 'a/b:1', `x@${image.digest}`), 2, 'a digest cannot be given');
  });

  it('tag and build give no name with a digest, which only content has', async () => {
    const name = `x/y@${image.digest}`;
    for (const words of [
      ['tag', A, name],
      ['build', '.', '-t', name],
    ]) {
      expectFailed(await ig(...words), 2, `leave @${image.digest} out of ${name}`);
    }
  });

  it('remove takes names out and frees the content, and does what it can', async () => {
    const signature = await sign();
    await store.tag(image, B);
    const ended = await ig('remove', 'a/b:3', 'a/b:1');
    expect(ended.stdout).toBe(`Removed ${A}; freed 0 B in 0 files\n`);
    expectFailed(ended, 1, 'ghcr.io/a/b:3');
    expect(await namesIn(store)).toEqual([B, signature].sort());
    expectDone(await ig('rm', `a/b@${image.digest}`), `with ${B}, ${signature}; freed `);
    expect(await namesIn(store)).toEqual([]);
    expect(readdirSync(store.blobsPath)).toEqual([]);
  });

  it('prune frees what was replaced, and says how much', async () => {
    await buildSample(store, A, { metadata: Buffer.from('name: other\n') });
    age(store);
    const before = readdirSync(store.blobsPath).length;
    expectDone(await ig('prune', '--dry-run'), /^Would free \d+(\.\d)? k?B in \d+ files\n$/);
    expect(readdirSync(store.blobsPath).length).toBe(before);
    const freed = JSON.parse((await ig('prune', '-o', 'json')).stdout) as { count: number };
    expect(freed).toMatchObject({ orphans: 0, spared: 0, busy: [], dryRun: false });
    expect(readdirSync(store.blobsPath).length).toBe(before - freed.count);
    expectDone(await ig('prune'), 'Freed 0 B in 0 files\n');
    await expectWhole(store);
  });

  it('remove and prune keep content while another process writes images', async () => {
    await store.withLease(async () => {
      expectDone(
        await ig('remove', 'a/b:1'),
        `its content stays until \`ig image prune\`, as process ${process.pid} is`,
      );
      age(store);
      expectDone(await ig('prune'), 'try again later');
    });
    expectDone(await ig('prune'), /^Freed [1-9]/);
    expect(readdirSync(store.blobsPath)).toEqual([]);
  });

  it('export writes the same file each time, which import and skopeo read', async () => {
    const signature = await sign();
    await buildSample(store, B, { metadata: Buffer.from('name: other\n') });
    expectDone(await ig('export', 'a/b:1', 'one.tar'), 'Exported 1 image to one.tar\n');
    expectDone(await ig('export', 'a/b:1', A, 'two.tar'), 'Exported');
    const file = join(varLib, 'one.tar');
    expect(readFileSync(file).equals(readFileSync(join(varLib, 'two.tar')))).toBe(true);
    expect((await runIg(['image', 'export', A, '-'], privately())).stdout).toBe(readFileSync(file, 'utf8'));
    expect(readdirSync(varLib).filter((name) => name.includes('tmp'))).toEqual([]);
    const raw = execFileSync('skopeo', ['inspect', '--raw', `oci-archive:${file}:${A}`], {
      encoding: 'utf8',
    });
    expect((JSON.parse(raw) as { manifests: unknown[] }).manifests.length).toBe(2);
    expectDone(await ig('remove', 'a/b:1', 'a/b:2'), 'Removed');
    expectDone(await ig('import', 'one.tar'), `Imported ${A}@${image.digest}\n`);
    expect(await namesIn(store)).toEqual([A, signature].sort());
    await expectWhole(store);
  });

  it('export into a pipe that is closed early says so', async () => {
    // More than a pipe holds.
    await buildSample(store, B, { platforms: [{ architecture: 'amd64', ebpf: Buffer.alloc(1 << 20) }] });
    const { inside = [], env } = privately();
    const toHead = [...inside, 'sh', '-c', '"$@" | head -c 1 >/dev/null', 'sh'];
    const [program = '', ...words] = [...toHead, process.execPath, IG, 'image', 'export', B, '-'];
    const { stderr } = spawnSync(program, words, { env: { ...process.env, ...env }, encoding: 'utf8' });
    expect(stderr).toBe('Error: the archive was not read to its end\n');
  });

  it('import takes what skopeo wrote, by its full name or by a tag alone', async () => {
    const copyTo = (target: string): Buffer =>
      execFileSync('skopeo', ['copy', '--all', '-q', `oci:${store.root}:${A}`, target]);
    copyTo(`oci-archive:${join(varLib, 'full.tar')}:localhost:5000/x/y:z`);
    copyTo(`oci-archive:${join(varLib, 'tag.tar')}:v1`);
    expectDone(await ig('import', 'full.tar'), `Imported localhost:5000/x/y:z@${image.digest}\n`);
    const { stdout } = await ig('import', 'tag.tar', '-o', 'json');
    const reference = 'ghcr.io/inspektor-gadget/gadget/v1:latest';
    expect(JSON.parse(stdout)).toEqual([{ reference, digest: image.digest }]);
    expect((await store.list()).every(({ origin }) => origin === undefined)).toBe(true);
  });

  it('import takes nothing for built here because an archive says so', async () => {
    const other = new Layout(join(varLib, 'other'));
    await other.tag(await buildSample(other, B), B, { origin: 'built' });
    execFileSync('tar', ['-C', other.root, '-cf', join(varLib, 'other.tar'), '.']);
    expectDone(await ig('import', 'other.tar'), `Imported ${B}`);
    expect((await store.list()).find(({ reference }) => reference === B)?.origin).toBe(undefined);
    expectDone(await ig('export', B, 'again.tar'), 'Exported');
    expect(readFileSync(join(varLib, 'again.tar')).includes(ANNOTATION.origin)).toBe(false);
  });

  it('export and import say what is wrong, and leave nothing behind', async () => {
    expectFailed(await ig('export', 'a/b:1'), 2, 'and, behind them, the file');
    expectFailed(await ig('export', 'a/b:3', 'x.tar'), 1, 'ghcr.io/a/b:3');
    expectFailed(await ig('export', 'a/b:1', '/dev/null'), 1, 'not a regular file');
    expectFailed(await ig('export', 'a/b:1', 'none/x.tar'), 1, 'none/x.tar');
    expectFailed(await ig('import', 'x.tar'), 1, 'x.tar');
    const { layers } = JSON.parse(await manifestText()) as { layers: Descriptor[] };
    const layer = layers[0]!.digest;
    writeFileSync(join(store.blobsPath, layer.slice('sha256:'.length)), Buffer.alloc(layers[0]!.size));
    expectFailed(await ig('export', 'a/b:1', 'x.tar'), 1, layer, 'is corrupt');
    expect(readdirSync(varLib)).toEqual(['ig']);
    expect(existsSync('/dev/null')).toBe(true);
  });

  async function manifestText(): Promise<string> {
    const [, manifest] = [...(await reachable(store, [image])).values()];
    return readFileSync(join(store.blobsPath, manifest!.digest.slice('sha256:'.length)), 'utf8');
  }

  it('leave what skopeo stored as it is, and skopeo reads what they stored', async () => {
    execFileSync('skopeo', ['copy', '--all', '-q', `oci:${store.root}:${A}`, `oci:${store.root}:latest`]);
    const foreign = (): unknown[] =>
      (
        JSON.parse(readFileSync(join(store.root, 'index.json'), 'utf8')) as { manifests: Descriptor[] }
      ).manifests.filter(({ annotations }) => annotations?.[ANNOTATION.refName] === 'latest');
    const before = foreign();
    expectDone(await ig('tag', 'a/b:1', 'localhost:5000/x/y:z'), 'Tagged');
    expectDone(await ig('remove', 'a/b:1'), 'Removed');
    expectDone(await ig('prune'), 'Freed');
    expect(foreign()).toEqual(before);
    expect(before.length).toBe(1);
    expect((await store.list()).filter(({ descriptor }) => !isArtefact(descriptor)).length).toBe(2);
    for (const name of ['latest', 'localhost:5000/x/y:z']) {
      execFileSync('skopeo', [
        'copy',
        '--all',
        '-q',
        `oci:${store.root}:${name}`,
        `dir:${temporaryDirectory()}`,
      ]);
    }
  });
});
