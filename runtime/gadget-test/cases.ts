// The tests of a gadget's folder: its recordings, or what test/test.yaml says of them.

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { GadgetFolder } from '../build/folder.js';
import { didYouMean } from '../data/nearest.js';
import { YamlError, parseLocated } from '../gadget/located-yaml.js';
import { GadgetTestError } from './errors.js';

export interface TestCase {
  readonly name: string;
  /** Paths as the user would write them. */
  readonly recording: string;
  readonly expected: string;
  /** Of the Wasm part, by key. */
  readonly params: ReadonlyMap<string, string>;
  /** The only one whose events count; undefined = all. */
  readonly dataSource: string | undefined;
  /** Full names of the fields that count; undefined = all. */
  readonly fields: readonly string[] | undefined;
  /** The test's place in test.yaml: `FILE:LINE`, else the recording's name. */
  readonly where: string;
}

const TEST = 'test';
const FILE = `${TEST}/test.yaml`;
const RECORDING = /\.ig$/;
const CASE_NAME = /^\w[\w.-]{0,99}$/;
const KEYS = ['recording', 'params', 'datasource', 'fields'];

/** Throws GadgetTestError, or BuildError for a file outside the folder. */
export function readCases(folder: GadgetFolder): TestCase[] {
  const cases = folder.find(FILE) === undefined ? oneForEach(folder) : named(folder);
  if (cases.length > 0) return cases;
  throw new GadgetTestError(
    `there is no recording in ${folder.pathOf(TEST)} to test with; make one: sudo ig run GADGET --host --record ${folder.pathOf(`${TEST}/NAME.ig`)}`,
  );
}

function oneForEach(folder: GadgetFolder): TestCase[] {
  const directory = join(folder.root, TEST);
  if (!existsSync(directory)) return [];
  const recordings = readdirSync(directory).filter((file) => RECORDING.test(file));
  return recordings.sort().map((file) => {
    const recording = folder.pathOf(`${TEST}/${file}`);
    const name = file.replace(RECORDING, '');
    return {
      name,
      recording,
      expected: expectedOf(folder, name),
      params: new Map(),
      dataSource: undefined,
      fields: undefined,
      where: recording,
    };
  });
}

function expectedOf(folder: GadgetFolder, name: string): string {
  return folder.pathOf(`${TEST}/${name}.expected.jsonl`);
}

type Keys = Readonly<Record<string, unknown>>;

function named(folder: GadgetFolder): TestCase[] {
  const path = folder.pathOf(FILE);
  const { value, lineOf } = parse(Buffer.from(folder.read(FILE, 'file of tests')).toString(), path);
  const refuse = (keys: readonly string[], sentence: string): never => {
    throw new GadgetTestError(`${path}:${lineOf(keys)}: ${sentence}`);
  };
  if (value === null) return [];
  if (!isKeys(value))
    return refuse([], 'expected the names of tests, each with `recording: FILE.ig` below it');
  return Object.entries(value).map(([name, content]) => {
    if (!CASE_NAME.test(name))
      refuse([name], `${JSON.stringify(name)} is no name for a test: take letters, digits, - and _`);
    if (!isKeys(content)) return refuse([name], 'expected `recording: FILE.ig` below the name of a test');
    for (const key of Object.keys(content)) {
      if (!KEYS.includes(key))
        refuse(
          [name, key],
          `unknown key ${JSON.stringify(key)}, expected one of ${KEYS.join(', ')}${didYouMean(key, KEYS)}`,
        );
    }
    const { recording, params = null, datasource = null, fields = null } = content;
    if (typeof recording !== 'string') return refuse([name, 'recording'], `test ${name} names no recording`);
    if (datasource !== null && typeof datasource !== 'string')
      return refuse([name, 'datasource'], 'datasource is a name');
    folder.need(`${TEST}/${recording}`, 'recording');
    return {
      name,
      recording: folder.pathOf(`${TEST}/${recording}`),
      expected: expectedOf(folder, name),
      dataSource: datasource ?? undefined,
      params: paramsOf(params) ?? refuse([name, 'params'], 'params are keys, each with a value'),
      fields:
        fields === null
          ? undefined
          : (textsOf(fields) ?? refuse([name, 'fields'], 'fields is a list of names')),
      where: `${path}:${lineOf([name])}`,
    };
  });
}

function parse(text: string, path: string): ReturnType<typeof parseLocated> {
  try {
    return parseLocated(text);
  } catch (cause) {
    if (!(cause instanceof YamlError)) throw cause;
    throw new GadgetTestError(`${path}:${cause.line}: ${cause.message}`, { cause });
  }
}

function isKeys(value: unknown): value is Keys {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function paramsOf(value: unknown): Map<string, string> | undefined {
  if (value === null) return new Map();
  if (!isKeys(value)) return undefined;
  const params = new Map<string, string>();
  for (const [key, content] of Object.entries(value)) {
    if (!['string', 'number', 'boolean'].includes(typeof content)) return undefined;
    params.set(key, String(content));
  }
  return params;
}

function textsOf(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string')
    ? value
    : undefined;
}
