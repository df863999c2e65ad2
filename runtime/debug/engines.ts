// Which container engines are here, and whether they answer.

import { type EngineOptions, enginesFor } from '../containers/engines/index.js';
import type { Engine } from '../containers/engines/engine.js';
import { EngineUnavailableError } from '../containers/errors.js';
import { type Row, type Verdict, no, rowsOf, sentence, yes } from './row.js';

/** Takes a second at most. */
export async function engineRows(options: EngineOptions): Promise<Row[]> {
  const verdicts = enginesFor(options).map(async (engine) => [engine.name, await verdictOf(engine)] as const);
  return rowsOf('engine', Object.fromEntries(await Promise.all(verdicts)));
}

async function verdictOf(engine: Engine): Promise<Verdict> {
  try {
    await engine.connect();
    return yes(`answers at ${engine.address}`);
  } catch (error) {
    if (error instanceof EngineUnavailableError && error.missing) return no(`no socket ${engine.address}`);
    return no(sentence(error));
  } finally {
    engine.close();
  }
}
