// An instance of a prepared component: its four functions, with every failure turned into a GuestError.

import { compileFunction } from 'node:vm';
import type { PreparedGuest } from './component.js';
import { GuestError, quoted } from './errors.js';
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

/** `record source` of the WIT. */
export interface GuestSource {
  readonly id: number;
  readonly name: string;
  readonly fields: readonly GuestField[];
}

/** `record field` of the WIT. */
export interface GuestField {
  readonly name: string;
  readonly kind: WitKind;
  readonly place: 'fixed' | 'tail';
  readonly offset: number;
  readonly size: number;
}

/** `record column` of the WIT. */
export interface GuestColumn {
  readonly source: number;
  readonly name: string;
  readonly kind: WitKind;
}

/** The functions of the WIT interface. After any of them threw GuestError, the instance is of no more use. */
export interface Guest {
  init(params: readonly (readonly [string, string])[], sources: readonly GuestSource[]): GuestColumn[];
  select(used: readonly boolean[]): void;
  /** Returns the patch in a buffer of its own. */
  process(source: number, count: number, batch: Uint8Array): Uint8Array;
  finish(): void;
}

type Instantiate = (
  getCoreModule: (name: string) => WebAssembly.Module,
  imports: object,
) => { processor: Guest };

/** Makes a fresh instance. Throws GuestError when the module fails while it starts. */
export function instantiateGuest(prepared: PreparedGuest): Guest {
  const modules = new Map(prepared.modules.map(({ name, module }) => [name, module]));
  const exported = guarded('start', () => {
    const factory = compileFunction(prepared.source, [...SOURCE_PARAMS]) as (
      ...args: unknown[]
    ) => Instantiate;
    const instantiate = factory({ WebAssembly }, undefined, undefined, readBytes);
    return instantiate((name) => modules.get(name)!, {}).processor;
  });
  return {
    init: (params, sources) => guarded('init', () => exported.init(params, sources)),
    select: (used) => guarded('select', () => exported.select(used)),
    process: (source, count, batch) =>
      guarded('process', () => {
        const patch: unknown = exported.process(source, count, batch);
        // A module could be lifted as asynchronous, and return a promise.
        if (!(patch instanceof Uint8Array)) throw new TypeError('it did not return bytes');
        return patch;
      }),
    finish: () => guarded('finish', () => exported.finish()),
  };
}

/** Runs a call into a module; whatever it throws becomes a GuestError that says in what it happened. */
export function guarded<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw new GuestError(`the gadget's Wasm module failed in ${what}: ${reasonOf(error)}`, { cause: error });
  }
}

/** The module's own words when it returned an error, else those of the trap. */
function reasonOf(error: unknown): string {
  const payload = (error as { payload?: unknown } | null)?.payload;
  if (typeof payload === 'string') return quoted(payload);
  return quoted(error instanceof Error ? error.message : String(error));
}

/** What the generated source calls to copy a list of bytes out of the module's memory. */
function readBytes(memory: ArrayBuffer, pointer: number, length: number): ArrayBuffer {
  if (pointer + length > memory.byteLength) {
    throw new RangeError(`it returned ${length} bytes at ${pointer}, which is outside its memory`);
  }
  return memory.slice(pointer, pointer + length);
}
