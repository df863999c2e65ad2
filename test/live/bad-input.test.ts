// What `ig`, as built, says to bad input and on machines that lack something: one sentence, no stack, no hang.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ociArchitecture } from '../../oci/descriptor.js';
import { buildGadgetImage, readGadgetImage, type GadgetPlatform } from '../../oci/gadget-image.js';
import { Layout } from '../../oci/layout.js';
import { build as buildComponent } from '../../wasm/sdk/assemblyscript/build.js';
import { Ig, runIg, type IgOptions } from '../ig.js';
import { createTemporaryDirectory, removeDirectory, temporaryDirectory } from '../registry/images.js';
import { startRegistry, type RunningRegistry } from '../registry/registry.js';
import { compileBpf, compileFile } from './compile.js';

const BUILTIN = fileURLToPath(new URL('../../dist/images', import.meta.url));
const BUILTIN_NAME = 'ghcr.io/inspektor-gadget/gadget/trace_exec:latest';
const RUN = ['run', 'trace_exec', '--host', '--timeout', '5'];
const USAGE = 2;
/** A user without a name: events of it alone keep the rest of the machine out. */
const UID = 61_379;

let ebpf: Uint8Array;
let metadata: string;

beforeAll(async () => {
  const layout = new Layout(BUILTIN);
  const descriptor = await layout.resolve(BUILTIN_NAME);
  const image = await readGadgetImage(layout, descriptor, { architecture: ociArchitecture() });
  ebpf = image.ebpf!;
  metadata = Buffer.from(image.metadata!).toString();
});

