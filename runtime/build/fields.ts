// The fields a gadget will have when it runs: those of its records, and what its Wasm module and the operators add.

import { bootToEpochNs } from '../../bpf/clock.js';
import { prepareComponent } from '../../wasm/host/component.js';
import { Gadget } from '../gadget/gadget.js';
import { DEFAULT_GUEST_LIMITS, gadgetsModule } from '../guest.js';
import { Pipeline } from '../pipeline/pipeline.js';
import type { ObjectFacts } from './object.js';

/** What the gadget is made of, and where transpiled components are kept. */
export interface FieldsOf {
  readonly name: string;
  readonly ebpf: Uint8Array;
  /** A component. */
  readonly wasm: Uint8Array | undefined;
  readonly metadata: Uint8Array;
  readonly cacheDir: string;
}

/**
 * Starts the gadget's Wasm module, if it has one, with default parameters, but nothing in the kernel. Returns full
 * names by data source. Throws PipelineError for a module that refuses the gadget.
 */
export async function knownFields(
  { name, ebpf, wasm, metadata, cacheDir }: FieldsOf,
  { tracers }: ObjectFacts,
): Promise<Map<string, Set<string>>> {
  const gadget = await Gadget.open(name, { ebpf, metadata }, { trusted: false, validate: false });
  try {
    const params = gadget.wasmValues(gadget.completeValues(new Map(), true));
    const nobody = { changes: [], hostMntns: 0, filtering: false };
    const pipeline = await Pipeline.start(
      {
        sources: gadget.sources,
        rings: [],
        output: { mode: 'none', fd: 1 },
        filters: [],
        maxEntries: -1,
        bootToEpochNs: bootToEpochNs(),
        guestBudgetMs: DEFAULT_GUEST_LIMITS.budgetMs,
        containers: () => nobody,
        modules:
          wasm === undefined
            ? []
            : [gadgetsModule(await prepareComponent(wasm, { cacheDirs: [cacheDir] }), { params })],
      },
      QUIET,
    );
    const fields = new Map(
      tracers.map(({ dataSource, fields }) => [dataSource, new Set(fields.map(({ fullName }) => fullName))]),
    );
    for (const { dataSource, fullName } of pipeline.fields) {
      // Those of the module's own data sources, too.
      const names = fields.get(dataSource) ?? new Set();
      fields.set(dataSource, names.add(fullName));
    }
    await pipeline.stop();
    return fields;
  } finally {
    gadget.close();
  }
}

const QUIET = {
  warn: (): void => undefined,
  outputClosed: (): void => undefined,
  failed: (): void => undefined,
  unknownMntns: (): void => undefined,
  catchUp: (): void => undefined,
};
