// What Wasm modules answer: the plan and the patches of components, the calls of core modules.

import { makeDataSource } from '../../../dist/runtime/data/spec.js';
import { RecordingError } from '../../../dist/runtime/recording/errors.js';
import { Context, Declarations } from '../../../dist/wasm/host/core/context.js';
import { RecordArray, RecordData, ServedSource } from '../../../dist/wasm/host/core/data.js';
import { dataSourceFunctions } from '../../../dist/wasm/host/core/data-sources.js';
import { fieldFunctions } from '../../../dist/wasm/host/core/fields.js';
import { loggingFunctions } from '../../../dist/wasm/host/core/logging.js';
import { machineFunctions } from '../../../dist/wasm/host/core/machine.js';
import { Outbox } from '../../../dist/wasm/host/core/made.js';
import { mapFunctions } from '../../../dist/wasm/host/core/maps.js';
import { packetFunctions } from '../../../dist/wasm/host/core/packets.js';
import { paramFunctions } from '../../../dist/wasm/host/core/params.js';
import { wasiFunctions } from '../../../dist/wasm/host/core/wasi.js';
import { GuestError, PatchError, WasmError } from '../../../dist/wasm/host/errors.js';
import { PostProcessor } from '../../../dist/wasm/host/post-processor.js';
import { Input } from '../input.js';
import { ensure } from '../oracles.js';
import { AWKWARD, batchFrom, checkOutputs, sourceFrom } from './schemas.js';

const WIT_KINDS = [
  'boolean',
  's8',
  's16',
  's32',
  's64',
  'u8',
  'u16',
  'u32',
  'u64',
  'f32',
  'f64',
  'text',
  'bytes',
].concat([...['text-list', 'none', 'cstring']]);

function newFieldFrom(input, number) {
  return {
    name: input.once(40) ? input.name() : `w${number}`,
    kind: input.once(40) ? 'none' : input.choose(input.once(2) ? WIT_KINDS : ['text', 'bytes', 'text-list']),
    length: input.once(20) ? input.below(4) : 1,
    tags: input.once(20) ? [input.text(12)] : [],
    annotations: input.once(10) ? [[input.text(12), input.text(12)]] : [],
  };
}

function planFrom(input) {
  return {
    columns: input.list(3, (i) => ({
      source: input.once(30) ? 1 : 0,
      field: newFieldFrom(input, i),
    })),
    reads: input.once(6) ? [[0, input.below(6)]] : [],
    emits: input.list(2, (i) => ({ name: `made${i}`, fields: input.list(3, (f) => newFieldFrom(input, f)) })),
    tickMs: input.once(20) ? input.u32() : 0,
  };
}

const WIDTHS = { boolean: 1, s8: 1, u8: 1, s16: 2, u16: 2, s32: 4, u32: 4, f32: 4, s64: 8, u64: 8, f64: 8 };

/** A patch as the format has it, and a few words of it wrong. */
class PatchMaker {
  bytes = new Uint8Array(4096);
  #view = new DataView(this.bytes.buffer);
  #end = 0;
  #input;

  constructor(input) {
    this.#input = input;
  }

