// The functions of wasm/wit/post-processor.wit, as the engine calls them.

import type { Column } from './column';
import { newSources, takeBlocks } from './new-source';
import { makePatch } from './patch';
import { handlers, start, takeLines } from './program';
import { type Source, available, sources } from './source';
import type { Level, WitPlan, WitSource } from './wit';

interface Processor {
  init(params: readonly (readonly [string, string])[], given: readonly WitSource[], log: Level): WitPlan;
  select(used: readonly boolean[]): void;
  process(source: number, count: number, batch: Uint8Array): Uint8Array;
  tick(now: number): Uint8Array;
  finish(): Uint8Array;
}

/** A file of the program: on which line of the script it begins, and for each of its lines there the one it has. */
interface Place {
  readonly file: string;
  readonly start: number;
  readonly lines: readonly number[];
}

let places: readonly Place[] = [];
/** All columns of the plan, in its order. */
let columns: { source: Source; column: Column }[] = [];

/** What the engine calls. `run` runs the top level of the program, whose files are in the script at `files`. */
export function processor(run: () => unknown, files: readonly Place[]): Processor {
  places = files;
  return {
    init: (params, given, log) =>
      explained(() => {
        available.push(...given);
        start(params, log);
        run();
        return settle();
      }),
    select(used) {
      columns.forEach(({ column }, i) => (column.wanted = used[i] ?? true));
    },
    process: (id, count, batch) => explained(() => process(id, count, batch)),
    // The engine gives an u64 as the number next to the s64 of the same bits.
    tick: (now) => explained(() => spoken(() => handlers.tick?.(BigInt.asUintN(64, BigInt(now))))),
    finish: () => explained(() => spoken(() => handlers.finish?.())),
  };
}

/** Ends declaring. Returns what the program wants and gives. */
function settle(): WitPlan {
  handlers.declaring = false;
  for (const source of newSources) source.flush();
  columns = sources.flatMap((source) => source.columns.map((column) => ({ source, column })));
  return {
    columns: columns.map(({ source, column }) => ({ source: source.id, field: column.field })),
    reads: sources.flatMap(({ id, reads }) => reads.map((field) => [id, field] as const)),
    emits: newSources.map(({ name, columns: own }) => ({ name, fields: own.map(({ field }) => field) })),
    tickMs: handlers.tickMs,
  };
}

function process(id: number, count: number, batch: Uint8Array): Uint8Array {
  const source = sources.find((other) => other.id === id);
  const keep = source?.run(count, batch);
  return makePatch({
    count,
    keep,
    columns: columns.map(({ source: owner, column }) => (owner === source ? column.data(count) : null)),
    blocks: takeBlocks(),
    lines: takeLines(),
  });
}

/** Calls a handler outside of batches. Returns a patch with what it emitted and logged. */
function spoken(handler: () => void): Uint8Array {
  handler();
  return makePatch({ count: 0, columns: [], blocks: takeBlocks(), lines: takeLines() });
}

/** Turns whatever is thrown into a sentence, which the host shows. */
function explained<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw sentenceOf(error);
  }
}

/** The words of an Error; one of another type is a mistake in the program, and its type and line help to find it. */
function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === 'Error' ? error.message : `${error.name}${whereIs(error)}: ${error.message}`;
}

/** The innermost line of the program that an Error came from. */
function whereIs({ stack = '' }: Error): string {
  for (const [, number] of stack.matchAll(/\(<input>:(\d+)/g)) {
    for (const { file, start: first, lines } of places) {
      const line = lines[Number(number) - first];
      if (line !== undefined) return ` in ${file}:${line}`;
    }
  }
  return '';
}
