// What this kernel and this process can do, as one list: what a bug report starts with.

import type { EngineOptions } from '../containers/engines/index.js';
import { engineRows } from './engines.js';
import { gadgetRows } from './gadgets.js';
import { kernelRows, securityRows, versionRows } from './kernel.js';
import { callRows, mapRows } from './maps.js';
import { mountRows } from './mounts.js';
import { processRows } from './process.js';
import { programRows } from './programs.js';
import { type Row, sentence, unknown } from './row.js';
import { storeRows } from './store.js';

export type { Row, State } from './row.js';

export interface DebugOptions {
  /** Of this program. */
  readonly version: string;
  readonly engines: EngineOptions;
}

/**
 * Every line, in the order of groups. What is loaded and attached for this is gone when it resolves. Never rejects: a
 * group that fails as a whole is one line that says why.
 */
export async function debugRows({ version, engines }: DebugOptions): Promise<Row[]> {
  const programs = await group('program', programRows);
  return [
    ...(await group('ig', () => versionRows(version))),
    ...(await group('kernel', kernelRows)),
    ...(await group('security', securityRows)),
    ...(await group('process', processRows)),
    ...(await group('mount', mountRows)),
    ...programs,
    ...(await group('map', mapRows)),
    ...(await group('helper', callRows)),
    ...(await group('engine', () => engineRows(engines))),
    ...(await group('store', storeRows)),
    ...(await group('gadget', () => gadgetRows(programs))),
  ];
}

async function group(name: string, rows: () => Row[] | Promise<Row[]>): Promise<Row[]> {
  try {
    return await rows();
  } catch (error) {
    return [{ group: name, what: 'all', ...unknown(sentence(error)) }];
  }
}
