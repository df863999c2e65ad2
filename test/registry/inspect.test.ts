// `ig image inspect`, as built: what it tells of built-in images, of files and of a registry's, without root.

import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Layout } from '../../oci/layout.js';
import type { ImageDocument } from '../../runtime/inspect/inspect.js';
import { type Ended, runIg } from '../ig.js';
import { compileFile } from '../live/compile.js';
import {
  WASM,
  buildSample,
  createTemporaryDirectory,
  removeDirectory,
  temporaryDirectory,
} from './images.js';
import { type RunningRegistry, pushWithSkopeo, startRegistry } from './registry.js';

const BUILTIN = fileURLToPath(new URL('../../dist/images', import.meta.url));
const REF = 'ghcr.io/owner/sample:v1';
const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
const METADATA = Buffer.from(`name: sample
dataSources:
  stream:
    annotations: { cli.default-output-mode: json }
    fields:
      name:
        annotations: { description: "a name, \\e[31mred" }
`);

let work: string;

beforeAll(async () => {
  work = createTemporaryDirectory();
  chmodSync(work, 0o755);
  const ebpf = compileFile(fileURLToPath(new URL('inspect.bpf.c', import.meta.url)));
  const platforms = [
    { architecture: 'riscv64', ebpf, wasm: WASM },
    { architecture: 's390x', wasm: WASM },
  ];
  await buildSample(new Layout(join(work, 'layout')), REF, { metadata: METADATA, platforms });
});
afterAll(() => removeDirectory(work));

/** As another user than root, and with a home of its own. */
function inspect(image: string, ...flags: string[]): Promise<Ended> {
  const home = temporaryDirectory();
  chmodSync(home, 0o777);
  return runIg(['image', 'inspect', image, ...flags], {
    inside: NOBODY,
    cwd: work,
    env: { HOME: home, DOCKER_CONFIG: home },
  });
}

async function inspected(image: string, ...flags: string[]): Promise<ImageDocument> {
  const { stdout, stderr, status } = await inspect(image, ...flags, '-o', 'json');
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout) as ImageDocument;
}

