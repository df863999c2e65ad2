// The columns of `ig list-containers`: every value of a container's JSON, under its full name.

import { formatLabels } from '../containers/kubernetes.js';
import type { ContainerDescription } from '../containers/describe.js';
import { Batch, MAX_BATCH_RECORDS } from '../data/batch.js';
import { DataSource } from '../data/data-source.js';
import type { Field } from '../data/field.js';
import { didYouMean } from '../data/nearest.js';
import { ByteWriter } from '../output/byte-writer.js';
import { type ColumnSpec, columnOf } from '../output/column-spec.js';
import { columnsOutput } from '../output/columns.js';
import { UsageError } from './fail.js';

/** A line of the table; the first two only while watching. */
export interface ContainerRow extends ContainerDescription {
  readonly event?: string;
  readonly timestamp?: string;
}

/** Columns by full name, in the order of the help; the width is used while the values are not known beforehand. */
const COLUMNS: Readonly<Record<string, Partial<Omit<ColumnSpec, 'field'>>>> = {
  event: { width: 7, minWidth: 7 },
  timestamp: { width: 24, minWidth: 24 },
  'k8s.namespace': { width: 20, ellipsis: 'middle' },
  'k8s.podName': { width: 30, ellipsis: 'middle' },
  'k8s.containerName': { width: 20, ellipsis: 'middle' },
  'runtime.containerName': { width: 30, ellipsis: 'middle' },
  'runtime.runtimeName': { width: 10, minWidth: 10, ellipsis: 'start' },
  // A part of it will do: engines take as much for the whole.
  'runtime.containerId': { width: 64, minWidth: 12, ellipsis: 'none' },
  'runtime.containerImageName': { width: 30, ellipsis: 'middle' },
  'runtime.containerPid': { width: 10, ellipsis: 'start' },
  'runtime.containerStartedAt': { width: 30 },
  'runtime.containerImageDigest': { width: 71 },
  'runtime.containerImageId': { width: 71 },
  'k8s.podLabels': { width: 30 },
  'k8s.podUID': { width: 36 },
  'k8s.hostnetwork': { width: 5 },
  'k8s.owner.kind': { width: 12 },
  'k8s.owner.name': { width: 30, ellipsis: 'middle' },
  bundle: { width: 40, ellipsis: 'start' },
  sandboxId: { width: 64, minWidth: 12, ellipsis: 'none' },
  mntns: { width: 10 },
  netns: { width: 10 },
  hostNetwork: { width: 5 },
  cgroupPath: { width: 40, ellipsis: 'start' },
  cgroupID: { width: 10 },
  cgroupV1: { width: 40, ellipsis: 'start' },
  cgroupV2: { width: 40, ellipsis: 'start' },
  ociConfig: { width: 40 },
};
const WATCH = ['event', 'timestamp'];
const ON_KUBERNETES = ['k8s.namespace', 'k8s.podName', 'k8s.containerName'];
const EVERYWHERE = [
  'runtime.containerName',
  'runtime.runtimeName',
  'runtime.containerId',
  'runtime.containerImageName',
  'runtime.containerPid',
];
/** What a terminal too narrow for all does without, the last first; but not without what was asked for. */
const EXPENDABLE = ['timestamp', 'runtime.runtimeName', 'runtime.containerImageName', 'runtime.containerPid'];
/** Of the id on a terminal: its title's. */
const ID_CELLS = 'RUNTIME.CONTAINERID'.length;

/** All names that `columns=` takes; those of the watch last. */
export function containerColumnNames(): string[] {
  const names = Object.keys(COLUMNS);
  return [...names.filter((name) => !WATCH.includes(name)), ...WATCH];
}

/** The columns shown unless the user chooses. */
export function defaultColumns(watch: boolean, onKubernetes: boolean): string[] {
  return [...(watch ? WATCH : []), ...(onKubernetes ? ON_KUBERNETES : []), ...EVERYWHERE];
}

/** Full names of the columns in a comma list. Throws UsageError for one that nobody knows. */
export function chooseColumns(list: string, watch: boolean): string[] {
  const source = sourceOf(() => undefined);
  const names = list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  if (names.length === 0) {
    throw new UsageError('-o columns= names no column; give some, like columns=runtime.containerName,mntns');
  }
  return names.map((name) => {
    const meant = source.fieldsMeant(name).map((field) => field.fullName);
    if (meant.length > 1)
      throw new UsageError(`column ${name} could be ${meant.join(' or ')}; give the full name`);
    const [found] = meant;
    if (found !== undefined && (watch || !WATCH.includes(found))) return found;
    throw new UsageError(unknownColumn(name, watch));
  });
}

