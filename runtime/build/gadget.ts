// From a folder of sources to the parts of a gadget image: compiles, checks, keeps what was asked for.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type GadgetImageSpec, type GadgetPlatform, sourceDate } from '../../oci/gadget-image.js';
import { readBuildFile } from './build-file.js';
import { ARCHITECTURES, type Architecture, compileEbpf, findToolchain, prebuiltObjects } from './ebpf.js';
import { BuildError } from './errors.js';
import { GadgetFolder } from './folder.js';
import type { BuildListener, BuildOptions, Job, Wasm } from './job.js';
import { annotationsOf, metadataOf } from './metadata.js';
import { planBuild } from './plan.js';
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
  const scratch = mkdtempSync(join(tmpdir(), 'ig-build-'));
  try {
    const job: Job = { folder, plan, options, listener, scratch, cacheDir: options.cacheDir ?? join(scratch, 'cache') };
    const objects = await objectsOf(job);
    const wasm = await wasmOf(job);
    const { bytes, metadata } = await metadataOf(job, objects, wasm);
    const architectures = objects.size === 0 ? ALL : [...objects.keys()];
    return {
      wasm: wasm?.bytes,
      platforms: architectures.map((architecture) => platform(architecture, objects.get(architecture), wasm?.bytes)),
      annotations: annotationsOf(metadata, options.builderVersion),
      ...(bytes === undefined ? {} : { metadata: bytes }),
      ...(created === undefined ? {} : { created }),
    };
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

async function step<T>({ listener }: Job, id: string, title: string, work: () => Promise<T>): Promise<T> {
  listener.progress.begin(id, title, 0);
  const result = await work();
  listener.progress.end(id);
  return result;
}

async function wasmOf(job: Job): Promise<Wasm | undefined> {
  const { folder, plan, listener, scratch } = job;
  const name = plan.wasm;
  if (name === undefined) return undefined;
  return step(job, 'wasm', `${name.endsWith('.wasm') ? 'check' : 'compile'} ${name}`, async () => {
    const bytes = await buildWasm(folder, name, join(scratch, 'program.wasm'), (text) => listener.output(text));
    const form = await checkWasm(bytes, folder.pathOf(name), job.cacheDir);
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
  for (const architecture of ALL) {
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
