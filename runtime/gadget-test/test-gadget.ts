// Tests a gadget's Wasm part, or a filter: builds it, runs every test of its folder, compares.

import { readFileSync, writeFileSync } from 'node:fs';
import { type BuiltWasm, buildWasmPart } from '../build/gadget.js';
import { GadgetFolder } from '../build/folder.js';
import type { BuildListener } from '../build/job.js';
import { cacheDirs } from '../guest.js';
import { type TestCase, readCases } from './cases.js';
import { difference } from './difference.js';
import { GadgetTestError } from './errors.js';
import { eventLine } from './events.js';
import { type CaseListener, runCase } from './run-case.js';

export interface CaseResult {
  readonly name: string;
  /** How many came out. */
  readonly events: number;
  readonly expected: string;
  /** `missing`: nothing says what is expected. */
  readonly outcome: 'same' | 'different' | 'missing' | 'updated' | 'failed';
  /** Lines on what is different, or the sentence of a failure. */
  readonly detail: readonly string[];
}

export interface TestListener extends CaseListener {
  result(result: CaseResult): void;
}

const MAX_SHOWN_LINES = 40;

/** The tests of a folder, and what they test. */
export interface GadgetTests {
  readonly cases: readonly TestCase[];
  readonly wasm: BuiltWasm;
}

/** Finds the tests of the folder `path`, and builds its Wasm part. Throws BuildError, MetadataError, GadgetTestError. */
export async function openTests(path: string, listener: BuildListener): Promise<GadgetTests> {
  const cases = readCases(new GadgetFolder(path));
  const wasm = await buildWasmPart(path, { cacheDir: cacheDirs()[0], validate: true }, listener);
  return { cases, wasm };
}

/**
 * Tells `listener` of each test; returns whether all is as expected. With `update`, what comes out becomes that.
 * Throws GadgetTestError.
 */
export async function runTests(
  { cases, wasm }: GadgetTests,
  update: boolean,
  listener: TestListener,
): Promise<boolean> {
  let passed = true;
  for (const test of cases) {
    const result = await resultOf(test, wasm, update, listener);
    listener.result(result);
    passed &&= result.outcome === 'same' || result.outcome === 'updated';
  }
  return passed;
}

async function resultOf(
  test: TestCase,
  wasm: BuiltWasm,
  update: boolean,
  listener: CaseListener,
): Promise<CaseResult> {
  const { name, expected: path } = test;
  const about = { name, expected: path };
  let found: string[];
  try {
    found = await runCase(test, wasm, listener);
  } catch (error) {
    return { ...about, events: 0, outcome: 'failed', detail: [(error as Error).message] };
  }
  const events = found.length;
  const expected = readExpected(path);
  if (expected !== undefined && found.join('\n') === expected.join('\n')) {
    return { ...about, events, outcome: 'same', detail: [] };
  }
  if (update) {
    writeFileSync(path, found.map((line) => `${line}\n`).join(''));
    return { ...about, events, outcome: 'updated', detail: [] };
  }
  if (expected === undefined) return { ...about, events, outcome: 'missing', detail: [] };
  return { ...about, events, outcome: 'different', detail: difference(expected, found, MAX_SHOWN_LINES) };
}

/** Undefined when there is no such file. Throws GadgetTestError. */
function readExpected(path: string): string[] | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new GadgetTestError(`cannot read ${path}: ${message}`, { cause });
  }
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    try {
      return eventLine(line, undefined);
    } catch (cause) {
      throw new GadgetTestError(`${path}:${i + 1}: it is no JSON; each line is an event`, { cause });
    }
  });
}