function unknownColumn(name: string, watch: boolean): string {
  const known = containerColumnNames().filter((column) => watch || !WATCH.includes(column));
  if (WATCH.includes(name.toLowerCase())) return `column ${name} is there with --watch only`;
  return `\`ig list-containers\` has no column ${name}${didYouMean(name, known) || `; there are ${known.join(', ')}`}`;
}

export interface TableOptions {
  /** Full names of the columns that the user asked for; those shown by default if left out. */
  readonly chosen?: readonly string[] | undefined;
  readonly watch: boolean;
  readonly onKubernetes: boolean;
  /** Cells of the terminal; undefined when the output is none. */
  readonly widthColumns?: number | undefined;
}

/** Containers as lines of text. */
export class ContainerColumns {
  readonly #names: readonly string[];
  readonly #expendable: readonly string[];
  readonly #widthColumns: number | undefined;
  readonly #writer = new ByteWriter();
  #rows: readonly ContainerRow[] = [];
  readonly #source = sourceOf((row) => this.#rows[row]);

  constructor({ chosen, watch, onKubernetes, widthColumns }: TableOptions) {
    this.#names = chosen ?? defaultColumns(watch, onKubernetes);
    // On a node, most containers are called as their pods call them.
    const twice = onKubernetes ? ['runtime.containerName'] : [];
    this.#expendable = chosen === undefined ? [...EXPENDABLE, ...twice] : [];
    this.#widthColumns = widthColumns;
  }

  /** Header and rows, as wide as the values are. */
  table(rows: readonly ContainerRow[]): string {
    const specs = this.#names.map((name) => {
      const longest = rows.reduce((cells, row) => Math.max(cells, textOf(row, name)?.length ?? 0), 1);
      return this.#spec(name, Math.max(longest, name.length));
    });
    return this.#write(specs, rows, true);
  }

  /** The header of lines to come. */
  header(): string {
    return this.#write(this.#specs(), [], true);
  }

  line(row: ContainerRow): string {
    return this.#write(this.#specs(), [row], false);
  }

  #specs(): ColumnSpec[] {
    return this.#names.map((name) => this.#spec(name, COLUMNS[name]!.width!));
  }

  #spec(name: string, width: number): ColumnSpec {
    const isId = COLUMNS[name]!.ellipsis === 'none' && this.#widthColumns !== undefined;
    const expendable = this.#expendable.includes(name);
    return columnOf(this.#source.field(name)!, {
      ...COLUMNS[name],
      width: isId ? ID_CELLS : width,
      expendable,
    });
  }

  #write(specs: readonly ColumnSpec[], rows: readonly ContainerRow[], withHeader: boolean): string {
    const output = columnsOutput(specs, this.#widthColumns);
    this.#writer.clear();
    if (withHeader) output.header(this.#writer);
    for (let from = 0; from < rows.length; from += MAX_BATCH_RECORDS) {
      this.#rows = rows.slice(from, from + MAX_BATCH_RECORDS);
      const batch = new Batch(0, this.#rows.length);
      batch.reset(this.#rows.length);
      output.write(batch, this.#writer);
    }
    return Buffer.from(this.#writer.written).toString();
  }
}

const ENCODER = new TextEncoder();

/** A data source whose records are those that `rowAt` tells, and whose values are all text. */
function sourceOf(rowAt: (row: number) => ContainerRow | undefined): DataSource {
  const source = new DataSource('containers', 'array', 0);
  for (const fullName of Object.keys(COLUMNS))
    source.addField({
      fullName,
      kind: 'string',
      location: from(fullName),
      hidden: !EVERYWHERE.includes(fullName),
    });
  return source;

  function from(fullName: string): Field['location'] {
    return {
      in: 'derived',
      locate: (_batch, row, span) => {
        const text = textOf(rowAt(row), fullName);
        if (text === undefined) return false;
        const bytes = ENCODER.encode(text);
        span.set(bytes, new DataView(bytes.buffer), 0, bytes.length);
        return true;
      },
    };
  }
}

/** The value at a dotted path, as text. */
function textOf(row: ContainerRow | undefined, fullName: string): string | undefined {
  let value: unknown = row;
  for (const part of fullName.split('.')) value = (value as Record<string, unknown> | undefined)?.[part];
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
    case 'boolean':
      return String(value);
    case 'object':
      return formatLabels(value as Record<string, string>);
    default:
      return undefined;
  }
}