/** Runs ig, which must end by itself, with one sentence on stderr and nothing on stdout. Returns the sentence. */
async function refusal(
  args: readonly string[],
  options: IgOptions & { status?: number } = {},
): Promise<string> {
  const { status, signal, stdout, stderr } = await runIg(args, options);
  expect(signal).toBeNull();
  expect(stderr).toMatch(/^Error: .+\n$/);
  expect(stderr).not.toMatch(/\n\s+at |node:internal|undefined|\[object/);
  expect(stdout).toBe('');
  if (options.status === undefined) expect(status, stderr).toBeGreaterThan(0);
  else expect(status, stderr).toBe(options.status);
  return stderr.trimEnd();
}

interface ImageParts {
  readonly ebpf?: Uint8Array | undefined;
  readonly wasm?: Uint8Array;
  readonly metadata?: string;
}

/** A layout of one image; returns its path. */
async function image(parts: ImageParts): Promise<string> {
  const path = join(temporaryDirectory(), 'layout');
  const platform: GadgetPlatform = {
    architecture: ociArchitecture(),
    ...(parts.ebpf === undefined ? {} : { ebpf: parts.ebpf }),
    ...(parts.wasm === undefined ? {} : { wasm: parts.wasm }),
  };
  await buildGadgetImage(new Layout(path), {
    ref: 'bad:v1',
    metadata: Buffer.from(parts.metadata ?? 'name: bad\n'),
    platforms: [platform],
  });
  return path;
}

async function imageRefusal(parts: ImageParts, ...flags: string[]): Promise<string> {
  return refusal(['run', await image(parts), '--host', '--timeout', '5', ...flags], withoutStore());
}

/** Keeps transpiled modules and pulled images of tests out of this machine's own. */
function withoutStore(): IgOptions {
  return inMounts('mount -t tmpfs none /var/lib');
}

function inMounts(script: string): IgOptions {
  return { inside: ['unshare', '-m', 'sh', '-c', `${script} && exec "$@"`, 'sh'] };
}

describe('a user without the rights', () => {
  it('learns which capabilities are missing when not root', async () => {
    const said = await refusal(RUN, {
      inside: ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'],
      cwd: '/',
      env: { HOME: '/' },
    });
    expect(said).toMatch(/CAP_BPF and CAP_PERFMON.*root/);
  });

  it('learns which capabilities are missing as a root that has not all', async () => {
    const caps = '-bpf,-perfmon,-sys_admin';
    const said = await refusal(RUN, { inside: ['setpriv', `--inh-caps=${caps}`, `--bounding-set=${caps}`] });
    expect(said).toMatch(/CAP_BPF and CAP_PERFMON/);
  });

  it('learns it also of CAP_BPF alone', async () => {
    const caps = '-bpf,-sys_admin';
    const said = await refusal(RUN, { inside: ['setpriv', `--inh-caps=${caps}`, `--bounding-set=${caps}`] });
    expect(said).toContain('CAP_BPF');
    expect(said).not.toContain('CAP_PERFMON');
  });
});

describe('a kernel that lacks something', () => {
  it('is named for its missing type information', async () => {
    const said = await refusal(RUN, inMounts('mount -t tmpfs none /sys/kernel/btf'));
    expect(said).toContain('/sys/kernel/btf/vmlinux');
    expect(said).toContain('CONFIG_DEBUG_INFO_BTF');
  });

  it.skipIf(hasKprobes())('is named for its missing kprobes, with program and hook', async () => {
    const said = await imageRefusal({ ebpf: compileText(KPROBE) });
    expect(said).toContain('watch_unlink');
    expect(said).toContain('kprobe/do_unlinkat');
    expect(said).toContain('CONFIG_KPROBE_EVENTS');
  });
});

describe('an image that is not there', () => {
  let registry: RunningRegistry;
  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(() => registry.stop());

  it.each(['./nothing', '/nowhere/layout', './nothing.tar'])('is named: %s', async (path) => {
    expect(await refusal(['run', path, '--host'])).toContain(path);
  });

  it('is named when the registry has none', async () => {
    const name = `${registry.host}/x/nothing:v7`;
    expect(await refusal(['run', name, '--host', '--insecure-registries', registry.host])).toContain(name);
  });

  it('is not to be had without network, and the built-in gadgets are offered', async () => {
    const said = await refusal(['run', 'ghcr.io/x/trace_exec:v1', '--host'], { inside: ['unshare', '-n'] });
    expect(said).toContain('ghcr.io');
    expect(said).toContain('ig run trace_exec');
  });

  it.each(['x/UPPER:v1', 'a b', 'x@sha256:12', ''])('is refused for the name "%s"', async (name) => {
    expect(await refusal(['run', name, '--host'])).toContain(`"${name}" is not an image reference`);
  });
});

describe('a store that cannot be used', () => {
  it('is named with the file that is broken, and with what to do', async () => {
    const varLib = temporaryDirectory();
    const store = join(varLib, 'ig/oci-store');
    mkdirSync(store, { recursive: true });
    writeFileSync(join(store, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    writeFileSync(join(store, 'index.json'), '{ broken');
    const said = await refusal(
      ['run', 'ghcr.io/x/y:v1', '--host'],
      inMounts(`mount --bind ${varLib} /var/lib`),
    );
    expect(said).toContain('/var/lib/ig/oci-store/index.json');
    expect(said).toMatch(/remove|delete/);
  });

  it('does not matter to a built-in gadget when it cannot be written', async () => {
    const options = inMounts('mount -t tmpfs -o ro none /var/lib');
    const { status, stderr } = await runIg(
      ['run', 'trace_exec', '--host', '-o', 'none', '--timeout', '0.1'],
      options,
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });
});

describe('a damaged image', () => {
  /** The built-in gadget, with the largest blob of this machine's image changed. */
  async function damaged(damage: (blob: string) => void): Promise<{ path: string; digest: string }> {
    const path = await image({ ebpf, metadata });
    const index = await new Layout(path).list();
    const index0 = readJson(path, index[0]!.digest) as { manifests: { digest: string }[] };
    const manifest = readJson(path, index0.manifests[0]!.digest) as { layers: { digest: string }[] };
    const digest = manifest.layers[0]!.digest;
    damage(blobOf(path, digest));
    return { path, digest };
  }

  it('is refused for a missing blob, by digest', async () => {
    const { path, digest } = await damaged((blob) => rmSync(blob));
    expect(await refusal(['run', path, '--host'])).toContain(digest);
  });

  it('is refused for a blob that was changed, by digest', async () => {
    const { path, digest } = await damaged((blob) => {
      const bytes = readFileSync(blob);
      bytes[100]! ^= 1;
      writeFileSync(blob, bytes);
    });
    expect(await refusal(['run', path, '--host'])).toContain(digest);
  });

  it('is refused for a blob that was cut, by digest', async () => {
    const { path, digest } = await damaged((blob) =>
      writeFileSync(blob, readFileSync(blob).subarray(0, 1000)),
    );
    expect(await refusal(['run', path, '--host'])).toContain(digest);
  });

  it('is refused when it is a directory but no layout', async () => {
    const path = temporaryDirectory();
    expect(await refusal(['run', path, '--host'])).toContain(path);
  });

  it('is refused when it is no archive', async () => {
    const path = join(temporaryDirectory(), 'image.tar');
    writeFileSync(path, 'not a tar at all\n'.repeat(100));
    expect(await refusal(['run', path, '--host'])).toContain(path);
  });

  it('is refused when it is an archive of something else', async () => {
    const directory = temporaryDirectory();
    mkdirSync(join(directory, 'x'));
    cpSync('/etc/hostname', join(directory, 'x/hostname'));
    const path = join(directory, 'image.tar');
    await once(spawn('tar', ['-C', directory, '-cf', path, 'x']), 'exit');
    expect(await refusal(['run', path, '--host'])).toContain(path);
  });
});

describe('an image that is no good gadget', () => {
  it('is refused without an eBPF program', async () => {
    expect(await imageRefusal({ metadata: 'name: bad\n' })).toMatch(/bad.*no eBPF program/);
    expect(await imageRefusal({ metadata: 'name: bad\n', wasm: Buffer.from('\0asm') })).toMatch(
      /bad has no eBPF program: it is a filter .*`ig run trace_exec --wasm bad`$/,
    );
  });

  it.each([
    ['that is not YAML', 'name: [bad\n', /gadget\.yaml, line [12]/],
    ['with an unknown key', 'name: bad\ndatasource: {}\n', /gadget\.yaml.*unknown key "datasource"/],
    [
      'with an unknown key deep inside',
      'name: bad\nparams:\n  ebpf:\n    paths:\n      defaultvlue: 1\n',
      /params\.ebpf\.paths.*unknown key "defaultvlue"/,
    ],
    [
      'with a value of the wrong type',
      'name: bad\ndatasources:\n  exec: 7\n',
      /datasources\.exec: expected object, found 7/,
    ],
    ['without a name', 'description: none\n', /the key "name" is missing/],
    ['that is a list', '- name\n', /expected object/],
    [
      'with a program that is not there',
      'name: bad\nprograms:\n  nobody: {}\n',
      /programs\.nobody.*no such program/,
    ],
  ])('is refused for metadata %s', async (_, text, message) => {
    expect(await imageRefusal({ ebpf, metadata: text })).toMatch(message);
  });

  it.each([
    ['text', Buffer.from('int main() { return 0; }\n')],
    ['nothing', new Uint8Array(0)],
    ['a program of this machine', readFileSync('/bin/true')],
  ])('is refused when its eBPF object is %s', async (_, bytes) => {
    expect(await imageRefusal({ ebpf: bytes })).toMatch(/^Error: Cannot open eBPF object bad: .+$/m);
  });

  it('is refused when its eBPF object ends too early', async () => {
    expect(await imageRefusal({ ebpf: ebpf.subarray(0, 5000) })).toMatch(
      /^Error: Cannot open eBPF object bad: .+$/m,
    );
  });

  it('is refused when the verifier refuses its program, whose log comes with --verbose', async () => {
    const path = await image({ ebpf: compileBpf('refused') });
    const args = ['run', path, '--host', '--timeout', '5'];
    expect(await refusal(args)).toMatch(/verifier refused program careless/);
    const { status, stderr } = await runIg([...args, '-v']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/BEGIN PROG LOAD LOG/);
    expect(stderr).toMatch(/invalid mem access/);
  });
});

describe('a command line', () => {
  const usage = (...words: string[]): Promise<string> => refusal(words, { status: USAGE });

  it.each([
    ['an unknown flag, with the nearest', ['--hosst'], '--host'],
    ["an unknown flag, with the nearest of the gadget's own", ['--pats'], '--paths'],
    ['a number that is none', ['--max-entries', 'many'], '--max-entries'],
    ['a time that is none', ['--timeout', 'soon'], '--timeout'],
    ['a time that no timer can wait', ['--timeout', '9999999'], '--timeout'],
    ['a negative time', ['--timeout', '-1'], '--timeout'],
    ['a flag without its value', ['--filter'], '--filter'],
    ['a second gadget', ['trace_open'], 'trace_open'],
  ])('is refused for %s', async (_, words, named) => {
    expect(await usage('run', 'trace_exec', ...words)).toContain(named);
  });

  it.each([
    ['an unknown field, with the nearest', ['--fields', 'proc.com'], 'proc.comm'],
    ['an unknown field in a filter, with the nearest', ['--filter', 'proc.com==x'], 'proc.comm'],
    ['a filter without operator', ['--filter', 'proc.comm'], 'proc.comm'],
    ['a filter that compares a number with text', ['--filter', 'proc.pid==abc'], 'proc.pid'],
    ['a filter with half a regular expression', ['--filter', 'proc.comm~('], 'proc.comm'],
    ['an unknown output mode', ['-o', 'jsn'], 'json'],
    ['a pid that is no number', ['--pid', 'abc'], '--pid'],
    ['a pid that is too large', ['--pid', '99999999999'], '--pid'],
    ['a truth that is none', ['--paths=maybe'], '--paths'],
    ['a name that is too long', ['--comm', 'longer-than-fifteen-characters'], '--comm'],
    ['an order of what has none', ['--sort', 'proc.pid'], '--sort'],
    ['an empty container name', ['-c', 'a,,b'], 'a,,b'],
    ['a summary of what is no JSON', ['--summary'], '-v says it'],
    ['statistics that have no place', ['--stats-output', '/nowhere/stats'], '/nowhere/stats'],
  ])('is refused for %s', async (_, words, named) => {
    expect(await refusal([...RUN, ...words])).toContain(named);
  });

  it.each([
    ['an unknown command, with the nearest', ['rn'], 'run'],
    ['an unknown command of trace, with the nearest', ['trace', 'exce'], 'exec'],
    ['a shell that is missing', ['completion'], 'shell'],
    ['an unknown flag of another command', ['list-gadgets', '--bogus'], '--bogus'],
    ['a word too many', ['version', 'extra'], 'version'],
    ['an unknown shell', ['completion', 'tcsh'], 'fish'],
    ['an unknown output of the list', ['list-gadgets', '-o', 'xml'], 'json'],
  ])('is refused for %s', async (_, words, named) => {
    expect(await usage(...words)).toContain(named);
  });

  it('is refused for a column that the classic view lacks, with the nearest', async () => {
    const words = ['trace', 'exec', '--host', '-o', 'columns=comm,upperlyer'];
    expect(await usage(...words)).toContain('upperlayer');
  });

  it('is refused without a gadget', async () => {
    expect(await usage('run')).toContain('ig list-gadgets');
  });
});

describe('a Wasm module', { timeout: 90_000 }, () => {
  let work: string;
  const modules = new Map<string, Uint8Array>();

  beforeAll(async () => {
    work = createTemporaryDirectory();
    for (const [name, body] of Object.entries(PROGRAMS)) {
      const path = join(work, `${name}.ts`);
      writeFileSync(
        path,
        `import { Source, fail, onInit } from 'ig';\nconst exec = new Source('exec');\n${body}\n`,
      );
      modules.set(name, await buildComponent(path));
    }
  });
  afterAll(() => removeDirectory(work));

  it('is refused when it is text, a core module, or cut', async () => {
    expect(await imageRefusal({ ebpf, metadata, wasm: Buffer.from('(module)') })).toMatch(/not WebAssembly/);
    const core = Buffer.from('\0asm\x01\0\0\0', 'latin1');
    expect(await imageRefusal({ ebpf, metadata, wasm: core })).toMatch(/core module.*component/);
    const cut = modules.get('traps')!.subarray(0, 200);
    expect(await imageRefusal({ ebpf, metadata, wasm: cut })).toMatch(/Wasm/);
  });

  it('is refused when it imports something, by name', async () => {
    const wasm = await parse('(component (import "wasi:io/poll@0.2.0" (instance (export "f" (func)))))');
    expect(await imageRefusal({ ebpf, metadata, wasm })).toContain('wasi:io/poll@0.2.0');
  });

  it('is refused when it wants a field that the gadget has not', async () => {
    const said = await imageRefusal({ ebpf, metadata, wasm: modules.get('wrongField')! });
    expect(said).toContain('no_such_field');
  });

  it('is refused in its own words when it does not want to start', async () => {
    const said = await imageRefusal({ ebpf, metadata, wasm: modules.get('unwilling')! });
    expect(said).toContain('not on a Monday');
  });

  it('is refused when it hangs while it starts', async () => {
    const path = await image({ ebpf, metadata, wasm: modules.get('hangsAtStart')! });
    const ig = Ig.start(['run', path, '--host'], withoutStore());
    await ig.until(() => ig.stderr !== '', 'it says that it hangs');
    const { status, stderr } = await ig.end();
    expect(stderr).toMatch(/^Error: .*did not start.*\n$/);
    expect(status).toBe(1);
  });

  it('that hangs while it starts can be interrupted', async () => {
    const path = await image({ ebpf, metadata, wasm: modules.get('hangsAtStart')! });
    const ig = Ig.start(['run', path, '--host'], withoutStore());
    await sleep(2000);
    expect((await ig.stop()).stderr).toBe('');
  });

  /** Has programs executed until ig says what is waited for. */
  async function execUntil(ig: Ig, condition: () => boolean): Promise<void> {
    const loop = spawn('sh', ['-c', 'while :; do /bin/true; sleep 0.05; done'], {
      stdio: 'ignore',
      uid: UID,
    });
    try {
      await ig.until(condition);
    } finally {
      loop.kill('SIGKILL');
      await once(loop, 'exit');
    }
  }

  it.each([
    [
      'traps on every event',
      'traps',
      /^Warning: the gadget's Wasm module failed in process: .*unreachable.*$/m,
    ],
    [
      'loops for ever on every event',
      'hangs',
      /^Warning: the gadget's Wasm module took longer than \d+ ms .*$/m,
    ],
    ['eats memory on every event', 'eats', /^Warning: the gadget's Wasm module failed in process: .*$/m],
  ])('that %s is left out after three failures, and the losses are counted', async (_, name, warning) => {
    // Of these modules, trace_exec's gadget.yaml does not know what they read.
    const unsaid = metadata.replaceAll('wasm.reads', 'x.reads');
    const path = await image({ ebpf, metadata: unsaid, wasm: modules.get(name)! });
    const flags = ['--host', '-o', 'json', '--uid', String(UID)];
    const ig = await Ig.tracingQuietly(['run', path, ...flags], withoutStore());
    await execUntil(ig, () => ig.stderr.includes('; events go on without the module\n'));
    const { status, stderr } = await ig.stop();
    expect(status).toBe(0);
    expect(stderr).toMatch(warning);
    expect(stderr.match(/; its batch is lost$/gm)).toHaveLength(1);
    expect(stderr.match(/; its batch is lost, and events go on without the module for 1 s$/gm)).toHaveLength(
      1,
    );
    expect(stderr.match(/; events go on without the module$/gm)).toHaveLength(1);
    const [, delivered, lost, guest] =
      /^(\d+) events delivered, (\d+) lost \((\d+) Wasm module failed\)$/m.exec(stderr) ?? [];
    expect(Number(delivered)).toBe(ig.events().length);
    expect(Number(lost)).toBeGreaterThanOrEqual(3);
    expect(guest).toBe(lost);
    expect(stderr.trimEnd().split('\n')).toHaveLength(4);
  });
});

const PROGRAMS = {
  traps: 'exec.onEvent(() => { unreachable(); return true; });',
  hangs: 'exec.onEvent(() => { while (true) {} return true; });',
  hangsAtStart: 'onInit(() => { while (true) {} });\nexec.onEvent(() => true);',
  eats: 'exec.onEvent(() => { while (memory.grow(16) >= 0) {} const a = new Uint8Array(1 << 29); return a[7] == 0; });',
  wrongField: "const it = exec.u32('no_such_field');\nexec.onEvent(() => it.value == 0);",
  unwilling: "onInit(() => { fail('not on a Monday'); });\nexec.onEvent(() => true);",
};

const KPROBE = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("kprobe/do_unlinkat")
int watch_unlink(void *ctx) { return 0; }
char LICENSE[] SEC("license") = "GPL";
`;

function compileText(text: string): Uint8Array {
  const path = join(temporaryDirectory(), 'program.bpf.c');
  writeFileSync(path, text);
  return compileFile(path);
}

function hasKprobes(): boolean {
  try {
    readFileSync('/sys/bus/event_source/devices/kprobe/type');
    return true;
  } catch {
    return false;
  }
}

function blobOf(layout: string, digest: string): string {
  return join(layout, 'blobs', ...digest.split(':'));
}

function readJson(layout: string, digest: string): unknown {
  return JSON.parse(readFileSync(blobOf(layout, digest), 'utf8'));
}