  #take(size) {
    const at = this.#end;
    this.#end = Math.min((at + size + 7) & ~7, this.bytes.length - 64);
    return at;
  }

  #column(entry, count, { kind, length }) {
    const input = this.#input;
    if (input.once(4)) return;
    const width = WIDTHS[kind];
    const defined = input.once(3) ? this.#take(count) : 0;
    if (defined > 0) this.bytes.set(input.take(count), defined);
    const head = width === undefined ? 4 * (count + 1) : 0;
    const heap = width === undefined ? input.below(60) : width * length * count;
    const at = this.#take(head + heap);
    this.bytes.set(input.take(heap).subarray(0, Math.max(0, this.bytes.length - at - head)), at + head);
    for (let i = 1, offset = 0; head > 0 && i <= count; i++) {
      offset = Math.min(heap, offset + input.below(20));
      this.#set(at + 4 * i, offset);
    }
    this.#set(entry, at);
    this.#set(entry + 4, head + heap);
    this.#set(entry + 8, defined);
  }

  #set(at, word) {
    if (at + 4 <= this.bytes.length)
      this.#view.setUint32(at, this.#input.once(25) ? this.#input.u32() >> 20 : word, true);
  }

  make(count, columns, emits) {
    const input = this.#input;
    if (input.once(20)) return input.take(40).slice();
    this.#take(24 + 12 * columns.length);
    [1, count, 0, columns.length].forEach((word, i) => this.#set(4 * i, word));
    if (input.once(3)) this.#set(8, this.#bytes(count));
    columns.forEach((column, i) => column !== undefined && this.#column(24 + 12 * i, count, column));
    if (emits.length > 0 && input.once(2)) this.#emit(emits);
    if (input.once(4)) this.#log();
    return this.bytes.slice(0, this.#end);
  }

  #bytes(count) {
    const at = this.#take(count);
    this.bytes.set(this.#input.take(count), at);
    return at;
  }

  #emit(emits) {
    const blocks = this.#input.list(2, () => ({
      source: this.#input.below(emits.length),
      count: this.#input.below(5),
    }));
    const sizes = blocks.map(({ source }) => 8 + 12 * emits[source].fields.length);
    let at = this.#take(8 + sizes.reduce((sum, size) => sum + size, 0));
    this.#set(16, at);
    this.#set(at, blocks.length);
    at += 8;
    blocks.forEach(({ source, count }, i) => {
      this.#set(at, source);
      this.#set(at + 4, count);
      emits[source].fields.forEach((field, f) => this.#column(at + 8 + 12 * f, count, field));
      at += sizes[i];
    });
  }

  #log() {
    const input = this.#input;
    const text = Buffer.from(input.text());
    const at = this.#take(16);
    this.#set(20, at);
    [1, input.below(5), this.#end, text.length].forEach((word, i) => this.#set(at + 4 * i, word));
    this.bytes.set(text, this.#take(text.length));
  }
}

/** Reads what to answer from the only object that the host gives it. */
const ANSWERING = `const { plan, patches } = globalThis.WebAssembly.fuzzed;
  const next = () => patches.shift() ?? new Uint8Array();
  return () => ({ processor: { init: () => plan, select() {}, process: next, tick: next, finish: next } });`;

/** A component that answers with this plan, and one patch after the other. */
function preparedOf(plan, patches) {
  WebAssembly.fuzzed = { plan, patches };
  return { digest: '', source: ANSWERING, modules: [] };
}

/** Whatever a component answers is refused, or an event like any other. */
function runComponent(bytes) {
  const input = new Input(bytes);
  const source = makeDataSource(sourceFrom(input));
  const plan = planFrom(input);
  const batch = batchFrom(input, source);
  const own = plan.columns.map(({ source: id, field }) => (id === 0 ? field : undefined));
  const patches = [
    new PatchMaker(input).make(batch.count, own, plan.emits),
    new PatchMaker(input).make(0, [], plan.emits),
  ];
  const lines = [];
  const output = { logLevel: 4, log: (_, text) => lines.push(text) };
  const processor = new PostProcessor(preparedOf(plan, patches), [], [source], output);
  processor.select([new Set(source.fields)]);
  processor.process(0, batch);
  processor.finish();
  lines.forEach(checkSentence);
  checkOutputs(input, source, batch);
  for (const { source: number, batch: made } of processor.takeMade())
    checkOutputs(input, processor.madeSources[number - 1], made);
}

/** What else is in it is made harmless when it is printed. */
function checkSentence(text) {
  ensure(!text.includes('\n'), 'a line of the log is more than one');
}

/** Parameters of the API: `i` 32 bits, `l` 64 bits. */
const CALLS = Object.entries({
  ...{ newDataSource: 'li', getDataSource: 'l', dataSourceSubscribe: 'iiil', dataSourceGetField: 'il' },
  ...{ dataSourceAddField: 'ili', dataSourceNewPacketSingle: 'i', dataSourceNewPacketArray: 'i' },
  ...{ dataSourceEmitAndRelease: 'ii', dataSourceRelease: 'ii', dataSourceUnreference: 'i' },
  ...{ dataSourceIsReferenced: 'i', dataArrayNew: 'i', dataArrayAppend: 'ii', dataArrayRelease: 'ii' },
  ...{
    dataArrayLen: 'i',
    dataArrayGet: 'ii',
    fieldGetScalar: 'iiii',
    fieldGetBuffer: 'iiil',
    fieldSet: 'iiil',
  },
  ...{
    fieldAddTag: 'il',
    getParamValue: 'll',
    setConfig: 'lli',
    newMap: 'liiii',
    getMap: 'l',
    mapLookup: 'ill',
  },
  ...{ mapUpdate: 'illl', mapDelete: 'il', mapRelease: 'i', releaseHandle: 'i', getSyscallName: 'il' },
  ...{ getSyscallID: 'l', getSyscallDeclaration: 'll', kallsymsSymbolExists: 'l', shouldDiscardMntnsID: 'l' },
  ...{ gadgetLog: 'il', gadgetShouldLog: 'i', fd_write: 'iiii', fd_fdstat_get: 'ii', clock_time_get: 'ili' },
  ...{ random_get: 'ii', args_sizes_get: 'ii' },
});
const MEMORY_SIZE = 4096;

