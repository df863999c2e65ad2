// `ig image build`, as built: from folders of sources to images that run.

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse as parseWat } from '@bytecodealliance/jco-transpile/wasm-tools';
import { describe, expect, it } from 'vitest';
import { ANNOTATION, MEDIA_TYPE, type Index, type Manifest, digestOf } from '../../oci/descriptor.js';
import { readGadgetImage } from '../../oci/gadget-image.js';
import { Layout } from '../../oci/layout.js';
import { fetchBytes } from '../../oci/target.js';
import { type Ended, Ig, type IgOptions, runIg } from '../ig.js';
import { temporaryDirectory } from './images.js';

const SAMPLE = fileURLToPath(new URL('samples/trace_sample', import.meta.url));
/** Counts the slashes of a path: the field `depth`. */
const WASM_SOURCE = `
import { Source } from 'ig';

const made = new Source('made');
const path = made.text('path');
const depth = made.addU32('depth');

made.onEvent(() => {
  const text = path.read();
  let slashes: u32 = 0;
  for (let i: u32 = 0; i < text.size; i++) if (text[i] == 0x2f) slashes++;
  depth.value = slashes;
  return true;
});
`;
const METADATA = readFileSync(join(SAMPLE, 'gadget.yaml'), 'utf8');
const DEPTH = /\n {6}Depth:[^]*(?=\n\nparams)/;

type Files = Readonly<Record<string, string | Uint8Array>>;

/** A folder with the sample's program and gadget.yaml, without its Wasm part, and `files` beside or instead. */
function sample(files: Files = {}): string {
  const folder = join(temporaryDirectory(), 'trace_sample');
  cpSync(SAMPLE, folder, { recursive: true });
  return write(folder, { 'gadget.yaml': METADATA.replace(DEPTH, ''), ...files });
}

