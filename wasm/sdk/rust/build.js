// Builds a Wasm component from a Rust program: node build.js PROGRAM.rs OUT.wasm
// The output depends on the sources and the version of the compiler only.

import { execFile } from 'node:child_process';
import { constants, access, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { basename, delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { componentEmbed, componentNew } from '@bytecodealliance/jco-transpile/wasm-tools';

const SDK = dirname(fileURLToPath(import.meta.url));
const WIT = join(SDK, '../../wit/post-processor.wit');
const TARGET = 'wasm32-unknown-unknown';
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** Exit status when there is no Rust compiler for WebAssembly. */
const NO_COMPILER = 3;

/** There is no compiler, or no linker; the message says how to get it. */
class NoCompilerError extends Error {}

/** Builds `program` to a component. Throws an Error whose message is the compiler's output. */
export async function build(program) {
  const binary = await compile(resolve(program));
  const witSource = await readFile(WIT, 'utf8');
  const embedded = await componentEmbed({
    binary,
    witSource,
    world: 'post-processor',
    stringEncoding: 'utf8',
  });
  return componentNew(embedded, []);
}

async function compile(program) {
  const { rustc, linking } = await findToolchain();
  const directory = await mkdtemp(join(tmpdir(), 'ig-rust-'));
  const options = ['--edition', '2021', '--target', TARGET];
  // Without unwinding, names and debug information: what is left does not depend on where the sources are.
  options.push('-Copt-level=3', '-Ccodegen-units=1', '-Cpanic=abort', '-Ctarget-feature=+bulk-memory');
  options.push(`--remap-path-prefix=${dirname(program)}=.`, `--remap-path-prefix=${SDK}=ig`);
  const library = join(directory, 'libig.rlib');
  const output = join(directory, 'program.wasm');
  try {
    const asLibrary = [
      '--crate-type=rlib',
      '--crate-name=ig',
      '-Cembed-bitcode=no',
      '-o',
      library,
      'src/lib.rs',
    ];
    await run(rustc, [...options, ...asLibrary], SDK);
    const asProgram = ['--crate-type=cdylib', '--crate-name=program', '--extern', `ig=${library}`];
    asProgram.push('-Cstrip=symbols', ...linking, '-o', output, basename(program));
    const { stderr } = await run(rustc, [...options, ...asProgram], dirname(program));
    process.stderr.write(stderr); // warnings
    return await readFile(output);
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Runs a tool to its end, and returns what it printed. Throws an Error whose message is what it said on stderr. */
function run(tool, args, cwd) {
  return new Promise((resolve, reject) => {
    execFile(tool, args, { cwd, maxBuffer: MAX_OUTPUT_BYTES }, (error, stdout, stderr) => {
      if (error === null) resolve({ stdout, stderr });
      else reject(new Error(stderr.trim() || error.message, { cause: error }));
    });
  });
}

/**
 * The first Rust compiler that has the standard library of the target, and how it links: those in PATH, that of
 * rustup, that of the distribution.
 */
async function findToolchain() {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(isAbsolute);
  folders.push(join(homedir(), '.cargo/bin'), '/usr/local/bin', '/usr/bin');
  for (const folder of new Set(folders)) {
    const rustc = join(folder, 'rustc');
    const library = await print(rustc, ['--print', 'target-libdir', '--target', TARGET]);
    const files = library === '' ? [] : await readdir(library).catch(() => []);
    if (files.some((name) => name.startsWith('libstd-'))) return { rustc, linking: await findLinker(rustc) };
  }
  throw new NoCompilerError(
    `There is no Rust compiler for WebAssembly; get it with: rustup target add ${TARGET}, or on Debian: apt-get install rustc libstd-rust-dev-wasm32 lld-14`,
  );
}

/** Options for the linker: rustup brings its own; else LLVM's, as old as the compiler or a little newer. */
async function findLinker(rustc) {
  const sysroot = await print(rustc, ['--print', 'sysroot']);
  const version = await print(rustc, ['-vV']);
  const [, host] = /^host: (.*)$/m.exec(version) ?? [];
  if (await canRun(join(sysroot, 'lib/rustlib', host ?? '', 'bin/rust-lld'))) return [];
  const llvm = Number(/^LLVM version: (\d+)/m.exec(version)?.[1]);
  const names = [llvm, llvm + 1, llvm + 2].map((number) => `wasm-ld-${number}`);
  const folders = (process.env.PATH ?? '').split(delimiter).filter(isAbsolute);
  for (const name of [...names, 'wasm-ld']) {
    for (const folder of [...folders, '/usr/bin']) {
      const linker = join(folder, name);
      if (await canRun(linker)) return [`-Clinker=${linker}`, '-Clinker-flavor=wasm-ld'];
    }
  }
  throw new NoCompilerError(
    `There is no WebAssembly linker for ${rustc}; on Debian get it with: apt-get install lld-${llvm}`,
  );
}

/** The text a tool prints; empty if it fails or there is none. */
function print(tool, args) {
  return run(tool, args).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  );
}

function canRun(file) {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [program, out] = process.argv.slice(2);
  if (program === undefined || out === undefined) {
    process.stderr.write('usage: node build.js PROGRAM.rs OUT.wasm\n');
    process.exit(2);
  }
  try {
    await writeFile(out, await build(program));
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(error instanceof NoCompilerError ? NO_COMPILER : 1);
  }
}
