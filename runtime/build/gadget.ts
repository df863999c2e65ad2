// From a folder of sources to the parts of a gadget image: compiles, checks, keeps what was asked for.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GadgetImageSpec, type GadgetPlatform, sourceDate } from '../../oci/gadget-image.js';
import type { Metadata } from '../gadget/metadata.js';
import { makeScratch } from '../scratch.js';
import { readBuildFile } from './build-file.js';
import { ARCHITECTURES, type Architecture, compileEbpf, findToolchain, prebuiltObjects } from './ebpf.js';
import { BuildError } from './errors.js';
import { GadgetFolder } from './folder.js';
import type { BuildListener, BuildOptions, Job, Wasm } from './job.js';
import { WASM_SOURCES, type WasmSource } from './language.js';
import { annotationsOf, metadataOf, readFolderMetadata } from './metadata.js';
import { planBuild, planEbpf, planWasm } from './plan.js';
import { buildWasm, checkWasm } from './wasm.js';

/** The parts of an image, ready for `buildGadgetImage`. */
export interface BuiltGadget extends Omit<GadgetImageSpec, 'ref'> {
  readonly wasm: Uint8Array | undefined;
}

/** What the gadget in the folder `path` is called unless something says otherwise. Throws BuildError. */
export function gadgetName(path: string): string {
  return new GadgetFolder(path).name;
}

/** Builds the gadget in the folder `path`. Throws BuildError, MetadataError, GadgetError, BpfError. */
export async function buildGadget(
  path: string,
  options: BuildOptions,
  listener: BuildListener,
): Promise<BuiltGadget> {
  const created = sourceDate(options.env);
  const folder = new GadgetFolder(path);
  const plan = planBuild(folder, readBuildFile(folder, options.buildFile), options);
  return withScratch(async (scratch) => {
    const job: Job = { folder, plan, options, listener, scratch, cacheDir: options.cacheDir ?? join(scratch, 'cache') };
    const objects = await objectsOf(job);
    const wasm = plan.wasm && (await wasmOf(job, plan.wasm));
    const { bytes, metadata } = await metadataOf(job, objects, wasm);
    const architectures = objects.size === 0 ? ALL : [...objects.keys()];
    return {
      wasm: wasm?.bytes,
      platforms: architectures.map((architecture) => platform(architecture, objects.get(architecture), wasm?.bytes)),
      annotations: annotationsOf(metadata, options.builderVersion),
      ...(bytes === undefined ? {} : { metadata: bytes }),
      ...(created === undefined ? {} : { created }),
    };
  });
}

/** The Wasm part of a folder, which may have others. */
export interface BuiltWasm {
  readonly bytes: Uint8Array;
  /** What gadget.yaml says; without one, the name alone. */
  readonly metadata: Metadata;
  /** Whether there is no eBPF part beside it. */
  readonly isFilter: boolean;
}

/** Builds the Wasm part of the folder `path`, and nothing else. Throws BuildError, MetadataError. */
export async function buildWasmPart(
  path: string,
  { cacheDir, validate }: { readonly cacheDir: string; readonly validate: boolean },
  listener: BuildListener,
): Promise<BuiltWasm> {
  const folder = new GadgetFolder(path);
  const file = readBuildFile(folder, undefined);
  const source = planWasm(folder, file);
  if (source === undefined) {
    throw new BuildError(
      `there is no Wasm source in ${folder.path}: no ${WASM_SOURCES.join(', no ')}, and no build.yaml that names another`,
    );
  }
  const metadata = await readFolderMetadata(folder, file, validate);
  const { bytes } = await withScratch((scratch) => wasmOf({ folder, listener, scratch, cacheDir }, source));
  return { bytes, metadata, isFilter: planEbpf(folder, file) === undefined };
}

async function withScratch<T>(work: (scratch: string) => Promise<T>): Promise<T> {
  const scratch = makeScratch();
  try {
    return await work(scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Writes the compiled parts into `directory`: amd64.bpf.o, arm64.bpf.o, program.wasm. Throws BuildError. */
export function keepParts({ platforms, wasm }: BuiltGadget, directory: string): void {
  try {
    mkdirSync(directory, { recursive: true });
    for (const { architecture, ebpf } of platforms) {
      if (ebpf !== undefined) writeFileSync(join(directory, `${architecture}.bpf.o`), ebpf);
    }
    if (wasm !== undefined) writeFileSync(join(directory, 'program.wasm'), wasm);
  } catch (cause) {
    throw new BuildError(`cannot keep the compiled parts in ${directory}: ${(cause as Error).message}`, { cause });
  }
}

const ALL = Object.keys(ARCHITECTURES) as Architecture[];

function platform(
  architecture: string,
  ebpf: Uint8Array | undefined,
  wasm: Uint8Array | undefined,
): GadgetPlatform {
  return { architecture, ...(ebpf === undefined ? {} : { ebpf }), ...(wasm === undefined ? {} : { wasm }) };
}

async function step<T>(
  { listener }: Pick<Job, 'listener'>,
  id: string,
  title: string,
  work: () => Promise<T>,
): Promise<T> {
  listener.progress.begin(id, title, 0);
  const result = await work();
  listener.progress.end(id);
  return result;
}

async function wasmOf(
  job: Pick<Job, 'folder' | 'listener' | 'scratch' | 'cacheDir'>,
  source: WasmSource,
): Promise<Wasm> {
  const { folder, listener, scratch } = job;
  const { file, language } = source;
  return step(job, 'wasm', `${language === undefined ? 'check' : 'compile'} ${file}`, async () => {
    const bytes = await buildWasm(folder, source, join(scratch, 'program.wasm'), (text) => listener.output(text));
    const form = await checkWasm(bytes, folder.pathOf(file), job.cacheDir);
    return { bytes, isComponent: form === 'component' };
  });
}

async function objectsOf(job: Job): Promise<Map<Architecture, Uint8Array>> {
  const { folder, plan, options, listener, scratch } = job;
  const name = plan.ebpf;
  if (name === undefined) return new Map();
  if (name.endsWith('.o')) return prebuilt(job, name);
  const toolchain = await findToolchain(options.env);
  const objects = new Map<Architecture, Uint8Array>();
  for (const architecture of options.architectures ?? ALL) {
    const compile = (): Promise<Uint8Array> =>
      compileEbpf(toolchain, folder, name, architecture, join(scratch, `${architecture}.o`), {
        cflags: [...(options.cflags ?? []), ...plan.cflags],
        color: listener.color,
        output: (text) => listener.output(text),
      });
    objects.set(architecture, await step(job, architecture, `compile ${name} for ${architecture}`, compile));
  }
  return objects;
}

function prebuilt({ folder, listener }: Job, name: string): Map<Architecture, Uint8Array> {
  const objects = prebuiltObjects(folder, name);
  const missing = ALL.filter((architecture) => !objects.has(architecture));
  if (missing.length > 0) {
    listener.note(`There is no eBPF object for ${missing.join(', ')}, so the image will not run there.`);
  }
  return objects;
}
