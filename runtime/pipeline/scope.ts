// Which of several data sources a flag is about: what each of them is asked.

import type { DataSource } from '../data/data-source.js';
import { didYouMean } from '../data/nearest.js';
import { unknownField as unknownToOperator } from '../operators/field-meant.js';
import { type Rule, parseFilter } from '../operators/filter.js';
import { splitKeys } from '../operators/sort.js';
import { splitFields, unknownField } from '../output/select-columns.js';
import { ScopeError } from './errors.js';
import type { WorkerConfig } from './messages.js';

/** What the flags ask of one data source. */
export interface Asked {
  readonly mode: string;
  /** As `selectColumns` takes them. */
  readonly fields?: string;
  readonly rules: readonly Rule[];
  /** As `sorter` takes it. */
  readonly sort?: string;
  readonly maxEntries: number;
}

/**
 * Deals out what the flags ask among the data sources that are shown. Each part of a flag is for the data source whose
 * name and a colon stand before it; without one, for every data source that it can be for. A name of a field that
 * none of these knows is a mistake, as is what no single one of them could be asked.
 * Throws ScopeError, OutputError, OperatorError.
 */
export function askedOf(
  { output, filters, sort, maxEntries }: Pick<WorkerConfig, 'output' | 'filters' | 'sort' | 'maxEntries'>,
  sources: readonly DataSource[],
): Map<DataSource, Asked> {
  if (sources.length === 0) return new Map();
  const modes = partsOf('-o', output.mode, sources);
  const modeOf = ({ name }: DataSource): string => modes.named.get(name) ?? modes.rest ?? 'columns';
  const printed = sources.filter((source) => modeOf(source) !== 'none');
  const lists = sources.filter(({ type }) => type === 'array');
  // Where there is nothing to sort or limit, each data source says so itself.
  const sortable = lists.length > 0 ? lists : sources;
  const fieldsOf = dealOut(FIELDS, output.fields, sources, printed);
  const sortOf = dealOut(SORT, sort, sources, sortable);
  const rulesOf = dealOutRules(filters, sources);
  return new Map(
    sources.map((source) => {
      const [fields, keys] = [fieldsOf(source), sortOf(source)];
      const asked: Asked = {
        mode: modeOf(source),
        ...(fields === undefined ? {} : { fields }),
        rules: rulesOf(source),
        ...(keys === undefined ? {} : { sort: keys }),
        maxEntries: sortable.includes(source) ? maxEntries : -1,
      };
      return [source, asked];
    }),
  );
}

/** A flag that takes a list of fields' names, which may have signs. */
interface ListFlag {
  readonly flag: string;
  readonly split: (list: string) => string[];
  readonly unknown: (sources: readonly DataSource[], name: string) => Error;
}

const FIELDS: ListFlag = { flag: '--fields', split: splitFields, unknown: unknownField };
const SORT: ListFlag = {
  flag: '--sort',
  split: splitKeys,
  unknown: (sources, name) => unknownToOperator('sort', sources, name),
};

/** What each data source gets of a list flag; `takers`: those that a list without a name is for. */
function dealOut(
  { flag, split, unknown }: ListFlag,
  text: string | undefined,
  sources: readonly DataSource[],
  takers: readonly DataSource[],
): (source: DataSource) => string | undefined {
  if (text === undefined) return () => undefined;
  const { named, rest } = partsOf(flag, text, sources);
  const others = rest === undefined ? [] : takers.filter(({ name }) => !named.has(name));
  // An only one says itself what it does not know.
  if (others.length < 2)
    return (source) => named.get(source.name) ?? (others.includes(source) ? rest : undefined);
  const items = split(rest!).map((item) => ({ item, name: item.replace(/^[+-]\s*/, '') }));
  for (const { name } of items)
    if (!others.some((source) => knows(source, name))) throw unknown(others, name);
  return (source) => {
    if (!others.includes(source)) return named.get(source.name);
    const known = items.filter(({ name }) => knows(source, name));
    return known.length === 0 ? undefined : known.map(({ item }) => item).join(',');
  };
}

function dealOutRules(
  filters: readonly string[],
  sources: readonly DataSource[],
): (source: DataSource) => Rule[] {
  const rules = filters.flatMap(parseFilter).map((rule) => ({ rule, takers: takersOf(rule, sources) }));
  return (source) => rules.filter(({ takers }) => takers.includes(source)).map(({ rule }) => rule);
}

function takersOf({ source: name, field }: Rule, sources: readonly DataSource[]): readonly DataSource[] {
  if (name !== undefined) return [sourceNamed('-F', name, sources)];
  const takers = sources.filter((source) => knows(source, field));
  if (takers.length === 0) throw unknownToOperator('filter', sources, field);
  return takers;
}

function knows(source: DataSource, name: string): boolean {
  return source.fieldsMeant(name).length > 0;
}

interface Parts {
  /** By the name of the data source that they are for. */
  readonly named: ReadonlyMap<string, string>;
  /** What has no name before it; undefined when all have. */
  readonly rest: string | undefined;
}

/** A part ends at a semicolon, and at the comma before another data source's name. */
const BETWEEN_PARTS = /;|,(?=[^,;:]*:)/;

/** Takes `NAME:part;NAME2:part2` asunder, one of which may have no name. */
function partsOf(flag: string, text: string, sources: readonly DataSource[]): Parts {
  const named = new Map<string, string>();
  let rest: string | undefined;
  for (const part of text.split(BETWEEN_PARTS)) {
    const colon = part.indexOf(':');
    const value = part.slice(colon + 1).trim();
    if (colon < 0 && value === '') continue;
    const name = colon < 0 ? undefined : sourceNamed(flag, part.slice(0, colon).trim(), sources).name;
    const other = name === undefined ? rest : named.get(name);
    if (other !== undefined) {
      throw new ScopeError(
        `${flag} says both ${other} and ${value} of ${name ?? 'all data sources'}; ` +
          `leave one out, or say NAME:${value} for another data source`,
      );
    }
    if (name === undefined) rest = value;
    else named.set(name, value);
  }
  return { named, rest: named.size === 0 ? (rest ?? '') : rest };
}

function sourceNamed(flag: string, name: string, sources: readonly DataSource[]): DataSource {
  const found = sources.find((source) => source.name === name);
  if (found !== undefined) return found;
  const names = sources.map((source) => source.name);
  const there = names.length > 1 ? `there are ${names.join(', ')}` : `there is only ${names[0]}`;
  throw new ScopeError(
    `${flag} names a data source ${name}, which is not there${didYouMean(name, names)}; ${there}`,
  );
}
