// What the tests of core modules share: modules written as lists of calls, and the services they are given.

import { parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import type { DataSource } from '../../../runtime/data/data-source.js';
import { CoreProcessor } from './core-processor.js';
import { prepareCore } from './prepare.js';
import type { CoreServices } from './services.js';

/** Parameters and result of every function of the API: `i` 32 bits, `l` 64 bits. */
const SIGNATURES: Readonly<Record<string, readonly [params: string, result: '' | 'i' | 'l']>> = {
  newDataSource: ['li', 'i'],
  getDataSource: ['l', 'i'],
  dataSourceSubscribe: ['iiil', 'i'],
  dataSourceGetField: ['il', 'i'],
  dataSourceAddField: ['ili', 'i'],
  dataSourceNewPacketSingle: ['i', 'i'],
  dataSourceNewPacketArray: ['i', 'i'],
  dataSourceEmitAndRelease: ['ii', 'i'],
  dataSourceRelease: ['ii', 'i'],
  dataSourceUnreference: ['i', 'i'],
  dataSourceIsReferenced: ['i', 'i'],
  dataArrayNew: ['i', 'i'],
  dataArrayAppend: ['ii', 'i'],
  dataArrayRelease: ['ii', 'i'],
  dataArrayLen: ['i', 'i'],
  dataArrayGet: ['ii', 'i'],
  fieldGetScalar: ['iiii', 'l'],
  fieldGetBuffer: ['iiil', 'i'],
  fieldSet: ['iiil', 'i'],
  fieldAddTag: ['il', 'i'],
  getParamValue: ['ll', 'i'],
  setConfig: ['lli', 'i'],
  newMap: ['liiii', 'i'],
  getMap: ['l', 'i'],
  mapLookup: ['ill', 'i'],
  mapUpdate: ['illl', 'i'],
  mapDelete: ['il', 'i'],
  mapRelease: ['i', 'i'],
  newPerfReader: ['iii', 'i'],
  perfReaderPause: ['i', 'i'],
  perfReaderResume: ['i', 'i'],
  perfReaderRead: ['il', 'i'],
  perfReaderClose: ['i', 'i'],
  releaseHandle: ['i', 'i'],
  getSyscallName: ['il', 'i'],
  getSyscallID: ['l', 'i'],
  getSyscallDeclaration: ['ll', 'i'],
  kallsymsSymbolExists: ['l', 'i'],
  shouldDiscardMntnsID: ['l', 'i'],
  gadgetLog: ['il', ''],
  gadgetShouldLog: ['i', 'i'],
};
const WASI: typeof SIGNATURES = {
  fd_write: ['iiii', 'i'],
  fd_fdstat_get: ['ii', 'i'],
  fd_prestat_get: ['ii', 'i'],
  fd_read: ['iiii', 'i'],
  clock_time_get: ['ili', 'i'],
  random_get: ['ii', 'i'],
  environ_sizes_get: ['ii', 'i'],
  environ_get: ['ii', 'i'],
  args_sizes_get: ['ii', 'i'],
  poll_oneoff: ['iiii', 'i'],
  path_open: ['iiiiillii', 'i'],
  proc_exit: ['i', ''],
};
const TYPES: Readonly<Record<string, string>> = { i: 'i32', l: 'i64' };

const NOTES_AT = 1024;
const MAX_NOTES = 512;
const DATA_AT = NOTES_AT + MAX_NOTES * 8;

/** The functions of a module, each a list of WebAssembly expressions. */
export interface Parts {
  readonly initialize?: readonly string[];
  readonly init?: readonly string[];
  readonly preStart?: readonly string[];
  readonly start?: readonly string[];
  /** For every call; `$callback` (i64), `$source` and `$data` are what it was called with. */
  readonly event?: readonly string[];
  readonly stop?: readonly string[];
  readonly postStop?: readonly string[];
  /** More of the module: other exports, its version. */
  readonly more?: string;
}

type Arg = number | bigint | string;

/** Writes a module: data, and calls with constants or other expressions. */
export class Script {
  private readonly data: string[] = [];
  private readonly globals = new Set<string>();
  private readonly imports = new Set<string>();
  private at = DATA_AT;

  /** A text in the module's memory, as the API passes it. */
  text(text: string): bigint {
    const bytes = Buffer.from(text);
    this.data.push(`(data (i32.const ${this.at}) "${[...bytes].map(escaped).join('')}")`);
    return this.buffer(bytes.length);
  }

  /** A buffer of zeros. */
  buffer(size: number): bigint {
    const buffer = (BigInt(size) << 32n) | BigInt(this.at);
    this.at += (size + 15) & ~7;
    return buffer;
  }

  call(name: string, ...args: readonly Arg[]): string {
    const [params] = SIGNATURES[name] ?? WASI[name]!;
    this.imports.add(name);
    return `(call $${name} ${args.map((arg, i) => constant(arg, TYPES[params[i]!]!)).join(' ')})`;
  }

  /** Keeps a call's result, for the test to see with `notesOf`. */
  note(name: string, ...args: readonly Arg[]): string {
    const [, result] = SIGNATURES[name] ?? WASI[name]!;
    const call = this.call(name, ...args);
    return `(call $note ${result === 'l' ? call : `(i64.extend_i32_s ${call})`})`;
  }

  /** Keeps a call's result in a variable, for `get`. */
  set(variable: string, name: string, ...args: readonly Arg[]): string {
    this.globals.add(variable);
    return `(global.set $${variable} ${this.call(name, ...args)})`;
  }

  get(variable: string): string {
    return `(global.get $${variable})`;
  }

  /** The module in text. */
  wat(parts: Parts): string {
    const declare = (name: string): string => {
      const [params, result] = SIGNATURES[name] ?? WASI[name]!;
      const from = name in SIGNATURES ? 'ig' : 'wasi_snapshot_preview1';
      const types = [...params].map((type) => TYPES[type]).join(' ');
      return `(import "${from}" "${name}" (func $${name} (param ${types}) ${result && `(result ${TYPES[result]})`}))`;
    };
    const method = (name: string, body: readonly string[] | undefined): string =>
      body === undefined ? '' : `(func (export "${name}") (result i32) ${body.join('\n')} (i32.const 0))`;
    const { initialize, event, more = VERSION_1 } = parts;
    return `(module
      ${[...this.imports].map(declare).join('\n')}
      (memory (export "memory") 2)
      ${[...this.globals].map((name) => `(global $${name} (mut i32) (i32.const 0))`).join('\n')}
      (global $notes (export "notes") (mut i32) (i32.const 0))
      ${this.data.join('\n')}
      (func $note (param i64)
        (i64.store (i32.add (i32.const ${NOTES_AT}) (i32.mul (global.get $notes) (i32.const 8))) (local.get 0))
        (global.set $notes (i32.add (global.get $notes) (i32.const 1))))
      ${more}
      ${initialize === undefined ? '' : `(func (export "_initialize") ${initialize.join('\n')})`}
      ${method('gadgetInit', parts.init)}
      ${method('gadgetPreStart', parts.preStart)}
      ${method('gadgetStart', parts.start)}
      ${method('gadgetStop', parts.stop)}
      ${method('gadgetPostStop', parts.postStop)}
      ${event === undefined ? '' : `(func (export "dataSourceCallback") (param $callback i64) (param $source i32) (param $data i32) ${event.join('\n')})`}
    )`;
  }

  /** The module, started. */
  async run(
    parts: Parts,
    sources: readonly DataSource[] = [],
    given: Partial<CoreServices> = {},
  ): Promise<Ran> {
    const prepared = await prepareCore(await parse(this.wat(parts)));
    const logged: string[] = [];
    const services: CoreServices = {
      ...NO_SERVICES,
      log: (level, text) => logged.push(`${level} ${text}`),
      ...given,
    };
    const processor = new CoreProcessor(prepared, PARAMS, sources, services);
    return { processor, logged, notes: () => notesOf(processor), read: (buffer) => read(processor, buffer) };
  }
}

export interface Ran {
  readonly processor: CoreProcessor;
  /** Level and text of what was logged. */
  readonly logged: readonly string[];
  readonly notes: () => number[];
  /** A buffer's bytes. */
  readonly read: (buffer: bigint) => Buffer;
}

const VERSION_1 = '(func (export "gadgetAPIVersion") (result i64) (i64.const 1))';

export const PARAMS = [
  ['limit', '10'],
  ['pid', '42'],
] as const;

const NO_SERVICES: Omit<CoreServices, 'log'> = {
  logLevel: 2,
  syscallName: () => undefined,
  syscallId: () => undefined,
  syscallDeclaration: () => undefined,
  hasKernelSymbol: () => false,
  discardsMntns: () => false,
  map: () => undefined,
  createMap: () => {
    throw new Error('the kernel refuses');
  },
};

function constant(arg: Arg, type: string): string {
  return typeof arg === 'string' ? arg : `(${type}.const ${arg})`;
}

function escaped(byte: number): string {
  return `\\${byte.toString(16).padStart(2, '0')}`;
}

function read(processor: CoreProcessor, buffer: bigint): Buffer {
  return Buffer.from(processor['instance']!.context.memory.slice(buffer)!);
}

function notesOf(processor: CoreProcessor): number[] {
  const { exports } = processor['instance']! as unknown as {
    exports: { memory: WebAssembly.Memory; notes: { value: number } };
  };
  const view = new DataView(exports.memory.buffer);
  return Array.from({ length: exports.notes.value }, (_, i) =>
    Number(view.getBigInt64(NOTES_AT + i * 8, true)),
  );
}
