// The flags of Wasm filters: which run after the gadget's own module, with what, and what modules may use.

import { Option } from 'commander';
import type { Filter } from '../filter.js';
import type { Param } from '../gadget/params.js';
import type { FilterModule, GuestLimits } from '../guest.js';
import { UsageError } from './fail.js';
import { list, wholeNumber } from './option-values.js';

export interface WasmFlags {
  readonly wasm?: readonly string[];
  readonly wasmParam?: readonly string[];
  readonly wasmMemory?: number;
  readonly wasmTimeout?: number;
}

const MEBIBYTE = 1024 * 1024;
/** Below, the SDKs' guests do not start; above, 32-bit modules cannot go. */
const [LEAST_MEMORY_MIB, MOST_MEMORY_MIB] = [1, 4096];
const [LEAST_TIMEOUT_MS, MOST_TIMEOUT_MS] = [100, 600_000];

export function wasmOptions(): Option[] {
  return [
    new Option(
      '--wasm <filter>',
      'a module that events pass after the gadget’s own: FILE.wasm, ./FOLDER or an image; may be repeated',
    ).argParser(list),
    new Option(
      '--wasm-param <key=value>',
      'a parameter of those filters that know it; may be repeated',
    ).argParser(list),
    new Option('--wasm-memory <MiB>', 'the most memory a module can have (default: 64)').argParser(
      wholeNumber(LEAST_MEMORY_MIB, MOST_MEMORY_MIB),
    ),
    new Option(
      '--wasm-timeout <ms>',
      'how long a module may take for a batch of events before it is stopped (default: 2000)',
    ).argParser(wholeNumber(LEAST_TIMEOUT_MS, MOST_TIMEOUT_MS)),
  ];
}

export function watchOption(): Option {
  return new Option(
    '--watch',
    'build modules from folders again when their sources change, and swap them in place',
  );
}

/** What modules may use, if the flags say so. */
export function limitsOf({ wasmMemory, wasmTimeout }: WasmFlags, defaults: GuestLimits): GuestLimits {
  return {
    memoryMaxBytes: wasmMemory === undefined ? defaults.memoryMaxBytes : wasmMemory * MEBIBYTE,
    budgetMs: wasmTimeout ?? defaults.budgetMs,
  };
}

/** Opens the filters, in order, each with its parameters. Throws UsageError and what `open` throws. */
export async function openFilters(
  { wasm = [], wasmParam = [] }: WasmFlags,
  open: (name: string) => Promise<Filter>,
): Promise<FilterModule[]> {
  const given = wasmParam.map(splitParam);
  if (given.length > 0 && wasm.length === 0)
    throw new UsageError('--wasm-param is for filters; name one with --wasm');
  const filters: Filter[] = [];
  // One after the other: two pulls at once would mix their progress.
  for (const name of wasm) filters.push(await open(name));
  for (const [key] of given)
    if (!filters.some((filter) => takes(filter, key)))
      throw new UsageError(`no filter knows the parameter ${key}; ${knownParams(filters)}`);
  const { checkValue } = await import('../gadget/params.js');
  return filters.map((filter) => ({ ...filter, params: paramsOf(filter, given, checkValue) }));
}

function splitParam(text: string): [key: string, value: string] {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--wasm-param takes KEY=VALUE, not ${text}`);
  return [text.slice(0, at), text.slice(at + 1)];
}

/** A module in a file names no parameters, so it may know any. */
function takes({ params }: Filter, key: string): boolean {
  return params.length === 0 || params.some((param) => param.key === key);
}

function knownParams(filters: readonly Filter[]): string {
  return `they have ${filters.flatMap(({ params }) => params.map(({ key }) => key)).join(', ')}`;
}

function paramsOf(
  filter: Filter,
  given: readonly (readonly [string, string])[],
  checkValue: (param: Param, value: string) => void,
): [string, string][] {
  if (filter.params.length === 0) return given.map(([key, value]) => [key, value]);
  return filter.params.map((param) => {
    const value = given.findLast(([key]) => key === param.key)?.[1];
    if (value === undefined && param.mandatory)
      throw new UsageError(`the filter ${filter.name} needs --wasm-param ${param.key}=…`);
    if (value !== undefined) checkValue(param, value);
    return [param.key, value ?? param.defaultValue];
  });
}
