// Builds every gadget of this folder into an OCI layout, dist/images: the built-in gadgets, shipped with the package.

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { buildGadgetImage } from '../oci/gadget-image.js';
import { Layout } from '../oci/layout.js';
import { buildGadget } from '../runtime/build/gadget.js';
import type { BuildListener } from '../runtime/build/job.js';
import { version } from '../runtime/cli/version.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OUT = join(ROOT, 'dist/images');
/** Built here and put in place only when all are built. */
const NEW = join(ROOT, 'build/images');

const LISTENER: BuildListener = {
  progress: { begin: () => undefined, advance: () => undefined, end: () => undefined },
  output: (text) => void process.stderr.write(text),
  note: (sentence) => void process.stderr.write(`${sentence}\n`),
  color: process.stderr.isTTY,
};

async function build(name: string, layout: Layout): Promise<void> {
  const options = {
    validate: true,
    updateMetadata: false,
    cflags: ['-Werror'],
    // Transpiled here once, so that no user waits for it at the first run.
    cacheDir: join(NEW, 'wasm-cache'),
    env: process.env,
    builderVersion: `v${version()}`,
  };
  const { metadata, ...gadget } = await buildGadget(join(ROOT, 'gadgets', name), options, LISTENER);
  // JSON is YAML too, and quicker to read.
  const json = Buffer.from(JSON.stringify(parse(Buffer.from(metadata!).toString())));
  const { digest } = await buildGadgetImage(layout, { ...gadget, metadata: json, ref: name });
  process.stdout.write(`${name} ${digest}\n`);
}

const names = readdirSync(join(ROOT, 'gadgets')).filter((name) =>
  existsSync(join(ROOT, 'gadgets', name, 'gadget.yaml')),
);
rmSync(NEW, { recursive: true, force: true });
mkdirSync(NEW, { recursive: true });
const layout = new Layout(NEW);
for (const name of names) {
  try {
    await build(name, layout);
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
