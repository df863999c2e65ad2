// Compiles a gadget's eBPF part, or takes it prebuilt, for every architecture that images are for.

import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BuildError } from './errors.js';
import type { GadgetFolder } from './folder.js';
import { runTool } from './run-tool.js';

/** OCI's name of an architecture → libbpf's. */
export const ARCHITECTURES = { amd64: 'x86', arm64: 'arm64' } as const;
export type Architecture = keyof typeof ARCHITECTURES;

/** vmlinux.h, gadget/*.h and, as shipped, libbpf's bpf/*.h. */
const INCLUDE = fileURLToPath(new URL('../../bpf/include', import.meta.url));
const OLDEST_CLANG = 16;
const NEWEST_CLANG = 30;

/** One version of clang and its LLVM tools. */
export interface Toolchain {
  readonly clang: string;
  readonly strip: string;
}

/** The environment's CLANG and LLVM_STRIP, else the first clang that is new enough. Throws BuildError. */
export async function findToolchain(env: NodeJS.ProcessEnv): Promise<Toolchain> {
  const clang = await findClang(env['CLANG']);
  const strips = env['LLVM_STRIP'] ? [env['LLVM_STRIP']] : await stripsOf(clang);
  for (const strip of strips) {
    if ((await runTool(strip, ['--version'])) !== undefined) return { clang, strip };
  }
  throw new BuildError(
    `cannot run ${strips[0]}, which takes debug info out of eBPF objects; install llvm of the version of ${clang} ` +
      `(Debian: apt install llvm-${OLDEST_CLANG}), or name it in LLVM_STRIP`,
  );
}

async function findClang(named: string | undefined): Promise<string> {
  const numbered = Array.from({ length: NEWEST_CLANG - OLDEST_CLANG + 1 }, (_, i) => `clang-${NEWEST_CLANG - i}`);
  const found: string[] = [];
  for (const name of named ? [named] : ['clang', ...numbered]) {
    const version = (await runTool(name, ['-dumpversion']))?.output.trim();
    if (version === undefined) continue;
    if (Number.parseInt(version, 10) >= OLDEST_CLANG) return name;
    found.push(`${name} is ${version === '' ? 'no clang' : version}`);
  }
  const what = named ? `CLANG is ${named}` : 'there is none';
  throw new BuildError(
    `compiling eBPF needs clang ${OLDEST_CLANG} or newer, but ${found.join(', ') || `${what} here`}; install clang ` +
      `(Debian: apt install clang-${OLDEST_CLANG} llvm-${OLDEST_CLANG}), or name it in CLANG`,
  );
}

/** `clang-19` brings `llvm-strip-19`; elsewhere it lies beside clang under its plain name. */
async function stripsOf(clang: string): Promise<string[]> {
  const name = basename(clang).replace('clang', 'llvm-strip');
  const beside = (await runTool(clang, ['-print-prog-name=llvm-strip']))?.output.trim();
  return [clang.includes('/') ? join(dirname(clang), name) : name, beside || 'llvm-strip'];
}

export interface CompileOptions {
  readonly cflags: readonly string[];
  /** Whether the compiler's output may be coloured. */
  readonly color: boolean;
  /** Takes what the compiler says, also when it succeeds. */
  readonly output: (text: string) => void;
}

/**
 * Compiles `source`, a file of `folder`, to `object`; debug info goes, BTF stays. The same source gives the same bytes
 * wherever the folder and this program lie. Throws BuildError.
 */
export async function compileEbpf(
  { clang, strip }: Toolchain,
  folder: GadgetFolder,
  source: string,
  architecture: Architecture,
  object: string,
  options: CompileOptions,
): Promise<Uint8Array> {
  const flags = [
    ...['-O2', '-g', '-Wall', '-target', 'bpf', '-mcpu=v3'],
    `-D__TARGET_ARCH_${ARCHITECTURES[architecture]}`,
    // BTF keeps the names of source files.
    ...[`-ffile-prefix-map=${folder.root}=.`, `-ffile-prefix-map=${INCLUDE}=include`, '-ffile-compilation-dir=.'],
    ...['-I', INCLUDE],
    ...(options.color ? ['-fcolor-diagnostics'] : []),
    ...options.cflags,
  ];
  const compiled = await runTool(clang, [...flags, '-c', `./${source}`, '-o', object], folder.root);
  options.output(compiled?.output ?? '');
  if (!compiled?.ok) {
    throw new BuildError(`${clang} could not compile ${folder.pathOf(source)} for ${architecture}; see what it says above`);
  }
  const stripped = await runTool(strip, ['-g', object]);
  if (!stripped?.ok) {
    options.output(stripped?.output ?? '');
    throw new BuildError(`${strip} could not take the debug info out of the object of ${folder.pathOf(source)}`);
  }
  return readFileSync(object);
}

/**
 * The prebuilt objects that `file` (`program.o`) names: of each architecture its own (`program.amd64.o`), or else the
 * file itself. Architectures without are left out; throws BuildError when that is all of them.
 */
export function prebuiltObjects(folder: GadgetFolder, file: string): Map<Architecture, Uint8Array> {
  const objects = new Map<Architecture, Uint8Array>();
  const tried: string[] = [];
  for (const architecture of Object.keys(ARCHITECTURES) as Architecture[]) {
    const own = file.replace(/(\.bpf)?\.o$/, (ending) => `.${architecture}${ending}`);
    tried.push(own);
    const name = [own, file].find((candidate) => folder.find(candidate) !== undefined);
    if (name !== undefined) objects.set(architecture, elf(folder.read(name, 'eBPF object'), folder.pathOf(name)));
  }
  if (objects.size > 0) return objects;
  throw new BuildError(
    `there is no eBPF object ${folder.pathOf(file)}, nor one of an architecture's own (${tried.join(', ')})`,
  );
}

/** Checks magic, class (64 bit), byte order (little) and machine (EM_BPF, 247): elf(5). */
function elf(bytes: Uint8Array, path: string): Uint8Array {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 20));
  const isBpf =
    head.length === 20 && head.readUInt32BE(0) === 0x7f454c46 && head.readUInt16BE(4) === 0x0201 && head.readUInt16LE(18) === 247;
  if (isBpf) return bytes;
  throw new BuildError(`${path} is not an eBPF object (64 bit, little endian ELF); compile it with clang -target bpf -g`);
}
