// Builds a Wasm component from C or C++: node build.js PROGRAM.c OUT.wasm
// The output depends on the sources and the versions of the tools only.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, extname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { componentEmbed, componentNew } from '@bytecodealliance/jco-transpile/wasm-tools';

const SDK = dirname(fileURLToPath(import.meta.url));
const WIT = join(SDK, '../../wit/post-processor.wit');

/** The program of a folder. */
const PROGRAMS = ['program.c', 'program.cpp'];
/** What clang is told of a language, by the ending of its files. */
const LANGUAGES = {
  '.c': ['-x', 'c', '-std=gnu17'],
  '.cpp': ['-x', 'c++', '-std=gnu++20', '-fno-exceptions', '-fno-rtti', '-fno-threadsafe-statics'],
};
const OPTIONS = ['--target=wasm32', '-O3', '-mbulk-memory', '-ffreestanding', '-Wall', '-Wextra'];
/** The stack is first in memory, so a recursion without end traps and overwrites nothing. */
const LINKER_OPTIONS = [
  '--no-entry',
  '--stack-first',
  '-z',
  'stack-size=65536',
  '--strip-all',
  '--export=ig_last_words',
];

/** The oldest clang that is known to work. */
const OLDEST_CLANG = 14;
/** Exit status when there is no compiler. */
const NO_COMPILER = 3;

/** There is no compiler; the message says how to get it. */
class NoCompilerError extends Error {}

const run = promisify(execFile);

/** Builds `program` to a component. Throws an Error whose message is the compiler's output. */
export async function build(program) {
  const binary = await compile(await fileOf(resolve(program)));
  const witSource = await readFile(WIT, 'utf8');
  const embedded = await componentEmbed({
    binary,
    witSource,
    world: 'post-processor',
    stringEncoding: 'utf8',
  });
  return componentNew(embedded, []);
}

/** The program itself, or the one in that folder. */
async function fileOf(program) {
  const found = await stat(program).catch(() => undefined);
  if (found === undefined) throw new Error(`there is no program ${program}`);
  if (!found.isDirectory()) return program;
  const entries = await readdir(program);
  const name = PROGRAMS.find((candidate) => entries.includes(candidate));
  if (name === undefined) throw new Error(`the folder ${program} has no program.c`);
  return join(program, name);
}

async function compile(file) {
  const language = LANGUAGES[extname(file)];
  if (language === undefined) throw new Error(`${file} is no C or C++: its name must end in .c or .cpp`);
  const { clang, linker } = await findTools();
  const temporary = await mkdtemp(join(tmpdir(), 'ig-c-'));
  const object = join(temporary, 'program.o');
  const output = join(temporary, 'program.wasm');
  const paths = [dirname(file), SDK].map((folder) => `-ffile-prefix-map=${folder}/=`);
  try {
    await runTool(clang, [...OPTIONS, ...language, ...paths, '-I', SDK, '-c', file, '-o', object]);
    await runTool(linker, [...LINKER_OPTIONS, object, '-o', output]);
    return await readFile(output);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Runs a tool, and shows its warnings. Throws an Error whose message is what it says. */
async function runTool(tool, options) {
  try {
    const { stderr } = await run(tool, options, { maxBuffer: Infinity });
    process.stderr.write(stderr);
  } catch (error) {
    throw new Error(error.stderr?.trimEnd() || error.message, { cause: error });
  }
}

/** The newest clang in PATH that makes WebAssembly, and a linker for it, of the same version if there is one. */
async function findTools() {
  const programs = await programsInPath();
  const clangs = [...programs.keys()].filter((name) => /^clang(-\d+)?$/.test(name));
  const versions = await Promise.all(clangs.map((name) => versionOf(programs.get(name))));
  const candidates = clangs
    .map((name, i) => ({ path: programs.get(name), version: versions[i] }))
    .filter(({ version }) => version >= OLDEST_CLANG)
    .sort((a, b) => b.version - a.version);
  for (const { path, version } of candidates) {
    const linker = await linkerOf(path, version, programs);
    if (linker !== undefined) return { clang: path, linker };
  }
  throw missing(candidates[0]);
}

/** The major version of a clang that makes WebAssembly; 0 of others, such as Apple's. */
async function versionOf(clang) {
  try {
    const { stdout: targets } = await run(clang, ['--print-targets']);
    if (!/^\s*wasm32\b/m.test(targets)) return 0;
    const { stdout: version } = await run(clang, ['-dumpversion']);
    return Number.parseInt(version);
  } catch {
    return 0;
  }
}

async function linkerOf(clang, version, programs) {
  const named = programs.get(`wasm-ld-${version}`);
  if (named !== undefined) return named;
  const beside = join(dirname(await realpath(clang)), 'wasm-ld');
  const found = await stat(beside).then(
    () => true,
    () => false,
  );
  return found ? beside : programs.get('wasm-ld');
}

function missing(clang) {
  if (clang === undefined) {
    return new NoCompilerError(
      `There is no clang from version ${OLDEST_CLANG} on that makes WebAssembly; get it with: apt install clang lld`,
    );
  }
  const isVersioned = /-\d+$/.test(clang.path);
  return new NoCompilerError(
    `${clang.path} has no linker wasm-ld; get it with: apt install ${isVersioned ? `lld-${clang.version}` : 'lld'}`,
  );
}

/** Where the programs named clang… and wasm-ld… are, by name; of one name, the first in PATH. */
async function programsInPath() {
  const found = new Map();
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(isAbsolute)) {
    for (const name of await readdir(folder).catch(() => [])) {
      if (/^(clang|wasm-ld)(-\d+)?$/.test(name) && !found.has(name)) found.set(name, join(folder, name));
    }
  }
  return found;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [program, out] = process.argv.slice(2);
  if (program === undefined || out === undefined) {
    process.stderr.write('usage: node build.js PROGRAM.c OUT.wasm\n');
    process.exit(2);
  }
  try {
    await writeFile(out, await build(program));
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(error instanceof NoCompilerError ? NO_COMPILER : 1);
  }
}
