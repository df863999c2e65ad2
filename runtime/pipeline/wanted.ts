// Which fields a run reads, so that the kernel side need not collect the others (bpf/include/gadget/wanted.h). Found out
// before the gadget is loaded, and checked when the pipeline is there.

import { ContainerView } from '../containers/view.js';
import type { DataSource } from '../data/data-source.js';
import { type Field, WANTED_SWITCH } from '../data/field.js';
import { MODULE_READS, moduleReads } from '../data/module-reads.js';
import { type DataSourceSpec, makeDataSource } from '../data/spec.js';
import { Chain, type Shared, compileChains } from './chain.js';
import { PipelineError } from './errors.js';
import { HashTable } from './hash-table.js';
import type { WorkerConfig } from './messages.js';

/** What of a pipeline's configuration says which fields it reads. */
export type WantedConfig = Pick<
  WorkerConfig,
  'sources' | 'output' | 'filters' | 'sort' | 'maxEntries' | 'hashing' | 'containers' | 'bootToEpochNs'
> & {
  /** Whether the gadget has a Wasm module of its own. */
  readonly hasModule: boolean;
};

/** Names of the switches whose fields nobody reads; none if the flags are wrong, which the pipeline tells. */
export function unwantedSwitches(config: WantedConfig): string[] {
  const switches = config.sources.flatMap((source) => switchesOf(source));
  if (switches.length === 0) return [];
  try {
    const wanted = new Set<string>();
    for (const chain of foreseenChains(config))
      for (const { name } of wantedFields(chain, config.hasModule)) wanted.add(name);
    return [...new Set(switches.map(({ name }) => name))].filter((name) => !wanted.has(name));
  } catch {
    return [];
  }
}

/** Throws PipelineError if the chains read what is not collected. */
export function checkCollected(chains: readonly Chain[], { unwanted = [], modules }: WorkerConfig): void {
  if (unwanted.length === 0) return;
  for (const chain of chains) {
    for (const { field, name } of wantedFields(chain, modules.length > 0)) {
      if (!unwanted.includes(name)) continue;
      throw new PipelineError(
        `field ${field} of data source ${chain.source.name} is read, which nobody said before: gadget.yaml must name it in the annotations ${MODULE_READS} of what the gadget's Wasm module reads it for`,
      );
    }
  }
}

interface SwitchedField {
  /** In lower case. */
  readonly field: string;
  /** Of the switch. */
  readonly name: string;
}

function switchesOf({
  fieldAnnotations,
}: Pick<DataSourceSpec, 'fieldAnnotations'>): readonly SwitchedField[] {
  return Object.entries(fieldAnnotations).flatMap(([field, annotations]) => {
    const name = annotations[WANTED_SWITCH];
    return name === undefined ? [] : [{ field, name }];
  });
}

/** Those of the fields with a switch that are read. */
function wantedFields(chain: Chain, hasModule: boolean): SwitchedField[] {
  const read = fieldsRead(chain.source, chain.usedFields(), hasModule);
  return switchesOf(chain.source).filter(
    ({ field }) =>
      read === undefined || read.has(field) || [...read].some((name) => name.startsWith(`${field}.`)),
  );
}

/** Full names in lower case; undefined when it may be all. */
function fieldsRead(
  source: DataSource,
  used: ReadonlySet<Field>,
  hasModule: boolean,
): ReadonlySet<string> | undefined {
  const names = [...used]
    .filter(({ location }) => location.in !== 'column')
    .map(({ fullName }) => fullName.toLowerCase());
  if (!hasModule) return new Set(names);
  const byModule = moduleReads(source, used);
  return byModule === undefined ? undefined : new Set([...names, ...byModule]);
}

/** The chains as they are going to be, which nothing flows through. The gadget's module has not said yet what it adds. */
function foreseenChains({ hasModule, ...config }: WantedConfig): Chain[] {
  const hashing = config.hashing === true ? { table: new HashTable(), ask: () => undefined } : undefined;
  const shared = { view: new ContainerView(), userFiles: {}, hashing } as Shared;
  const rest = { control: new SharedArrayBuffer(0), rings: [], modules: [] };
  const chains = config.sources.map((spec, index) => {
    const source = makeDataSource(spec);
    if (hasModule) addModulesFields(source);
    return new Chain(source, index, { ...config, ...rest }, shared);
  });
  compileChains(chains, { ...config, ...rest }, () => true);
  return chains;
}

/** What kind they are of makes no difference here. */
function addModulesFields(source: DataSource): void {
  for (const [fullName, annotations] of Object.entries(source.fieldAnnotations)) {
    if (annotations[MODULE_READS] === undefined) continue;
    const old = source.field(fullName);
    if (old === undefined) source.addColumn({ fullName, kind: 'string' });
    else
      source.replaceField(old, {
        kind: old.kind,
        location: { in: 'column', column: source.newColumn() },
      });
  }
}
