// Builds a Wasm component from TypeScript or JavaScript: node build.js PROGRAM.ts OUT.wasm
// The output depends on the sources, the version of TypeScript, and the engine this ig was built with.

import { access, readFile, realpath, writeFile } from 'node:fs/promises';
import { SourceMap } from 'node:module';
import { delimiter, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { fillSlot } from './slot.js';

const SDK = dirname(fileURLToPath(import.meta.url));
/** Made by engine.js when ig is built; the second is where ig's own sources have it. */
const ENGINES = [join(SDK, 'engine.wasm'), join(SDK, '../../../build/javascript-engine.wasm')];

/** Exit status when there is no compiler. */
const NO_COMPILER = 3;

/** There is no TypeScript compiler; the message says how to get it. */
class NoCompilerError extends Error {}

/** Builds `program` to a component. Throws an Error whose message is the compiler's output. */
export async function build(program) {
  const ts = await findCompiler();
  const script = bundle(ts, resolve(program));
  return fillSlot(await readEngine(), script);
}

async function readEngine() {
  for (const path of ENGINES) {
    const bytes = await readFile(path).catch(() => undefined);
    if (bytes !== undefined) return bytes;
  }
  throw new Error(`There is no JavaScript engine in ${SDK}; build ig with: make build`);
}

/** The compiler of this installation, else the one whose `tsc` is in PATH, else one that npm installed for all. */
async function findCompiler() {
  try {
    return (await import('typescript')).default;
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  }
  const prefixes = [join(dirname(process.execPath), '..'), '/usr/local', '/usr'];
  const packages = prefixes.map((prefix) => join(prefix, 'lib/node_modules/typescript'));
  for (const folder of [...(await packagesInPath()), ...packages]) {
    const path = join(folder, 'lib/typescript.js');
    const found = await access(path).then(
      () => true,
      () => false,
    );
    const ts = found ? (await import(pathToFileURL(path).href)).default : undefined;
    if (ts?.createProgram !== undefined) return ts; // version 7 has another interface
  }
  const { devDependencies } = JSON.parse(await readFile(join(SDK, '../../../package.json'), 'utf8'));
  throw new NoCompilerError(
    `There is no TypeScript compiler of version 5 or 6; get it with: npm install -g typescript@${devDependencies.typescript}`,
  );
}

/** npm puts a link there, wherever its packages are: `tsc` → `…/typescript/bin/tsc`. */
async function packagesInPath() {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(isAbsolute);
  const found = await Promise.all(
    folders.map((folder) => realpath(join(folder, 'tsc')).catch(() => undefined)),
  );
  return found.filter((path) => path?.endsWith('/bin/tsc')).map((path) => join(path, '../..'));
}

/** One script of the program and the SDK; its value is what the engine calls. */
function bundle(ts, main) {
  const sdk = join(SDK, 'ig/processor.ts');
  const options = compilerOptions(ts);
  const program = ts.createProgram([join(SDK, 'ig/engine.d.ts'), sdk, main], options);
  report(ts, program, dirname(main));
  const files = program.getSourceFiles().filter((file) => !file.isDeclarationFile);
  const numbers = new Map(files.map(({ fileName }, i) => [resolve(fileName), i]));
  let script = '(() => {\nconst modules = [\n';
  const places = [];
  for (const file of files) {
    const { text, lines } = emit(program, file);
    const links = linksOf(ts, text, file.fileName, options, numbers);
    script += `[${JSON.stringify(links)}, function (require, exports) {\n`;
    const start = script.split('\n').length;
    if (!isOfSdk(file)) places.push({ file: relative(dirname(main), file.fileName), start, lines });
    script += `${text}}],\n`;
  }
  return `${script}];
const loaded = [];
const load = (number) => {
  if (loaded[number] !== undefined) return loaded[number];
  const [links, run] = modules[number];
  const exports = (loaded[number] = {});
  run((name) => load(links[name]), exports);
  return exports;
};
const places = ${JSON.stringify(places)};
return load(${numbers.get(sdk)}).processor(() => load(${numbers.get(main)}), places);
})()`;
}

function isOfSdk(file) {
  return file.fileName.startsWith(join(SDK, 'ig/'));
}

function compilerOptions(ts) {
  const path = join(SDK, 'tsconfig.json');
  const { config } = ts.readConfigFile(path, ts.sys.readFile);
  return ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, SDK).options;
}

/** Throws an Error with what the compiler says about the program, if it is anything. */
function report(ts, program, folder) {
  const diagnostics = ts
    .getPreEmitDiagnostics(program)
    .filter(({ file }) => file === undefined || !isOfSdk(file));
  if (diagnostics.length === 0) return;
  const host = {
    getCurrentDirectory: () => folder,
    getCanonicalFileName: (name) => name,
    getNewLine: () => '\n',
  };
  throw new Error(ts.formatDiagnostics(diagnostics, host).trimEnd());
}

/** The numbers of the files that emitted JavaScript requires, by the names it has for them. */
function linksOf(ts, text, path, options, numbers) {
  const links = {};
  for (const { fileName: name } of ts.preProcessFile(text, true, true).importedFiles) {
    const file = ts.resolveModuleName(name, path, options, ts.sys).resolvedModule?.resolvedFileName;
    links[name] = numbers.get(resolve(file ?? ''));
    if (links[name] === undefined) {
      throw new Error(`${path}: cannot import ${name}; a program can import 'ig' and files of its own`);
    }
  }
  return links;
}

/** The JavaScript of a file, and for each of its lines which one of the file it was, from 1. */
function emit(program, file) {
  let text;
  let map;
  program.emit(file, (name, content) => {
    if (name.endsWith('.map')) map = new SourceMap(JSON.parse(content));
    else text = content.replace(/\/\/# sourceMappingURL=.*/, '');
  });
  const lines = text
    .split('\n')
    .map((line, i) => map.findEntry(i, line.search(/\S|$/)).originalLine + 1 || 0);
  return { text, lines };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [program, out] = process.argv.slice(2);
  if (program === undefined || out === undefined) {
    process.stderr.write('usage: node build.js PROGRAM.ts|PROGRAM.js OUT.wasm\n');
    process.exit(2);
  }
  try {
    await writeFile(out, await build(program));
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(error instanceof NoCompilerError ? NO_COMPILER : 1);
  }
}
