// Makes the engine that programs run in, a component with QuickJS and a slot for a program: node engine.js OUT.wasm
// Done once, when ig is built: componentize-qjs puts random numbers into what it makes, so that two engines differ
// in some bytes. Programs built with one engine are the same for the same source.

import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { SLOT_END, SLOT_MARK, SLOT_SIZE } from './slot.js';

const SDK = dirname(fileURLToPath(import.meta.url));
const WIT = join(SDK, '../../wit/post-processor.wit');

/** What the engine does until it has a program. `init` evaluates the program, whose value is the five functions. */
const LOADER = `
const slot = new Uint8Array(${SLOT_SIZE}).fill(0x20);
slot.set([${SLOT_MARK.join(', ')}]);

const noClock = () => {
  throw new Error('there is no clock; use the time of an event, or what onTick gives');
};
globalThis.Date = new Proxy(Date, {
  apply: noClock,
  construct: (target, args) => (args.length === 0 ? noClock() : new target(...args)),
});
Date.now = noClock;
delete globalThis.performance;

let guest;
export const processor = {
  init(params, sources, log) {
    const program = slot.subarray(0, slot.indexOf(${SLOT_END}));
    guest = (0, eval)(decodeURIComponent(escape(atob(program.toBase64()))));
    return guest.init(params, sources, log);
  },
  select: (used) => guest.select(used),
  process: (source, count, batch) => guest.process(source, count, batch),
  tick: (now) => guest.tick(now),
  finish: () => guest.finish(),
};
`;

/** Makes an engine, as bytes of a component without imports. */
export async function makeEngine() {
  const { componentize } = await import('componentize-qjs');
  const { component } = await componentize({
    witPath: WIT,
    world: 'post-processor',
    jsSource: LOADER,
    sync: true,
    stubWasi: true,
  });
  return clean(component);
}

/** Takes out what is left of the engine's own making, and what Node.js 20 cannot compile without a flag. */
async function clean(component) {
  const { parse, print } = await import('@bytecodealliance/jco-transpile/wasm-tools');
  const text = await print(component);
  return parse(constantGlobals(withoutExport(text, 'init')));
}

/** Without an export of the outermost component. */
function withoutExport(text, name) {
  return replaceSome(text, new RegExp(`^  \\(export \\(;\\d+;\\) "${name}" .*\\n`, 'm'), () => '');
}

/** Global constants that are a sum of an address known only when modules are linked, as the sums. */
function constantGlobals(text) {
  const bases = { memory: baseOf(text, 'memory'), table: baseOf(text, 'table') };
  return replaceSome(
    text,
    /\(global (.*) i32 global\.get ([12]) i32\.const (\d+) i32\.add\)/g,
    (_, name, base, offset) =>
      `(global ${name} i32 i32.const ${(base === '1' ? bases.memory : bases.table) + Number(offset)})`,
  );
}

/** Where the engine's main module puts the memory or the functions of the module with QuickJS. */
function baseOf(text, what) {
  const exported = new RegExp(
    `\\(export "componentize_qjs_runtime\\.wasm:${what}_base" \\(global (\\d+)\\)\\)`,
  );
  const number = exported.exec(text)?.[1];
  const value = new RegExp(`\\(global \\(;${number};\\) i32 i32\\.const (\\d+)\\)`).exec(text)?.[1];
  if (value === undefined) throw new Error(`componentize-qjs made an engine without ${what}_base`);
  return Number(value);
}

function replaceSome(text, pattern, replacement) {
  const replaced = text.replace(pattern, replacement);
  if (replaced === text) throw new Error(`componentize-qjs made an engine without ${pattern}`);
  return replaced;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [out] = process.argv.slice(2);
  if (out === undefined) {
    process.stderr.write('usage: node engine.js OUT.wasm\n');
    process.exit(2);
  }
  await writeFile(out, await makeEngine());
}
