// Builds a gadget's Wasm component from AssemblyScript: node build.js PROGRAM.ts OUT.wasm
// The output depends on the sources and the versions of the tools only.

import { access, readFile, realpath, stat, writeFile } from 'node:fs/promises';
import { basename, delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { componentEmbed, componentNew, parse, print } from '@bytecodealliance/jco-transpile/wasm-tools';

const SDK = dirname(fileURLToPath(import.meta.url));
const WIT = join(SDK, '../../wit/post-processor.wit');
const INTERFACE = 'ig:post-processor/processor@1.0.0';
const FUNCTIONS = ['init', 'select', 'process', 'tick', 'finish'];

/** Exit status when there is no AssemblyScript compiler. */
const NO_COMPILER = 3;

/** There is no AssemblyScript compiler; the message says how to get it. */
class NoCompilerError extends Error {}

/** A file that stands beside the author's only while compiling: what the component exports. */
const ENTRY = '__component.ts';

/** Builds `program` to a component. Throws an Error whose message is the compiler's output. */
export async function build(program) {
  const isFolder = await stat(program).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const core = await compile(resolve(program, isFolder ? 'program.ts' : ''));
  const binary = await renameExports(core);
  const witSource = await readFile(WIT, 'utf8');
  const embedded = await componentEmbed({
    binary,
    witSource,
    world: 'post-processor',
    stringEncoding: 'utf8',
  });
  return componentNew(embedded, []);
}

/** The compiler of this installation, else the one whose `asc` is in PATH, else one that npm installed for all. */
async function findCompiler() {
  try {
    return (await import('assemblyscript/asc')).default;
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  }
  const prefixes = [join(dirname(process.execPath), '..'), '/usr/local', '/usr'];
  const packages = prefixes.map((prefix) => join(prefix, 'lib/node_modules/assemblyscript'));
  for (const folder of [...(await packagesInPath()), ...packages]) {
    const path = join(folder, 'dist/asc.js');
    const found = await access(path).then(
      () => true,
      () => false,
    );
    if (found) return (await import(pathToFileURL(path).href)).default;
  }
  const { devDependencies } = JSON.parse(await readFile(join(SDK, '../../../package.json'), 'utf8'));
  throw new NoCompilerError(
    `There is no AssemblyScript compiler; get it with: npm install -g assemblyscript@${devDependencies.assemblyscript}`,
  );
}

/** npm puts a link there, wherever its packages are: `asc` → `…/assemblyscript/bin/asc.js`. */
async function packagesInPath() {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(isAbsolute);
  const found = await Promise.all(
    folders.map((folder) => realpath(join(folder, 'asc')).catch(() => undefined)),
  );
  return found.filter((path) => path?.endsWith('/bin/asc.js')).map((path) => join(path, '../..'));
}

async function compile(entry) {
  const asc = await findCompiler();
  const root = dirname(entry);
  const entryText = `import './${basename(entry, '.ts')}';\nexport { ${[...FUNCTIONS, 'cabi_realloc'].join(', ')} } from 'ig/abi';\nexport { ig_last_words } from 'ig/abort';\n`;
  let wasm;
  const options = [
    '-O3',
    '--noColors',
    '--runtime',
    'minimal',
    '--enable',
    'bulk-memory',
    '--enable',
    'simd',
    '--use',
    'abort=~lib/ig/abort/abort',
  ];
  const { error, stderr } = await asc.main(
    [ENTRY, '--outFile', 'out.wasm', '--baseDir', root, '--path', SDK, ...options],
    {
      readFile: (name, base) => {
        const path = resolve(base, name);
        return path === join(root, ENTRY) ? entryText : readFile(path, 'utf8').catch(() => null);
      },
      writeFile: (_name, bytes) => void (wasm = bytes),
      listFiles: () => [],
    },
  );
  if (error !== null) throw new Error(`${stderr.toString()}${error.message}`);
  process.stderr.write(stderr.toString()); // warnings
  return wasm;
}

/** AssemblyScript cannot name an export as the component model wants it. */
async function renameExports(core) {
  let text = await print(core);
  for (const name of FUNCTIONS) text = text.replace(`(export "${name}" `, `(export "${INTERFACE}#${name}" `);
  return parse(text);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [entry, out] = process.argv.slice(2);
  if (entry === undefined || out === undefined) {
    process.stderr.write('usage: node build.js PROGRAM.ts OUT.wasm\n');
    process.exit(2);
  }
  try {
    await writeFile(out, await build(entry));
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(error instanceof NoCompilerError ? NO_COMPILER : 1);
  }
}
