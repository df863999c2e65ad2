// Every SDK builds the same four programs, and these do the same to the same events.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Field } from '../../runtime/data/field.js';
import { type PreparedGuest, prepareComponent } from '../host/component.js';
import { GuestError } from '../host/errors.js';
import { type Outcome, type Scenario, expand, perform, sentenceOf, start } from './conformance/scenario.js';

const PROGRAMS = ['drop', 'add', 'count', 'conformance'];
/** Language, folder of its SDK, what a program there is called, and which there are. */
const LANGUAGES: [string, string, (name: string) => string, string[]][] = [
  ['assemblyscript', 'assemblyscript', (name) => `${name}.ts`, PROGRAMS],
  ['c', 'c', (name) => `${name}.c`, PROGRAMS],
  ['rust', 'rust', (name) => `${name}.rs`, PROGRAMS],
  ['go', 'go', (name) => name, PROGRAMS],
  // Built as TypeScript is, with the same library.
  ['javascript', 'javascript', (name) => `${name}.js`, ['drop']],
  ['typescript', 'javascript', (name) => `${name}.ts`, PROGRAMS],
];
/** Exit status of every build.js when a tool is missing. */
const NO_COMPILER = 3;
const BUILD_TIMEOUT_MS = 180_000;

const here = fileURLToPath(new URL('.', import.meta.url));
const read = async (name: string): Promise<unknown> =>
  JSON.parse(await readFile(join(here, 'conformance', name), 'utf8'));
const { sources, scenarios } = (await read('events.json')) as {
  sources: Parameters<typeof start>[1];
  scenarios: Scenario[];
};
const expected = (await read('expected.json')) as {
  plans: Record<string, Plan>;
  scenarios: Record<string, { init?: string; steps?: Outcome[] }>;
};

interface NewField {
  readonly name: string;
  readonly kind: string;
  readonly length?: number;
  readonly tags?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Plan {
  readonly tickMs: number;
  /** By data source. */
  readonly adds: Readonly<Record<string, readonly NewField[]>>;
  readonly makes: Readonly<Record<string, readonly NewField[]>>;
}

describe.each(LANGUAGES)('%s', (_, sdk, file, names) => {
  let directory: string;
  const programs = new Map<string, PreparedGuest>();
  let missing: string | undefined;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ig-conformance-'));
    const build = async (name: string): Promise<void> => {
      const program = join(here, sdk, name === 'conformance' ? '' : 'examples', file(name));
      const module = join(directory, `${name}.wasm`);
      const { status, output } = await runBuild(sdk, program, module);
      if (status === NO_COMPILER) {
        missing = output.trim();
        return;
      }
      expect(`${status} ${output}`, `the build of ${program}`).toBe('0 ');
      programs.set(name, await prepareComponent(await readFile(module), { cacheDirs: [] }));
    };
    await Promise.all(names.map(build));
  }, BUILD_TIMEOUT_MS);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it.for(names)('%s says what it adds and makes', (name, { skip }) => {
    if (missing !== undefined) skip(missing);
    const scenario = scenarios.find(({ program, steps }) => program === name && steps !== undefined)!;
    const { processor, sources: given } = start(programs.get(name)!, sources, scenario);
    const { tickMs, adds, makes } = expected.plans[name]!;
    expect(processor.tickMs).toBe(tickMs);
    for (const source of given) {
      const known = sources[source.name]!.fields.map((field) => field.name);
      const added = adds[source.name] ?? [];
      const names = added.map((field) => field.name);
      const found = source.fields.filter((field) => names.includes(field.fullName));
      expect(byName(found.map(describeField))).toEqual(byName(added.map(complete)));
      expect(source.fields).toHaveLength(new Set([...known, ...names]).size);
    }
    expect(processor.madeSources.map((source) => [source.name, source.fields.map(describeField)])).toEqual(
      Object.entries(makes).map(([name, fields]) => [name, fields.map(complete)]),
    );
  });

  const mine = scenarios.filter(({ program }) => names.includes(program));
  it.for(mine.map((scenario) => [scenario.name, scenario] as const))('%s', ([name, scenario], { skip }) => {
    if (missing !== undefined) skip(missing);
    const prepared = programs.get(scenario.program)!;
    const { init, steps } = expected.scenarios[name]!;
    if (init !== undefined) {
      expect(refusalOf(prepared, scenario)).toBe(init);
      return;
    }
    const run = start(prepared, sources, scenario);
    const outcomes = scenario.steps!.map((step) => {
      const source = 'batch' in step ? step.batch : '';
      const added = (expected.plans[scenario.program]!.adds[source] ?? []).map((field) => field.name);
      return perform(run, step, sources[source], added);
    });
    expect(outcomes.length).toBe(steps!.length);
    outcomes.forEach((outcome, i) =>
      expect(readable(outcome, sdk), `step ${i}`).toEqual(readable(expanded(steps![i]!), sdk)),
    );
  });
});

/** Runs build.js as `ig` does. */
function runBuild(sdk: string, program: string, module: string): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    const run = [join(here, sdk, 'build.js'), program, module];
    execFile(process.execPath, run, { timeout: BUILD_TIMEOUT_MS }, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : Number(error.code ?? -1), output: stdout + stderr }),
    );
  });
}

/** The sentence with which a program does not start. */
function refusalOf(prepared: PreparedGuest, scenario: Scenario): string {
  try {
    start(prepared, sources, scenario);
  } catch (error) {
    if (error instanceof GuestError) return sentenceOf(error);
    throw error;
  }
  return 'it started';
}

function expanded({ rows, emitted, ...rest }: Outcome): Outcome {
  return {
    ...rest,
    ...(rows === undefined ? {} : { rows: expand(rows) }),
    ...(emitted === undefined
      ? {}
      : { emitted: Object.fromEntries(Object.entries(emitted).map(([name, rows]) => [name, expand(rows)])) }),
  };
}

/** Strings of JavaScript are of characters: what is no UTF-8 becomes one that says so. Bytes stay what they are. */
function readable(outcome: Outcome, sdk: string): Outcome {
  if (sdk !== 'javascript') return outcome;
  return JSON.parse(JSON.stringify(outcome), (name, value: unknown) =>
    typeof value === 'string' && name !== 'out.y' ? Buffer.from(value, 'latin1').toString() : value,
  ) as Outcome;
}

function describeField({ fullName, kind, length, tags, annotations }: Field): Required<NewField> {
  return { name: fullName, kind, length, tags, annotations };
}

function complete(field: NewField): Required<NewField> {
  return { length: 1, tags: [], annotations: {}, ...field };
}

function byName(fields: readonly Required<NewField>[]): Required<NewField>[] {
  return fields.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
