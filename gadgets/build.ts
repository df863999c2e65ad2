// Builds every gadget of this folder into an OCI layout, dist/images: the built-in gadgets, shipped with the package.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { ANNOTATION } from '../oci/descriptor.js';
import { buildGadgetImage, sourceDate } from '../oci/gadget-image.js';
import { Layout } from '../oci/layout.js';
import { Gadget } from '../runtime/gadget/gadget.js';
import type { Metadata } from '../runtime/gadget/metadata.js';
import { version } from '../runtime/cli/version.js';
import { prepareComponent } from '../wasm/host/component.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OUT = join(ROOT, 'dist/images');
/** Built here and put in place only when all are built. */
const NEW = join(ROOT, 'build/images');
const CLANG = process.env['CLANG'] ?? 'clang';
/** OCI's name of an architecture → libbpf's. */
const ARCHITECTURES = { amd64: 'x86', arm64: 'arm64' } as const;

/** Compiles for one architecture; debug info goes, BTF stays. */
function compile(source: string, target: string, output: string): Uint8Array {
  const flags = ['-O2', '-g', '-Wall', '-Werror', '-target', 'bpf', '-mcpu=v3', `-D__TARGET_ARCH_${target}`];
  const prefix = `-ffile-prefix-map=${ROOT}=`;
  execFileSync(CLANG, [...flags, prefix, '-I', join(ROOT, 'bpf/include'), '-c', source, '-o', output], {
    stdio: 'inherit',
  });
  execFileSync(CLANG.replace('clang', 'llvm-strip'), ['-g', output], { stdio: 'inherit' });
  return readFileSync(output);
}

function buildWasm(folder: string, output: string): Uint8Array | undefined {
  const source = join(folder, 'wasm/program.ts');
  if (!existsSync(source)) return undefined;
  execFileSync(process.execPath, [join(ROOT, 'wasm/sdk/assemblyscript/build.js'), source, output], {
    stdio: 'inherit',
  });
  return readFileSync(output);
}

function annotationsOf(metadata: Metadata): Record<string, string> {
  const words = {
    [ANNOTATION.title]: metadata.name,
    [ANNOTATION.description]: metadata.description,
    [ANNOTATION.url]: metadata.homepageURL,
    [ANNOTATION.documentation]: metadata.documentationURL,
    [ANNOTATION.source]: metadata.sourceURL,
    [ANNOTATION.builderVersion]: `v${version()}`,
    ...metadata.annotations,
  };
  return Object.fromEntries(Object.entries(words).filter(([, value]) => value !== ''));
}

async function build(name: string, layout: Layout, scratch: string): Promise<void> {
  const folder = join(ROOT, 'gadgets', name);
  const metadata = readFileSync(join(folder, 'gadget.yaml'));
  const wasm = buildWasm(folder, join(scratch, `${name}.wasm`));
  const platforms = Object.entries(ARCHITECTURES).map(([architecture, target]) => ({
    architecture,
    ebpf: compile(join(folder, 'program.bpf.c'), target, join(scratch, `${name}.${target}.o`)),
    ...(wasm === undefined ? {} : { wasm }),
  }));
  const gadget = await Gadget.open(name, { ...platforms[0]!, metadata }, false);
  // JSON is YAML too, and quicker to read.
  const json = Buffer.from(JSON.stringify(parse(metadata.toString())));
  const created = sourceDate(process.env);
  const descriptor = await buildGadgetImage(layout, {
    ref: name,
    metadata: json,
    platforms,
    annotations: annotationsOf(gadget.metadata),
    ...(created === undefined ? {} : { created }),
  });
  gadget.close();
  // Transpiled here once, so that no user waits for it at the first run.
  if (wasm !== undefined) await prepareComponent(wasm, { cacheDirs: [join(NEW, 'wasm-cache')] });
  process.stdout.write(`${name} ${descriptor.digest}\n`);
}

const names = readdirSync(join(ROOT, 'gadgets')).filter((name) =>
  existsSync(join(ROOT, 'gadgets', name, 'program.bpf.c')),
);
rmSync(NEW, { recursive: true, force: true });
mkdirSync(NEW, { recursive: true });
const scratch = mkdtempSync(join(ROOT, 'build/gadgets-'));
try {
  const layout = new Layout(NEW);
  for (const name of names) {
    try {
      await build(name, layout, scratch);
    } catch (error) {
      // A compiler has said already what it found.
      process.stderr.write(
        `Error: gadget ${name}: ${error instanceof Error ? error.message : String(error)}\n`,
      );
      process.exitCode = 1;
    }
  }
  if (process.exitCode !== 1) {
    rmSync(OUT, { recursive: true, force: true });
    renameSync(NEW, OUT);
  }
} finally {
  rmSync(scratch, { recursive: true });
}