describe('of a built-in gadget', () => {
  it('all is shown, also to who is not root', async () => {
    const { oci, ebpf, wasm } = await inspected('trace_exec');
    expect(oci).toMatchObject({
      reference: 'ghcr.io/inspektor-gadget/gadget/trace_exec:latest',
      from: 'builtin',
      location: BUILTIN,
      metadata: { name: 'trace_exec' },
    });
    expect(oci.index?.manifests.map(({ platform }) => platform?.architecture)).toEqual(['amd64', 'arm64']);
    expect(oci.manifest.layers.length).toBe(2);
    expect(ebpf?.programs).toContainEqual({
      name: 'ig_sys_exit',
      section: 'raw_tp/sys_exit',
      type: 'raw_tracepoint',
      attachTo: 'sys_exit',
      maps: expect.arrayContaining(['.rodata', 'gadget_mntns_filter_map']) as unknown,
    });
    expect(ebpf?.maps.find(({ name }) => name === 'events')?.type).toBe('ringbuf');
    expect(ebpf?.variables).toContainEqual(
      expect.objectContaining({
        name: 'paths',
        section: '.rodata',
        type: 'const volatile bool',
        sizeBytes: 1,
      }),
    );
    expect(wasm).toMatchObject({ form: 'component', exports: ['ig:post-processor/processor@1.0.0'] });
  });

  it('YAML says the same as JSON', async () => {
    const { stdout } = await inspect('trace_exec', '-o', 'yaml');
    expect(parse(stdout)).toEqual(await inspected('trace_exec'));
  });

  it('one part is printed alone, a text as it is', async () => {
    const maps = await inspect('trace_exec', '--extra-info', 'ebpf.maps', '-o', 'json');
    expect(JSON.parse(maps.stdout)).toContainEqual(expect.objectContaining({ name: 'records' }));
    const chart = await inspect('trace_exec', '--extra-info', 'ebpf.flowchart');
    expect(chart.stdout).toMatch(/^flowchart LR\n {2}program0\["ig_\w+<br\/>/);
    const sequence = await inspect('trace_exec', '--extra-info', 'ebpf.sequence');
    expect(sequence.stdout).toMatch(/^sequenceDiagram\n/);
  });

  it('a part that there is not is a mistake that names those there are', async () => {
    const { stderr, stdout, status } = await inspect('trace_exec', '--extra-info', 'ebpf.nothing');
    expect(stderr).toMatch(
      /^Error: the image has no part ebpf\.nothing, only ebpf\.datasources, ebpf\.flowchart, .*\n$/,
    );
    expect([stdout, status]).toEqual(['', 2]);
  });

  it('one value is chosen by a path', async () => {
    const { stdout } = await inspect('trace_exec', '--jsonpath', '{.oci.manifest.layers[0].digest}');
    expect(stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
    const wrong = await inspect('trace_exec', '--jsonpath', '.oci.manifest.layer');
    expect(wrong.stderr).toMatch(/^Error: there is no \.layer in \.oci\.manifest: it has .*layers.*\n$/);
    expect(wrong.status).toBe(2);
  });
});

describe('of an image in a file', () => {
  it('the maps that programs use through calls and callbacks are found', async () => {
    const { ebpf } = await inspected('./layout');
    const maps = Object.fromEntries(ebpf!.programs.map(({ name, maps }) => [name, maps]));
    expect(maps).toEqual({
      direct: ['.rodata', 'ring'],
      calls: ['hidden'],
      calls_back: ['ring_lost_samples', 'table'],
      walk: [],
    });
  });

  it('data sources of every form are shown with their fields', async () => {
    const { stdout } = await inspect('./layout', '--show-datasources', '-o', 'json');
    const [stream, entries, list] = JSON.parse(stdout) as NonNullable<ImageDocument['ebpf']>['datasources'];
    expect(stream).toMatchObject({
      name: 'stream',
      from: 'tracer',
      map: 'ring',
      annotations: { 'cli.default-output-mode': 'json' },
    });
    expect(stream!.fields.map(({ name, kind, offset }) => [name, kind, offset])).toEqual([
      ['timestamp_raw', 'uint64', 0],
      ['name', 'cstring', 8],
      ['numbers', 'uint32[3]', 24],
    ]);
    expect(stream!.fields[0]).toMatchObject({ sizeBytes: 8, annotations: { template: 'timestamp' } });
    expect(entries).toMatchObject({ name: 'entries', from: 'map', map: 'table' });
    expect(
      entries!.fields.map(({ name, offset, tags }) => [name, offset, tags.includes('role:key')]),
    ).toEqual([
      ['a', 0, true],
      ['b', 4, false],
    ]);
    expect(list).toMatchObject({ name: 'list', from: 'iterator', programs: ['walk'] });
  });

  it('that is not for this machine the first architecture is shown', async () => {
    const { oci, wasm } = await inspected('./layout:v1');
    expect(oci.architecture).toBe('riscv64');
    expect(wasm?.form).toBe('core');
  });

  it('gadget.yaml is shown as it is written, its control characters made visible', async () => {
    const text = await inspect('./layout', '--extra-info', 'oci.metadata');
    expect(text.stdout).toBe(METADATA.toString());
    const value = await inspect('./layout', '--jsonpath', '.oci.metadata.dataSources.stream.fields.name');
    expect(value.stdout).toContain('\\u001b[31mred');
  });

  it('a part that is broken is named, and the others are shown', async () => {
    const path = join(work, 'broken');
    await buildSample(new Layout(path), REF, {
      platforms: [{ architecture: 'amd64', wasm: Buffer.from('no') }],
    });
    const { stdout, stderr, status } = await inspect(path, '-o', 'json');
    expect(stderr).toBe(
      "Warning: the gadget's Wasm module is not WebAssembly: it does not start with \\0asm\n",
    );
    expect(Object.keys(JSON.parse(stdout) as object)).toEqual(['oci']);
    expect(status).toBe(0);
  });

  it('that is not there is an error, and asks no registry', async () => {
    const { stderr, status } = await inspect('./nowhere');
    expect(stderr).toMatch(/^Error: .*\.\/nowhere.*\n$/);
    expect(status).toBe(1);
  });
});

describe('of an image in a registry', () => {
  let registry: RunningRegistry;

  beforeAll(async () => {
    registry = await startRegistry();
    pushWithSkopeo(join(work, 'layout'), REF, registry, 'owner/sample:v1');
  });
  afterAll(() => registry.stop());

  it('nothing is stored', async () => {
    const home = temporaryDirectory();
    chmodSync(home, 0o777);
    const image = `${registry.host}/owner/sample:v1`;
    const { stdout, status } = await runIg(
      ['image', 'inspect', image, '--insecure-registries', registry.host, '-o', 'json'],
      { inside: NOBODY, cwd: home, env: { HOME: home, DOCKER_CONFIG: home } },
    );
    const { oci } = JSON.parse(stdout) as ImageDocument;
    expect(oci).toMatchObject({ reference: image, from: 'registry', location: registry.host });
    expect(status).toBe(0);
    expect(existsSync(join(home, '.ig'))).toBe(false);
  });

  it('that is not there is an error', async () => {
    const image = `${registry.host}/owner/nothing:v1`;
    const { stderr, status } = await inspect(image, '--insecure-registries', registry.host);
    expect(stderr).toMatch(/^Error: .+\n$/);
    expect(stderr).toContain(image);
    expect(status).toBe(1);
  });
});
