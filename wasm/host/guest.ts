// An instance of a prepared component: its functions, with every failure turned into a GuestError.

import { compileFunction } from 'node:vm';
import type { PreparedGuest } from './component.js';
import { GuestError, quoted } from './errors.js';
import { nameHint } from './name-hint.js';
import { SOURCE_PARAMS } from './transpile.js';

/** `enum kind` of the WIT. */
export type WitKind =
  | 'none'
  | 'boolean'
  | 's8'
  | 's16'
  | 's32'
  | 's64'
  | 'u8'
  | 'u16'
  | 'u32'
  | 'u64'
  | 'f32'
  | 'f64'
  | 'text'
  | 'cstring'
  | 'bytes'
  | 'text-list';

/** `enum level` of the WIT, from the least seen on. */
export const WIT_LEVELS = ['error', 'warn', 'info', 'debug', 'trace'] as const;

export type WitLevel = (typeof WIT_LEVELS)[number];

/** `record source` of the WIT. */
export interface GuestSource {
  readonly id: number;
  readonly name: string;
  readonly fields: readonly GuestField[];
}

/** `record field` of the WIT. */
export interface GuestField extends GuestNewField {
  readonly place: 'fixed' | 'tail' | 'column';
  readonly offset: number;
  readonly size: number;
}

/** `record new-field` of the WIT. */
export interface GuestNewField {
  readonly name: string;
  readonly kind: WitKind;
  readonly length: number;
  readonly tags: readonly string[];
  readonly annotations: readonly (readonly [key: string, value: string])[];
}

/** `record plan` of the WIT. */
export interface GuestPlan {
  readonly columns: readonly { readonly source: number; readonly field: GuestNewField }[];
  readonly reads: readonly (readonly [source: number, field: number])[];
  readonly emits: readonly { readonly name: string; readonly fields: readonly GuestNewField[] }[];
  readonly tickMs: number;
}

/** The functions of the WIT interface. After any of them threw GuestError, the instance is of no more use. */
export interface Guest {
  init(
    params: readonly (readonly [string, string])[],
    sources: readonly GuestSource[],
    log: WitLevel,
  ): GuestPlan;
  select(used: readonly boolean[]): void;
  /** Returns the patch in a buffer of its own, as the next two do. */
  process(source: number, count: number, batch: Uint8Array): Uint8Array;
  tick(now: bigint): Uint8Array;
  finish(): Uint8Array;
  /** Of all its memories together, now. */
  memoryBytes(): number;
}

type Instantiate = (
  getCoreModule: (name: string) => WebAssembly.Module,
  imports: object,
  instantiateCore: (module: WebAssembly.Module, imports: object) => WebAssembly.Instance,
) => { processor: Guest };

/** A component can instantiate each of its core modules any number of times. */
const MAX_INSTANCES = 32;
/** Each is capped by itself. Engines of interpreted languages come with up to three. */
const MAX_MEMORIES = 4;

/** Makes a fresh instance. Throws GuestError when the module fails while it starts. */
export function instantiateGuest(prepared: PreparedGuest): Guest {
  const modules = new Map(prepared.modules.map(({ name, module }) => [name, module]));
  const withMemory = new Set(prepared.modules.flatMap(({ module, hasMemory }) => (hasMemory ? module : [])));
  const allowance = new Allowance();
  const instances: WebAssembly.Instance[] = [];
  let memories = 0;
  const instantiateCore = (module: WebAssembly.Module, imports: object): WebAssembly.Instance => {
    if (instances.length >= MAX_INSTANCES)
      throw new RangeError(`it makes more than ${MAX_INSTANCES} instances of its core modules`);
    if (withMemory.has(module) && ++memories > MAX_MEMORIES)
      throw new RangeError(`its core modules have more than ${MAX_MEMORIES} memories in all`);
    const instance = new WebAssembly.Instance(module, imports);
    instances.push(instance);
    return instance;
  };
  const exported = guarded('start', () => {
    const factory = compileFunction(prepared.source, [...SOURCE_PARAMS]) as (
      ...args: unknown[]
    ) => Instantiate;
    const { readText, newList } = allowance;
    const checks = [readBytes, readText, newList, handleCounter()];
    const instantiate = factory({ WebAssembly }, undefined, undefined, ...checks);
    return instantiate((name) => modules.get(name)!, {}, instantiateCore).processor;
  });
  const call = <T>(what: string, run: () => T, hint?: (reason: string) => string): T => {
    allowance.renew();
    return guarded(what, run, () => lastWords(instances), hint);
  };
  return {
    init: (params, sources, log) =>
      call(
        'init',
        () => exported.init(params, sources, log),
        (reason) => nameHint(reason, sources),
      ),
    select: (used) => call('select', () => exported.select(used)),
    process: (source, count, batch) =>
      call('process', () => bytesOnly(exported.process(source, count, batch))),
    tick: (now) => call('tick', () => bytesOnly(exported.tick(now))),
    finish: () => call('finish', () => bytesOnly(exported.finish())),
    memoryBytes: () => memoryBytesOf(instances),
  };
}