function write(folder: string, files: Files): string {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

function emptyFolder(files: Files): string {
  const folder = join(temporaryDirectory(), 'filter');
  mkdirSync(folder);
  return write(folder, files);
}

/** Root's store is below /var/lib, which is another directory in its mount namespace. */
function privately(varLib: string, env: NodeJS.ProcessEnv = {}): IgOptions {
  return {
    inside: ['unshare', '-m', 'sh', '-c', 'mount --bind "$0" /var/lib && exec "$@"', varLib],
    env: { HOME: varLib, ...env },
  };
}

interface Built extends Ended {
  readonly store: Layout;
  readonly varLib: string;
}

async function build(
  folder: string,
  flags: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<Built> {
  const varLib = temporaryDirectory();
  const ended = await runIg(
    ['image', 'build', folder, '-t', 'x/sample:v1', ...flags],
    privately(varLib, env),
  );
  return { ...ended, varLib, store: new Layout(join(varLib, 'ig/oci-store')) };
}

const NAME = 'ghcr.io/x/sample:v1';

function digestIn({ status, stdout, stderr }: Ended): string {
  expect(stderr).not.toContain('Error');
  expect(status).toBe(0);
  expect(stdout).toMatch(/^Successfully built ghcr\.io\/x\/sample:v1@sha256:[0-9a-f]{64}\n$/);
  return stdout.trim().split('@')[1]!;
}

/** The sentence it fails with. Nothing is stored. */
async function refusal(
  folder: string,
  flags: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  const { status, stdout, stderr, store } = await build(folder, flags, env);
  expect(status).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).not.toMatch(/\n\s+at |node:internal|undefined|\[object/);
  expect(await store.list()).toEqual([]);
  return stderr.slice(stderr.indexOf('Error: '));
}

async function json<T>(
  store: Layout,
  descriptor: { mediaType: string; digest: string; size: number },
): Promise<T> {
  return JSON.parse(Buffer.from(await fetchBytes(store, descriptor, 1 << 20, 'it')).toString()) as T;
}

describe('the image of a folder', () => {
  it('has an eBPF object for each architecture, one Wasm module, and gadget.yaml as it is', async () => {
    const folder = sample({ 'wasm/program.ts': WASM_SOURCE, 'gadget.yaml': METADATA });
    const built = await build(folder);
    const descriptor = await built.store.resolve(NAME);
    expect(descriptor.digest).toBe(digestIn(built));
    const index = await json<Index>(built.store, descriptor);
    expect(index.manifests.map(({ platform }) => platform)).toEqual([
      { architecture: 'amd64', os: 'linux' },
      { architecture: 'arm64', os: 'linux' },
    ]);
    const manifests = await Promise.all(index.manifests.map((entry) => json<Manifest>(built.store, entry)));
    const layers = manifests.map((manifest) => manifest.layers);
    expect(layers.map((own) => own.map(({ mediaType }) => mediaType))).toEqual(
      Array(2).fill([MEDIA_TYPE.ebpf, MEDIA_TYPE.wasm]),
    );
    expect(layers[0]![1]).toEqual(layers[1]![1]);
    expect(manifests[0]!.config.digest).toBe(digestOf(Buffer.from(METADATA)));
    expect(index.annotations).toMatchObject({
      [ANNOTATION.title]: 'trace_sample',
      [ANNOTATION.description]: 'Show which directories are made',
      [ANNOTATION.source]: 'https://example.com/trace_sample',
    });
    const image = await readGadgetImage(built.store, descriptor, { architecture: 'arm64' });
    const object = Buffer.from(image.ebpf!).toString('latin1');
    expect(object).toContain('.BTF.ext');
    expect(object).not.toContain('.debug_info');
    const [entry] = await built.store.list();
    expect(entry!.origin).toBe('built');
  });

  it('runs, with the field its module adds', async () => {
    const folder = sample({ 'wasm/program.ts': WASM_SOURCE, 'gadget.yaml': METADATA });
    const { varLib } = await build(folder);
    const ig = await Ig.tracing(['run', 'x/sample:v1', '--host', '-o', 'json'], privately(varLib));
    // With a directory as start it is mkdirat(2) everywhere.
    const script = 'import os,sys; os.mkdir("./ig-made", dir_fd=os.open(sys.argv[1], os.O_RDONLY))';
    execFileSync('python3', ['-c', script, temporaryDirectory()]);
    const find = (): string | undefined => ig.stdout.split('\n').find((line) => line.includes('./ig-made'));
    await ig.until(() => find() !== undefined);
    expect(JSON.parse(find()!)).toMatchObject({ depth: 1, path: './ig-made', proc: { comm: 'python3' } });
    await ig.stop();
  });

  it('has the same digest wherever and whenever it is built', async () => {
    const folder = sample({ 'wasm/program.ts': WASM_SOURCE, 'gadget.yaml': METADATA });
    const first = digestIn(await build(folder));
    const deeper = join(temporaryDirectory(), 'some/other place/gadget');
    cpSync(folder, deeper, { recursive: true });
    expect(digestIn(await build(deeper))).toBe(first);
  }, 180_000);

  it('tells the time of SOURCE_DATE_EPOCH, and no other', async () => {
    const folder = sample();
    const digest = digestIn(await build(folder));
    const dated = await build(folder, [], { SOURCE_DATE_EPOCH: '0' });
    expect(digestIn(dated)).not.toBe(digest);
    const index = await json<Index>(dated.store, await dated.store.resolve(NAME));
    expect(index.annotations).toMatchObject({ [ANNOTATION.created]: '1970-01-01T00:00:00Z' });
    expect(await refusal(folder, [], { SOURCE_DATE_EPOCH: 'now' })).toContain('SOURCE_DATE_EPOCH is "now"');
  });

  it('can be of prebuilt parts, which -o keeps', async () => {
    const parts = join(temporaryDirectory(), 'parts');
    const first = await build(sample(), ['-o', parts]);
    expect(readdirSync(parts).sort()).toEqual(['amd64.bpf.o', 'arm64.bpf.o']);
    const prebuilt = emptyFolder({
      'build.yaml': 'ebpfsource: lib/program.o\n',
      'gadget.yaml': METADATA.replace(DEPTH, ''),
      'lib/program.amd64.o': readFileSync(join(parts, 'amd64.bpf.o')),
      'lib/program.arm64.o': readFileSync(join(parts, 'arm64.bpf.o')),
    });
    // Nothing is compiled, so no compiler is needed.
    expect(digestIn(await build(prebuilt, [], { CLANG: '/nonexistent' }))).toBe(digestIn(first));
    rmSync(join(prebuilt, 'lib/program.arm64.o'));
    const single = await build(prebuilt, ['--json']);
    expect(single.stderr).toContain('There is no eBPF object for arm64, so the image will not run there.');
    expect(JSON.parse(single.stdout)).toMatchObject({ reference: NAME, platforms: ['linux/amd64'] });
  });

  it('may be a Wasm module alone: a filter', async () => {
    const module = await parseWat(PEER_MODULE);
    const built = await build(emptyFolder({ 'program.wasm': module, 'gadget.yaml': 'name: filter\n' }));
    digestIn(built);
    const image = await readGadgetImage(built.store, await built.store.resolve(NAME), {
      architecture: 'arm64',
    });
    expect(image.ebpf).toBeUndefined();
    expect(Buffer.from(image.wasm!)).toEqual(Buffer.from(module));
  });

  it('takes its name from the folder, and takes words for the compiler from build.yaml', async () => {
    const folder = sample({
      'build.yaml':
        'ebpfSource: src/my.bpf.c\nmetadata: meta.yaml\ncflags: -DSAMPLE=1 -Wno-unused-variable\n',
      'src/my.bpf.c': `#if SAMPLE != 1\n#error no flags\n#endif\n#include "../program.bpf.c"\n`,
      'meta.yaml': 'name: other\n',
    });
    const varLib = temporaryDirectory();
    const ended = await runIg(['image', 'build', folder], privately(varLib));
    expect(ended.stderr).not.toContain('Error');
    expect(ended.stdout).toContain(
      'Successfully built ghcr.io/inspektor-gadget/gadget/trace_sample:latest@sha256:',
    );
  });
});

/** A core module of the peer's API. */
const PEER_MODULE = `(module
  (import "ig" "gadgetLog" (func (param i32 i64)))
  (memory (export "memory") 1)
  (func (export "gadgetAPIVersion") (result i64) (i64.const 1)))`;

describe('a build on a terminal', () => {
  it('names each step while it lasts, without a bar', async () => {
    const folder = sample();
    // script(1) makes the terminal; none of the words needs quotes.
    const onTerminal = 'mount --bind "$0" /var/lib && exec script -qefc "stty cols 80; $*" /dev/null';
    const varLib = temporaryDirectory();
    const { status, stdout } = await runIg(['image', 'build', folder], {
      inside: ['unshare', '-m', 'sh', '-c', onTerminal, varLib],
      env: { HOME: varLib },
    });
    expect(stdout).toContain('compile program.bpf.c for amd64 …');
    expect(stdout).toContain('compile program.bpf.c for amd64: done\r\n');
    expect(stdout).not.toMatch(/[█░]|0 B/);
    expect(status).toBe(0);
  });
});

describe('the output of a command', () => {
  it.each([
    ['image build', () => ['image', 'build', sample()]],
    ['version', () => ['version']],
    ['completion', () => ['completion', 'bash']],
  ])('that cannot be written is one sentence: %s', async (_name, args) => {
    const varLib = temporaryDirectory();
    const toFull = 'mount --bind "$0" /var/lib && exec "$@" >/dev/full';
    const { status, stderr } = await runIg(args(), {
      inside: ['unshare', '-m', 'sh', '-c', toFull, varLib],
      env: { HOME: varLib },
    });
    expect(stderr).toMatch(/^Error: .*no space left on device.*\n$/im);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(status).toBe(1);
  });
});

describe('the check of gadget.yaml', () => {
  it('lists all that does not fit, each with its line', async () => {
    const metadata = `name: trace_sample
colour: red
datasources:
  made:
    fields:
      paht:
        annotations: { description: x }
      path:
        annotations:
          columns.width: wide
          columns.alignment: middle
          value.wanted: nobody
          wasm.reads: mode, moods
      runtime.containerName: # of an operator
      timestamp:
  opened: {}
params:
  ebpf:
    min_mode:
      key: pid
      defaultValue: a lot
    quiet:
      typeHint: string
    loud: { key: loud }
    targ_pid: { key: pid }
programs:
  ig_mkdir: { attach_to: x }
  ig_mkdirat:
    enabledBy: { silent: 'true' }
paramDefaults:
  operator.oci.ebpf.uid: nobody
  operator.oci.ebpf.user: 0
maps:
  makings: {}
  events: { enabledBy: { silent: 'true' } }
`;
    const folder = sample({ 'gadget.yaml': metadata });
    const [head, ...lines] = (await refusal(folder)).trimEnd().split('\n');
    const path = join(folder, 'gadget.yaml');
    expect(head).toBe(`Error: 17 mistakes in ${path}; --no-validate-metadata builds it as it is:`);
    const expected = [
      /^2: the top level: unknown key "colour", expected one of name, description, /,
      /^6: datasources\.made\.fields\.paht: there is no such field, expected one of timestamp_raw, proc, .*; did you mean path\?$/,
      /^10: .*columns\.width: expected a whole number, or "type", found "wide"$/,
      /^11: .*columns\.alignment: expected one of left, right, found "middle"$/,
      /^12: .*value\.wanted: there is no such GADGET_WANTED, expected none$/,
      /^13: .*wasm\.reads: there is no such field, expected one of timestamp_raw, .*; did you mean mode\?$/,
      /^16: datasources\.opened: there is no such data source, expected one of made$/,
      /^21: params\.ebpf\.min_mode\.defaultValue: --pid takes a whole number, not "a lot"$/,
      /^23: params\.ebpf\.quiet\.typeHint: expected bool, the variable's type, found string$/,
      /^24: params\.ebpf\.loud: no variable of that name is a GADGET_PARAM, expected one of targ_pid, .*quiet/,
      /^25: params\.ebpf\.targ_pid\.key: --pid is the flag of min_mode already, expected another$/,
      /^27: programs\.ig_mkdir: there is no such eBPF program, expected one of ig_mkdirat$/,
      /^29: programs\.ig_mkdirat\.enabledBy\.silent: there is no such parameter, expected one of /,
      /^31: paramDefaults\.operator\.oci\.ebpf\.uid: --uid takes a whole number, not "nobody"$/,
      /^32: paramDefaults\.operator\.oci\.ebpf\.user: there is no such parameter, expected one of .*ebpf\.uid/,
      /^34: maps\.makings: there is no such eBPF map, expected one of .*events/,
      /^35: maps\.events\.enabledBy\.silent: there is no such parameter, expected one of /,
    ];
    expect(lines.map((line) => line.slice(path.length + 1))).toEqual(
      expected.map((pattern) => expect.stringMatching(pattern) as unknown),
    );
  });

  it('names the line of what is not YAML', async () => {
    const folder = sample({ 'gadget.yaml': 'name: x\n\nparams: [\n' });
    expect(await refusal(folder)).toMatch(/gadget\.yaml; .*\n.*gadget\.yaml:[34]: /);
  });

  it('can be left out', async () => {
    const folder = sample({ 'gadget.yaml': 'name: x\nparams: { ebpf: { loud: { key: loud } } }\n' });
    expect(await refusal(folder)).toContain('one mistake in');
    digestIn(await build(folder, ['--no-validate-metadata']));
    rmSync(join(folder, 'gadget.yaml'));
    digestIn(await build(folder, ['--no-validate-metadata']));
  });

  it('has the Wasm module say what it misses', async () => {
    const folder = sample({ 'wasm/program.ts': WASM_SOURCE.replace("text('path')", "text('road')") });
    expect(await refusal(folder)).toContain('field road of data source made');
  });
});

describe('--update-metadata', () => {
  it('drafts a gadget.yaml that needs nothing more', async () => {
    const folder = sample();
    rmSync(join(folder, 'gadget.yaml'));
    expect(await refusal(folder)).toContain('--update-metadata drafts one');
    const built = await build(folder, ['--update-metadata']);
    digestIn(built);
    expect(built.stderr).toContain('datasources.made.fields.proc.parent.comm');
    const text = readFileSync(join(folder, 'gadget.yaml'), 'utf8');
    expect(text).toContain(`  ebpf:
    targ_pid:
      key: pid
      typeHint: uint32
      defaultValue: 0
`);
    expect(text).toContain(`      mode:
        annotations:
          description: ''
          columns.width: type
          columns.alignment: right
`);
    const again = await build(folder, ['--update-metadata']);
    expect(again.stderr).toContain('Nothing is missing in');
    expect(readFileSync(join(folder, 'gadget.yaml'), 'utf8')).toBe(text);
  });

  it('adds what is missing to a file, and leaves the rest with its comments', async () => {
    const folder = sample();
    const built = await build(folder, ['--update-metadata']);
    digestIn(built);
    const text = readFileSync(join(folder, 'gadget.yaml'), 'utf8');
    for (const line of METADATA.replace(DEPTH, '').split('\n')) expect(text.split('\n')).toContain(line);
    expect(built.stderr).toMatch(
      /^Added to .*gadget\.yaml: .*datasources\.made\.fields\.mode, .*params\.ebpf\.quiet$/m,
    );
    expect(built.stderr).not.toMatch(/fields\.path|ebpf\.min_mode/);
  });
});

describe('a folder that cannot be built', () => {
  it.each([
    [
      'ebpfsrc: a.c\n',
      'build.yaml:1: unknown key ebpfsrc, expected one of ebpfsource, wasm, language, metadata, cflags',
    ],
    ['# words\ncflags: { a: b }\n', 'build.yaml:2: cflags is neither text nor a list of texts'],
    ['wasm: [x]\n', 'build.yaml:1: wasm is ["x"], expected a path'],
    ['wasm: ../program.wasm\n', "../program.wasm lies outside the gadget's folder"],
    ['ebpfsource: /etc/passwd\n', "/etc/passwd lies outside the gadget's folder"],
    ['metadata: link.yaml\n', "link.yaml lies outside the gadget's folder"],
    ['ebpfsource: missing.bpf.c\n', 'there is no eBPF source'],
    ['ebpfsource: missing.o\n', 'missing.amd64.o, missing.arm64.o'],
    ['ebpfsource: junk.o\n', 'junk.o is not an eBPF object'],
    ['wasm: program.go\n', 'there is no Wasm source'],
    ['wasm: junk.o\n', 'nothing tells the language of'],
    ['wasm: junk.wasm\n', "junk.wasm cannot be a gadget's Wasm part: "],
  ])('says what is wrong with build.yaml %j', async (text, sentence) => {
    const folder = sample({ 'build.yaml': text, 'junk.o': 'junk', 'junk.wasm': 'junk' });
    symlinkSync('/etc/hostname', join(folder, 'link.yaml'));
    const said = await refusal(folder, ['--no-validate-metadata']);
    expect(said).toContain(sentence);
    expect(said).toMatch(/^Error: .+\n$/);
  });

  it.each([
    ['(module)', 'a core module without the function gadgetAPIVersion'],
    ['(module (import "env" "system" (func)))', 'imports the function system from env'],
    ['(component (import "wasi:cli/stdin@0.2.0" (instance)))', 'imports wasi:cli/stdin@0.2.0'],
  ])('refuses the Wasm module %s', async (wat, sentence) => {
    const folder = emptyFolder({ 'program.wasm': await parseWat(wat), 'gadget.yaml': 'name: x\n' });
    expect(await refusal(folder)).toContain(sentence);
  });

  it('shows what the compiler says, then one sentence', async () => {
    const folder = sample({ 'program.bpf.c': 'int f(void) { return undeclared_thing; }\n' });
    const { stderr, status } = await build(folder);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /\.\/program\.bpf\.c:1:\d+: error: .*undeclared_thing[^]*\nError: .* for amd64; see what it says above\n$/,
    );
  });

  it('names the package of a compiler that is missing or too old', async () => {
    const old = join(temporaryDirectory(), 'clang');
    writeFileSync(old, '#!/bin/sh\necho 11.0.1\n', { mode: 0o755 });
    for (const [clang, words] of [
      ['/nonexistent/clang', 'CLANG is /nonexistent/clang'],
      [old, `${old} is 11.0.1`],
    ] as const) {
      const said = await refusal(sample(), [], { CLANG: clang });
      expect(said).toContain(words);
      expect(said).toContain('apt install clang-16 llvm-16');
    }
    expect(await refusal(sample(), [], { LLVM_STRIP: '/nonexistent' })).toContain('apt install llvm-16');
  });

  it('tells how to build what this version of ig cannot run', async () => {
    const iterator = `#include <vmlinux.h>
#include <gadget/macros.h>
struct entry { __u32 pid; };
GADGET_ITER(tasks, entry, ig_task)
SEC("iter/task")
int ig_task(struct bpf_iter__task *ctx) { return 0; }
`;
    const folder = sample({ 'program.bpf.c': iterator, 'gadget.yaml': 'name: x\n' });
    expect(await refusal(folder)).toContain(
      'iterators yet (gadget_iter_tasks___entry___ig_task); --no-validate-metadata',
    );
    digestIn(await build(folder, ['--no-validate-metadata']));
  });

  it('says so when there is nothing in it, or no folder', async () => {
    expect(await refusal(emptyFolder({}))).toContain('there is nothing to build in');
    expect(await refusal('/nonexistent')).toContain('there is no folder /nonexistent');
    expect(await refusal(join(sample(), 'gadget.yaml'))).toContain('is not a folder');
  });
});
