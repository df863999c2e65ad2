// Builds a Wasm component from Go: node build.js PROGRAM OUTPUT.wasm, PROGRAM a file or a folder with `package main`.
// The output depends on the sources and the versions of the tools only.

import { execFile } from 'node:child_process';
import { access, copyFile, mkdir, mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { componentEmbed, componentNew, parse } from '@bytecodealliance/jco-transpile/wasm-tools';

const SDK = dirname(fileURLToPath(import.meta.url));
const WIT = join(SDK, '../../wit/post-processor.wit');
const WASI = 'wasi_snapshot_preview1';

/** The first with //go:wasmexport. */
const GO_MIN = [1, 24];

/** Exit status when there is no compiler. */
const NO_COMPILER = 3;

/** There is no compiler, or one too old; the message says how to get it. */
class NoCompilerError extends Error {}

/** A file that stands beside the author's only while compiling: Go does not run main of a module without a command. */
const ENTRY = 'ig_component.go';
const ENTRY_TEXT = 'package main\n\nimport igEntry "ig"\n\nfunc init() { igEntry.Main(main) }\n';

/** Builds `program` to a component. Throws an Error whose message is the compiler's output. */
export async function build(program) {
  const core = await compile(program);
  const [adapter, witSource] = await Promise.all([
    readFile(join(SDK, 'adapter.wat'), 'utf8').then((text) => parse(text)),
    readFile(WIT, 'utf8'),
  ]);
  const embedded = await componentEmbed({
    binary: core,
    witSource,
    world: 'post-processor',
    stringEncoding: 'utf8',
  });
  return componentNew(embedded, [[WASI, adapter]]);
}

/** Compiles to a core module. All that is made for that stands in a folder of its own, which is removed. */
async function compile(program) {
  const version = await goVersion();
  const temporary = await realpath(await mkdtemp(join(tmpdir(), 'ig-go-')));
  try {
    const folder = await folderOf(program, temporary);
    const workspace = await describeWorkspace(folder, temporary, version);
    const output = join(temporary, 'module.wasm');
    await runGo(folder, [...workspace, '-o', output, '.'], environment(temporary));
    return await readFile(output);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** The program's folder; a single file is compiled in one of its own. */
async function folderOf(program, temporary) {
  const path = await realpath(program).catch(() => {
    throw new Error(`there is no program ${program}`);
  });
  if ((await stat(path)).isDirectory()) return path;
  if (extname(path) !== '.go') throw new Error(`${program} is no Go: its name must end in .go`);
  const folder = join(temporary, 'program');
  await mkdir(folder);
  await copyFile(path, join(folder, basename(path)));
  return folder;
}

/** Has the compiler find the SDK, the entry file, and a go.mod if the author needs none. Returns arguments for it. */
async function describeWorkspace(folder, temporary, version) {
  const entry = join(temporary, ENTRY);
  const replaced = { [join(folder, ENTRY)]: entry };
  await writeFile(entry, ENTRY_TEXT);
  if (!(await exists(join(folder, 'go.mod')))) {
    const module = join(temporary, 'go.mod');
    replaced[join(folder, 'go.mod')] = module;
    await writeFile(module, `module program\n\ngo ${version}\n`);
  }
  const overlay = join(temporary, 'overlay.json');
  await writeFile(overlay, JSON.stringify({ Replace: replaced }));
  const uses = [folder, SDK].map((path) => `use ${JSON.stringify(path)}\n`).join('');
  await writeFile(join(temporary, 'go.work'), `go ${version}\n\n${uses}`);
  return ['-overlay', overlay];
}

/** What the compiler is to know of the environment; a workspace and flags of the author's would change the output. */
function environment(temporary) {
  const own = {
    GOOS: 'wasip1',
    GOARCH: 'wasm',
    GOWASM: '',
    GOEXPERIMENT: '',
    GODEBUG: '',
    GO111MODULE: 'on',
    GOFLAGS: '-mod=readonly',
    GOWORK: join(temporary, 'go.work'),
    GOTOOLCHAIN: 'local', // a newer one would be downloaded
  };
  return { HOME: homedir(), ...process.env, ...own }; // its caches are below it
}

async function runGo(folder, args, env) {
  const flags = ['-buildmode=c-shared', '-trimpath', '-buildvcs=false', '-ldflags=-s -w -buildid='];
  try {
    await promisify(execFile)('go', ['build', ...flags, ...args], { cwd: folder, env, maxBuffer: 1 << 24 });
  } catch (error) {
    const lines = String(error.stderr ?? '').split('\n');
    const said = lines.filter((line) => line !== '' && !line.startsWith('# ')).join('\n');
    throw new Error(said === '' ? `go build failed: ${error.message}` : said, { cause: error });
  }
}

/** The compiler's version, such as 1.24. Throws NoCompilerError when there is none, or one too old. */
async function goVersion() {
  const get = `get Go ${GO_MIN.join('.')} or newer: apt install golang-go on Debian 13, else https://go.dev/dl`;
  const env = { ...process.env, GOTOOLCHAIN: 'local' };
  const answer = await promisify(execFile)('go', ['env', 'GOVERSION'], { cwd: SDK, env }).catch((error) => {
    throw new NoCompilerError(
      error.code === 'ENOENT' ? `There is no Go compiler; ${get}` : `go env failed: ${error.message}`,
    );
  });
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(answer.stdout) ?? [];
  if (major === undefined || major < GO_MIN[0] || (Number(major) === GO_MIN[0] && minor < GO_MIN[1])) {
    throw new NoCompilerError(`The Go compiler is too old (${answer.stdout.trim()}); ${get}`);
  }
  return `${major}.${minor}`;
}

async function exists(path) {
  return access(path).then(
    () => true,
    () => false,
  );
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [program, out] = process.argv.slice(2);
  if (program === undefined || out === undefined) {
    process.stderr.write('usage: node build.js PROGRAM OUTPUT.wasm\n');
    process.exit(2);
  }
  try {
    await writeFile(out, await build(program));
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(error instanceof NoCompilerError ? NO_COMPILER : 1);
  }
}
