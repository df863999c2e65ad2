// @ts-check
// Makes what the benchmark runs: its C programs and the two gadget images that no user has.

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ociArchitecture } from '../../dist/oci/descriptor.js';
import { buildGadgetImage, readGadgetImage } from '../../dist/oci/gadget-image.js';
import { Layout } from '../../dist/oci/layout.js';
import { parseReference } from '../../dist/oci/reference.js';
import { ARCHITECTURES } from '../../dist/runtime/build/ebpf.js';
import { build as buildWasm } from '../../wasm/sdk/assemblyscript/build.js';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const IG = [process.execPath, join(ROOT, 'dist/runtime/cli/ig.js')];
/** Everything made here, and the tracers' output. */
export const OUT = join(ROOT, 'build/bench');

const SOURCES = fileURLToPath(new URL('.', import.meta.url));
const OLDEST_CLANG = 16;
const NEWEST_CLANG = 22;
/** What execgen puts before the name it is given. */
const PREFIX = join(OUT, 'bench-');

/**
 * What the measured binary is called: in its path, which execgen alone executes, and so in each event of it.
 * `warm` is the same program by another name, for what is executed before the measurement.
 */
export const MEASURED = 'bench-noop';
export const BINARIES = { measured: 'noop', warm: 'warm' };

export const PROGRAMS = {
  execgen: join(OUT, 'execgen'),
  feeder: join(OUT, 'feeder'),
  floor: join(OUT, 'floor'),
  many: join(OUT, 'many'),
  /** What `floor` loads. */
  traceExecObject: join(OUT, 'trace_exec.bpf.o'),
};
const EXECS_OBJECT = join(OUT, 'exec.bpf.o');
export const IMAGES = {
  traceExecWithoutWasm: join(OUT, 'trace-exec-without-wasm'),
  execs: join(OUT, 'execs'),
  execsWithoutWasm: join(OUT, 'execs-without-wasm'),
  feed: join(OUT, 'feed'),
  feedWithoutWasm: join(OUT, 'feed-without-wasm'),
};

/** Builds all of the above. Throws with the compiler's words. */
export async function build() {
  rmSync(OUT, { recursive: true, force: true });
  mkdirSync(OUT, { recursive: true });
  compileHost('../live/programs/tiny.c', `${PREFIX}${BINARIES.measured}`, ['-static', '-nostdlib']);
  copyFileSync(`${PREFIX}${BINARIES.measured}`, `${PREFIX}${BINARIES.warm}`);
  compileHost('execgen.c', PROGRAMS.execgen, [`-DPREFIX="${PREFIX}"`]);
  compileHost('feeder.c', PROGRAMS.feeder, ['-lbpf']);
  compileHost('../engines/many.c', PROGRAMS.many, []);
  compileHost('floor.c', PROGRAMS.floor, ['-I', join(ROOT, 'bpf/include'), '-lbpf']);
  await buildExecs();
  await buildFeed();
}

/** @type {(source: string, output: string, flags: readonly string[]) => void} */
function compileHost(source, output, flags) {
  execFileSync('cc', ['-O2', '-Wall', '-o', output, join(SOURCES, source), ...flags], { stdio: 'inherit' });
}

/** @type {(source: string, output: string) => void} */
function compileBpf(source, output) {
  const target = ['-target', 'bpf', '-mcpu=v3', `-D__TARGET_ARCH_${ARCHITECTURES[ociArchitecture()]}`];
  const flags = ['-O2', '-g', '-Wall', ...target, '-I', join(ROOT, 'bpf/include')];
  execFileSync(findClang(), [...flags, '-c', join(SOURCES, source), '-o', output], { stdio: 'inherit' });
}

function findClang() {
  const names = ['clang'];
  for (let version = NEWEST_CLANG; version >= OLDEST_CLANG; version--) names.push(`clang-${version}`);
  const found = names.find((name) => Number.parseInt(outputOf(name, ['-dumpversion']), 10) >= OLDEST_CLANG);
  if (found === undefined) throw new Error(`the benchmark needs clang ${OLDEST_CLANG} or newer: install it`);
  return found;
}

/**
 * What a program prints, or nothing when it is not there.
 * @type {(program: string, args: readonly string[]) => string}
 */
export function outputOf(program, args) {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return '';
  }
}

/**
 * The built-in trace_exec as it is, but for its Wasm module: to see what the module costs. And both with the program
 * of exec.bpf.c, which makes up its events. And its eBPF program alone.
 */
async function buildExecs() {
  const { architecture, metadata, ebpf, wasm } = await readTraceExec();
  writeFileSync(PROGRAMS.traceExecObject, ebpf);
  compileBpf('exec.bpf.c', EXECS_OBJECT);
  const fed = readFileSync(EXECS_OBJECT);
  await buildImage(IMAGES.traceExecWithoutWasm, metadata, { architecture, ebpf });
  await buildImage(IMAGES.execs, metadata, { architecture, ebpf: fed, wasm });
  await buildImage(IMAGES.execsWithoutWasm, metadata, { architecture, ebpf: fed });
}

async function readTraceExec() {
  const builtin = new Layout(join(ROOT, 'dist/images'));
  const descriptor = await builtin.resolve(String(parseReference('trace_exec')));
  const architecture = ociArchitecture();
  const { metadata, ebpf, wasm } = await readGadgetImage(builtin, descriptor, { architecture });
  if (metadata === undefined || ebpf === undefined || wasm === undefined)
    throw new Error('trace_exec has not all parts of a gadget');
  return { architecture, metadata, ebpf, wasm };
}

/** @type {(path: string, metadata: Uint8Array | undefined, platform: { architecture: string, ebpf: Uint8Array, wasm?: Uint8Array }) => Promise<unknown>} */
function buildImage(path, metadata, platform) {
  const parts = metadata === undefined ? {} : { metadata };
  return buildGadgetImage(new Layout(path), { ref: basename(path), ...parts, platforms: [platform] });
}

/** The gadget of synthetic events, with and without a Wasm module. */
async function buildFeed() {
  const architecture = ociArchitecture();
  const object = join(OUT, 'feed.bpf.o');
  compileBpf('feed.bpf.c', object);
  const ebpf = readFileSync(object);
  // The compiler wants its source to be named .ts; here it must not be, as it is not TypeScript.
  const program = join(OUT, 'feed-program.ts');
  copyFileSync(join(SOURCES, 'feed.as'), program);
  const wasm = await buildWasm(program);
  await buildImage(IMAGES.feed, undefined, { architecture, ebpf, wasm });
  await buildImage(IMAGES.feedWithoutWasm, undefined, { architecture, ebpf });
}