/** As far as they are exported, which those are that a component passes anything through. */
function memoryBytesOf(instances: readonly WebAssembly.Instance[]): number {
  const exported = instances.flatMap(({ exports }) => Object.values(exports));
  const memories = new Set(exported.filter((each) => each instanceof WebAssembly.Memory));
  return [...memories].reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
}

/** A module could be lifted as asynchronous, and return a promise. */
function bytesOnly(patch: unknown): Uint8Array {
  if (!(patch instanceof Uint8Array)) throw new TypeError('it did not return bytes');
  return patch;
}

/**
 * Runs a call into a module; whatever it throws becomes a GuestError that says in what it happened, and why: in the
 * words of the error that the module returned, else in those it left, else in those of the trap; then the hint.
 */
export function guarded<T>(
  what: string,
  call: () => T,
  wordsLeft: () => string = () => '',
  hint: (reason: string) => string = () => '',
): T {
  try {
    return call();
  } catch (error) {
    const payload = (error as { payload?: unknown } | null)?.payload;
    const reason = typeof payload === 'string' ? payload : wordsLeft() || messageOf(error);
    const why = `${quoted(reason)}${quoted(hint(reason))}`;
    throw new GuestError(`the gadget's Wasm module failed in ${what}: ${why}`, { cause: error });
  }
}

function messageOf(error: unknown): string {
  if (error instanceof WebAssembly.Exception) return 'it threw an exception of its own';
  return error instanceof Error ? error.message : String(error);
}

const MAX_LAST_WORDS_BYTES = 4096;

/**
 * What a module that trapped left to say: a core module exports the global `ig_last_words`, the address in its
 * memory of the text's address and size.
 */
function lastWords(instances: readonly WebAssembly.Instance[]): string {
  for (const { exports } of instances) {
    const { ig_last_words: words, memory } = exports;
    if (!(words instanceof WebAssembly.Global) || !(memory instanceof WebAssembly.Memory)) continue;
    try {
      const [address, size] = new Uint32Array(memory.buffer, Number(words.value), 2);
      const text = new Uint8Array(memory.buffer, address, Math.min(size!, MAX_LAST_WORDS_BYTES));
      if (text.length > 0) return DECODER.decode(text);
    } catch {
      // They lead out of its memory: the trap has its own.
    }
  }
  return '';
}

/** What the generated source calls to copy a list of bytes out of the module's memory. */
function readBytes(memory: SharedArrayBuffer, pointer: number, length: number): ArrayBuffer {
  if (pointer + length > memory.byteLength) {
    throw new RangeError(`it returned ${length} bytes at ${pointer}, which is outside its memory`);
  }
  const bytes = new Uint8Array(length);
  bytes.set(new Uint8Array(memory, pointer, length));
  return bytes.buffer;
}

/** What of a component's own resources the host keeps: numbers, but in one array that grows. */
const MAX_HANDLES = 100_000;

/** Tables have all numbers that stood for resources, and what they stood for; none of it gets less. */
type HandleTable = readonly number[] & { readonly _createdReps?: ReadonlySet<number> };

/** What the generated source calls before it puts a resource into a table. */
function handleCounter(): (table: HandleTable) => void {
  const sizes = new Map<HandleTable, number>();
  let total = 0;
  return (table) => {
    const size = table.length / 2 + (table._createdReps?.size ?? 0);
    total += size - (sizes.get(table) ?? 0);
    sizes.set(table, size);
    if (total > 2 * MAX_HANDLES) throw new RangeError(`it has more than ${MAX_HANDLES} resources`);
  };
}

const DECODER = new TextDecoder();
/** What the texts and lists that one call returns may take, in bytes. */
const MAX_RETURNED_BYTES = 16 * 1024 * 1024;
/** What an element of a list, and what a text takes beside its characters, in bytes. */
const VALUE_BYTES = 32;

/**
 * Bounds what becomes JavaScript values of a call's result: lists in a module's memory can all lead to the same long
 * text, so the cap of its memory does not.
 */
class Allowance {
  private left = 0;

  renew(): void {
    this.left = MAX_RETURNED_BYTES;
  }

  /** What the generated source calls to read a text out of the module's memory. */
  readonly readText = (memory: ArrayBuffer, pointer: number, length: number): string => {
    this.take(VALUE_BYTES + length);
    return DECODER.decode(new Uint8Array(memory, pointer, length));
  };

  /** What the generated source calls before it reads a list of that many elements. */
  readonly newList = (length: number): unknown[] => {
    this.take(VALUE_BYTES * length);
    return [];
  };

  private take(sizeBytes: number): void {
    this.left -= sizeBytes;
    if (this.left < 0)
      throw new RangeError(`it returned more than ${MAX_RETURNED_BYTES >>> 20} MiB of texts and lists`);
  }
}
