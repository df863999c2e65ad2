// @ts-check
// Measures what Wasm modules cost on the events of exec.bpf.c: the examples of each SDK, chains of filters, reading a
// field, and the module of trace_exec itself.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import { build as buildWasm } from '../../wasm/sdk/assemblyscript/build.js';
import { IMAGES, OUT, ROOT } from './build.js';
import { measureCapacity } from './capacity.js';

/** Exit status of an SDK's build.js when a tool is missing. */
const NO_COMPILER = 3;
/** Matches no process, so that none but the made-up events come. */
export const NO_EXECS = ['--pid', '4194304'];
const CHAINS = [1, 2, 4, 8];
const FIELDS = ['proc.comm', 'proc.creds.user'];
const OUTPUTS = ['json', 'columns'];
/** What every row is compared with. */
export const PLAIN = 'no module';

/** Each SDK's folder, and what an example is called there. */
const LANGUAGES = [
  { name: 'C', sdk: 'c', file: (/** @type {string} */ name) => `${name}.c` },
  { name: 'Rust', sdk: 'rust', file: (/** @type {string} */ name) => `${name}.rs` },
  { name: 'Go', sdk: 'go', file: (/** @type {string} */ name) => name },
  { name: 'AssemblyScript', sdk: 'assemblyscript', file: (/** @type {string} */ name) => `${name}.ts` },
  { name: 'TypeScript', sdk: 'javascript', file: (/** @type {string} */ name) => `${name}.ts` },
];

/** With `flags`, what an example makes is read; with `plainFlags` as much is, without the example. */
export const TASKS = [
  { name: 'drop', params: ['prefix=other'], flags: [], plainFlags: [] },
  {
    name: 'add',
    params: [],
    flags: ['-F', 'depth>=0,directory!='],
    plainFlags: ['-F', 'proc.pid>=0,filename!='],
  },
  { name: 'count', params: ['interval=1'], flags: [], plainFlags: [] },
];

/**
 * @typedef {import('./summary.js').Cost<'examples' | 'chain' | 'module'> & { image: string, flags: readonly string[] }} Subject
 */

/** @type {(paths: readonly string[], params?: readonly string[]) => string[]} */
function wasmFlags(paths, params = []) {
  return [
    ...paths.flatMap((path) => ['--wasm', path]),
    ...params.flatMap((param) => ['--wasm-param', param]),
  ];
}

/**
 * Builds all modules. `missing` are languages that cannot be measured here, with the reason.
 * @returns {Promise<{ subjects: Subject[], missing: string[] }>}
 */
export async function findFilters() {
  /** @type {string[]} */
  const missing = [];
  /** @type {Subject[]} */
  const subjects = TASKS.map((task) => example(PLAIN, task.name, task.plainFlags));
  for (const { name: language, sdk, file } of LANGUAGES) {
    for (const task of TASKS) {
      const program = join(ROOT, 'wasm/sdk', sdk, 'examples', file(task.name));
      const module = join(OUT, `${sdk}-${task.name}.wasm`);
      const reason = buildExample(sdk, program, module);
      if (reason !== '') {
        missing.push(`${language} is missing: ${reason}`);
        break;
      }
      subjects.push(example(language, task.name, [...wasmFlags([module], task.params), ...task.flags]));
    }
  }
  const core = join(OUT, 'core.wasm');
  writeFileSync(core, await parse(readFileSync(new URL('core.wat', import.meta.url), 'utf8')));
  subjects.push(example('core module', 'add', [...wasmFlags([core]), '-F', 'depth>=0,filename!=']));
  return { subjects: [...subjects, ...(await chains()), ...ownModule()], missing };
}

/** @type {(name: string, metric: string, flags: readonly string[]) => Subject} */
function example(name, metric, flags) {
  const image = IMAGES.execsWithoutWasm;
  return { section: 'examples', name, metric, base: PLAIN, image, flags: [...flags, '-o', 'none'] };
}

/** Empty, or why there is no module. @type {(sdk: string, program: string, module: string) => string} */
function buildExample(sdk, program, module) {
  if (!existsSync(program)) return `there is no ${program}`;
  const script = join(ROOT, 'wasm/sdk', sdk, 'build.js');
  const { status, stderr } = spawnSync(process.execPath, [script, program, module], { encoding: 'utf8' });
  if (status === 0) return '';
  const words = stderr.trim().split('\n').at(-1) ?? '';
  if (status === NO_COMPILER) return words;
  throw new Error(`${program} cannot be built: ${words}`);
}

/** Filters that read a field and drop nothing. @returns {Promise<Subject[]>} */
async function chains() {
  const source = readFileSync(new URL('read.as', import.meta.url), 'utf8');
  /** @type {Map<string, string>} */
  const readers = new Map();
  for (const field of FIELDS) {
    // The compiler wants its source to be named .ts; here it must not be, as it is not TypeScript.
    const program = join(OUT, `read-${field}.ts`);
    writeFileSync(program, source.replace("'FIELD'", `'${field}'`));
    const module = join(OUT, `read-${field}.wasm`);
    writeFileSync(module, await buildWasm(program));
    readers.set(field, module);
  }
  /** @type {(name: string, paths: readonly string[]) => Subject} */
  const row = (name, paths) => ({
    ...{ section: 'chain', name, metric: 'chain', base: PLAIN, image: IMAGES.execsWithoutWasm },
    flags: [...wasmFlags(paths), '-o', 'none'],
  });
  const [first = ''] = readers.values();
  return [
    row(PLAIN, []),
    ...[...readers].map(([field, module]) => row(`reads ${field}`, [module])),
    ...CHAINS.slice(1).map((count) => row(`${count} × reads ${FIELDS[0]}`, Array(count).fill(first))),
  ];
}

/** @returns {Subject[]} */
function ownModule() {
  return OUTPUTS.flatMap((metric) =>
    [
      { name: PLAIN, image: IMAGES.execsWithoutWasm },
      { name: 'trace_exec', image: IMAGES.execs },
    ].map((row) => ({ section: 'module', metric, base: PLAIN, ...row, flags: ['-o', metric] })),
  );
}

/**
 * CPU time of all of ig's threads, in µs per made-up exec.
 * @type {(pipeline: import('./capacity.js').Pipeline, seconds: number) => Promise<number>}
 */
export async function measureCost(pipeline, seconds) {
  const flags = [...NO_EXECS, ...pipeline.flags];
  const { eventsPerCpuSecond, lost, filtered } = await measureCapacity({ ...pipeline, flags }, seconds);
  if (lost > 0) throw new Error(`${lost} events were lost`);
  if (pipeline.mntns !== undefined && filtered > 0)
    throw new Error(`${filtered} events were of containers that ig does not know`);
  return 1e6 / eventsPerCpuSecond;
}