function servicesOf(lines) {
  const map = {
    type: 'hash',
    keySize: 4,
    lookupSize: 8,
    fd: 3,
    lookupInto: () => true,
    update() {},
    delete: () => true,
    close() {},
  };
  return {
    logLevel: 4,
    log: (_, text) => lines.push(text),
    syscallName: (id) => ['read', 'write'][id],
    syscallId: (name) => ({ __proto__: null, read: 0 })[name],
    syscallDeclaration: () => ({ params: [{ name: 'a', isPointer: true }] }),
    hasKernelSymbol: () => true,
    discardsMntns: () => false,
    map: (name) => (name === 'm' ? map : undefined),
    createMap: () => ({ ...map, close() {} }),
  };
}

function functionsOf(context) {
  return {
    ...dataSourceFunctions(context),
    ...fieldFunctions(context),
    ...loggingFunctions(context),
    ...machineFunctions(context),
    ...mapFunctions(context),
    ...packetFunctions(context),
    ...paramFunctions(context),
    ...wasiFunctions(context),
  };
}

/** Whatever a core module calls, with whatever it passes, ends with a number; what it emits are events like others. */
function runCore(bytes) {
  const input = new Input(bytes);
  const source = makeDataSource(sourceFrom(input));
  const lines = [];
  const gadget = {
    services: servicesOf(lines),
    params: new Map([['p', 'value']]),
    sources: [new ServedSource(0, source)],
    kernelSources: 1,
    outbox: new Outbox(),
    declarations: new Declarations(),
    config: new Map(),
  };
  const context = new Context(gadget);
  context.canCallBack = true;
  const memory = new SharedArrayBuffer(MEMORY_SIZE);
  new Uint8Array(memory).set(input.take(input.below(800)));
  context.memory.attach({ buffer: memory });
  const functions = functionsOf(context);
  const batch = batchFrom(input, source);
  callAll(input, functions, source);
  gadget.declarations.close();
  context.phase = 'start';
  for (const served of gadget.sources) served.beginBatch();
  const data =
    source.type === 'single'
      ? new RecordData(gadget.sources[0], batch)
      : new RecordArray(gadget.sources[0], batch);
  const handle = source.type === 'single' ? context.setEvent(data) : context.handles.add(data);
  for (let round = 0; round < 4; round++) callAll(input, functions, source, batch.count > 0 ? handle : 0);
  context.close();
  lines.forEach(checkSentence);
  checkOutputs(input, source, batch);
  for (const { source: number, batch: made } of gadget.outbox.takeAll()) {
    checkOutputs(input, gadget.sources[number].source, made);
  }
}

/** Calls functions by the names and handles there are, and others. */
function callAll(input, functions, source, event = 0) {
  for (let left = input.below(12); left > 0 && input.left > 0; left--) {
    const [name, params] = input.choose(CALLS);
    const values = [...params].map((type) => (type === 'i' ? numberFrom(input, event) : bufferFrom(input)));
    const result = functions[name](...values);
    ensure(['number', 'bigint', 'undefined'].includes(typeof result), `${name} returned ${typeof result}`);
  }
}

/** A handle, a kind, an address, or anything, as WebAssembly passes it: signed. */
function numberFrom(input, event) {
  switch (input.below(4)) {
    case 0:
      return event | 0;
    case 1:
      return input.u32() | 0;
    default:
      return input.below(16);
  }
}

function bufferFrom(input) {
  const size = input.once(8) ? input.u32() : input.below(20);
  const address = input.once(8) ? input.u32() : input.below(MEMORY_SIZE);
  return BigInt.asIntN(64, (BigInt(size) << 32n) | BigInt(address));
}

function bytesToStartFrom() {
  return [7, 31, 101].map((step) =>
    Buffer.from(Array.from({ length: 1500 }, (_, i) => (i * step + (i >> 3)) & 0xff)),
  );
}

export const TARGETS = {
  component: {
    seeds: bytesToStartFrom,
    words: AWKWARD,
    refusals: [GuestError, PatchError, RecordingError],
    isStructured: true,
    run: runComponent,
  },
  core: {
    seeds: bytesToStartFrom,
    words: AWKWARD,
    refusals: [WasmError, RecordingError],
    isStructured: true,
    run: runCore,
  },
};
