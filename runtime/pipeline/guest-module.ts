// A gadget's Wasm module as the worker runs it, whichever form it has.

import type { PreparedCore } from '../../wasm/host/core/prepare.js';
import { type CoreServices, LOG_LEVEL } from '../../wasm/host/core/services.js';
import type { MadeBatch } from '../../wasm/host/core/made.js';
import { PostProcessor } from '../../wasm/host/post-processor.js';
import type { Batch } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import type { Field } from '../data/field.js';
import type { ModuleConfig } from './messages.js';

/** What is optional, not every form of module does. */
export interface GuestModule {
  /** Tells which fields anything reads, for each data source; those of other modules' are left out or ignored. */
  select(fields: readonly ReadonlySet<Field>[]): void;
  /** All fields are there, and the gadget is loaded. Throws GuestError. */
  start?(): void;
  /** What it reads, for each data source, beside what the kernel side sends; left out, nothing. */
  reads?(): readonly ReadonlySet<Field>[];
  /** Throws GuestError or PatchError when the batch is lost to the module's failure. */
  process(source: number, batch: Batch): void;
  /** How often it wants to be called, in milliseconds; 0 = never. */
  readonly tickMs?: number;
  /** `nowNs`: CLOCK_BOOTTIME, in nanoseconds. Throws GuestError or PatchError. */
  tick?(nowNs: bigint): void;
  /** What the module emitted since the last call. */
  takeMade?(): Iterable<MadeBatch>;
  /** Throws GuestError. */
  finish(): void;
  /** Data sources that the module made, numbered on from those it was given. */
  readonly madeSources?: readonly DataSource[];
  /** Whether outputs are to show a data source. */
  isShown?(source: number): boolean;
  /** How much memory it has now; left out, none. */
  readonly memoryBytes?: number;
  /** What it wants changed before the gadget is loaded. */
  readonly settings?: readonly (readonly [key: string, value: string])[];
}

/** What a module may have the worker do. */
export type GuestServices = Pick<CoreServices, 'log' | 'discardsMntns'>;

/** Starts the module, which adds its fields to `sources`. Throws WasmError. */
export async function openGuest(
  { guest, role, params, maps = [], logLevel = 0 }: ModuleConfig,
  sources: readonly DataSource[],
  worker: GuestServices,
): Promise<GuestModule> {
  const output = { log: limited(worker.log), logLevel };
  if (!isCore(guest)) return new PostProcessor(guest, params, sources, output, role === 'gadget');
  const [{ CoreProcessor }, { coreServices }] = await Promise.all([
    import('../../wasm/host/core/core-processor.js'),
    import('./core-services.js'),
  ]);
  return new CoreProcessor(guest, params, sources, {
    ...coreServices(maps),
    discardsMntns: worker.discardsMntns,
    ...output,
  });
}

/** Lines that a module may log in a second: each is a message to the main thread, which writes it to a terminal. */
const MAX_LINES_PER_SECOND = 100;

function limited(log: CoreServices['log']): CoreServices['log'] {
  let since = 0;
  let count = 0;
  return (level, text) => {
    const now = performance.now();
    if (now - since > 1000) [since, count] = [now, 0];
    count++;
    if (count <= MAX_LINES_PER_SECOND) log(level, text);
    if (count === MAX_LINES_PER_SECOND)
      log(LOG_LEVEL.warn, 'it logs too much; the rest of this second is left out');
  };
}

function isCore(guest: object): guest is PreparedCore {
  return 'form' in guest;
}
