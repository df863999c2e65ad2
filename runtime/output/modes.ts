// The output modes. A new mode is one file and one line in the table.

import type { DataSource } from '../data/data-source.js';
import { didYouMean } from '../data/nearest.js';
import type { ColumnSpec } from './column-spec.js';
import { columnsOutput } from './columns.js';
import { OutputError } from './errors.js';
import { jsonOutput, jsonPrettyOutput } from './json.js';
import { noneOutput } from './none.js';
import type { Output } from './output.js';
import { selectColumns } from './select-columns.js';
import { yamlOutput } from './yaml.js';

export interface OutputOptions {
  /** The user's choice of fields (see `selectColumns`). */
  readonly fields?: string;
  /** Columns of a fixed view, shown unless `fields` chooses others. */
  readonly view?: readonly ColumnSpec[];
  /** Width of the terminal in cells; undefined when the output is none. */
  readonly widthColumns?: number;
}

const MODES: Readonly<Record<string, (source: DataSource, options: OutputOptions) => Output>> = {
  columns: (source, { fields, view, widthColumns }) =>
    columnsOutput(
      fields === undefined && view !== undefined ? view : selectColumns(source, fields),
      widthColumns,
    ),
  json: (source, { fields }) => jsonOutput(source, fields),
  jsonpretty: (source, { fields }) => jsonPrettyOutput(source, fields),
  yaml: (source, { fields }) => yamlOutput(source, fields),
  none: noneOutput,
};

export const OUTPUT_MODES: readonly string[] = Object.keys(MODES);

/** Compiles the output of a data source. Throws OutputError for an unknown mode or field. */
export function createOutput(mode: string, source: DataSource, options: OutputOptions = {}): Output {
  const create = Object.hasOwn(MODES, mode) ? MODES[mode] : undefined;
  if (create === undefined) {
    const hint = didYouMean(mode, OUTPUT_MODES);
    throw new OutputError(
      `unknown output mode ${mode}${hint || `; the modes are ${OUTPUT_MODES.join(', ')}`}`,
    );
  }
  return create(source, options);
}
