// Runs one test of a gadget: replays its recording with the Wasm part as it is now, and takes what comes out.

import { closeSync, fstatSync, openSync, readSync, rmSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { BuiltWasm } from '../build/gadget.js';
import { didYouMean } from '../data/nearest.js';
import { filterParams } from '../filter.js';
import { ParamError } from '../gadget/errors.js';
import { fieldWordsOf } from '../gadget/metadata.js';
import { type Param, checkValue } from '../gadget/params.js';
import { type Recording, openRecording } from '../recording/reader.js';
import { Replay, type ReplayOptions, describeRecording } from '../replay.js';
import { makeScratch } from '../scratch.js';
import type { TestCase } from './cases.js';
import { GadgetTestError } from './errors.js';
import { eventLine } from './events.js';

export interface CaseListener {
  warn(sentence: string): void;
  /** What the Wasm part logs. */
  log(sentence: string): void;
}

/** The most that a test's events may be. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/**
 * The events that come of a test, as lines of JSON. Throws GadgetTestError, RecordingError, or what the Wasm part fails
 * with: one sentence.
 */
export async function runCase(test: TestCase, wasm: BuiltWasm, listener: CaseListener): Promise<string[]> {
  const recording = openRecording(test.recording);
  try {
    const values = valuesOf(test, filterParams(wasm.metadata));
    const filter = { name: wasm.metadata.name, bytes: wasm.bytes, params: values };
    const replayed = wasm.isFilter ? recording : withModule(recording, wasm, values);
    const more = wasm.isFilter ? { wasmFilters: [filter] } : {};
    await checkNames(test, replayed, more);
    const lines = await replay(replayed, more, listener, test);
    return lines.map((line) => eventLine(line, test.fields));
  } finally {
    recording.close();
  }
}

/** Every parameter with the test's value, or its default. */
function valuesOf({ params, where }: TestCase, known: readonly Param[]): [string, string][] {
  const keys = known.map(({ key }) => key);
  for (const key of params.keys()) {
    if (keys.includes(key)) continue;
    const expected =
      keys.length === 0 ? 'params.wasm of gadget.yaml has none' : `expected one of ${keys.join(', ')}`;
    throw new GadgetTestError(`${where}: there is no parameter ${key}, ${expected}${didYouMean(key, keys)}`);
  }
  return known.map((param) => {
    const value = params.get(param.key);
    if (value === undefined && param.mandatory)
      throw new GadgetTestError(`${where}: the parameter ${param.key} is missing`);
    try {
      if (value !== undefined) checkValue(param, value);
    } catch (cause) {
      if (!(cause instanceof ParamError)) throw cause;
      throw new GadgetTestError(`${where}: ${cause.message}`, { cause });
    }
    return [param.key, value ?? param.defaultValue];
  });
}

/** The recording as if the gadget had been recorded with this module, and this gadget.yaml. */
function withModule(
  recording: Recording,
  { bytes, metadata }: BuiltWasm,
  values: readonly (readonly [string, string])[],
): Recording {
  const { header } = recording;
  const own = new Set(values.map(([key]) => key));
  // Those of the eBPF part are as they were recorded.
  const recorded = (header.wasm?.params ?? []).filter(([key]) => !own.has(key));
  const digest = createHash('sha256').update(bytes).digest('hex');
  return {
    ...recording,
    module: bytes,
    header: {
      ...header,
      sources: header.sources.map((source) => ({ ...source, ...fieldWordsOf(metadata, source.name) })),
      wasm: { digest, params: [...recorded, ...values] },
    },
  };
}

type Modules = Pick<ReplayOptions, 'wasmFilters'>;

/** A name of nothing would leave nothing to compare. */
async function checkNames(test: TestCase, recording: Recording, modules: Modules): Promise<void> {
  const { dataSource, fields = [], where } = test;
  if (dataSource === undefined && fields.length === 0) return;
  const all = await describeRecording(recording, modules);
  const sources = new Set(all.map((field) => field.dataSource));
  const refuse = (what: string, name: string, known: ReadonlySet<string>): never => {
    throw new GadgetTestError(`${where}: there is no ${what} ${name}${didYouMean(name, known)}`);
  };
  if (dataSource !== undefined && !sources.has(dataSource)) refuse('data source', dataSource, sources);
  const known = new Set(
    all
      .filter((field) => field.dataSource === (dataSource ?? field.dataSource))
      .map(({ fullName }) => fullName),
  );
  for (const name of fields) if (!known.has(name)) refuse('field', name, known);
}

async function replay(
  recording: Recording,
  modules: Modules,
  listener: CaseListener,
  { recording: path, dataSource }: TestCase,
): Promise<string[]> {
  const fd = openUnnamed();
  try {
    let ended: (error?: Error) => void = () => undefined;
    const end = new Promise<Error | undefined>((resolve) => (ended = resolve));
    const mode = dataSource === undefined ? 'json' : `none,${dataSource}:json`;
    const options = { ...modules, output: { mode, fd }, filters: [], maxEntries: -1, verbose: true };
    const running = await Replay.start(recording, options, {
      ...listener,
      outputClosed: () => ended(new GadgetTestError('the events cannot be written')),
      failed: (error) => ended(error),
      ended: () => ended(),
    });
    const failure = await end;
    const { counts, replayed } = await running.stop();
    if (failure !== undefined) throw failure;
    if (replayed?.damage !== undefined)
      throw new GadgetTestError(`the rest of ${path} cannot be read: ${replayed.damage}`);
    if (counts.lostGuest > 0) {
      throw new GadgetTestError(
        `the Wasm part failed, and lost ${counts.lostGuest} of the events in ${path}`,
      );
    }
    return readLines(fd);
  } finally {
    closeSync(fd);
  }
}

/** A file that nobody else finds, and that is gone when it is closed. */
function openUnnamed(): number {
  const directory = makeScratch();
  try {
    return openSync(join(directory, 'events'), 'wx+', 0o600);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function readLines(fd: number): string[] {
  const { size } = fstatSync(fd);
  if (size > MAX_OUTPUT_BYTES)
    throw new GadgetTestError(`a test may show ${MAX_OUTPUT_BYTES} bytes of events, not ${size}`);
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size;) at += readSync(fd, bytes, at, size - at, at);
  return bytes
    .toString()
    .split('\n')
    .filter((line) => line !== '');
}
