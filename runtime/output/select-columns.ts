// Chooses the columns of a data source: the visible ones, or what the user asked for.

import type { DataSource } from '../data/data-source.js';
import type { Field } from '../data/field.js';
import { didYouMean } from '../data/nearest.js';
import { type ColumnSpec, columnOf, isHidden } from './column-spec.js';
import { OutputError } from './errors.js';

/**
 * The columns to show. `fields` is the user's choice: `proc.comm,args` for these and no others, in this order,
 * or `+sessionid,-tty` to change what is shown by default.
 * Throws OutputError for a name that is unknown or means several fields.
 */
export function selectColumns(source: DataSource, fields?: string): ColumnSpec[] {
  const visible = source.valueFields().filter((field) => !isHidden(field));
  const relative = fields === undefined || /^\s*[+-]/.test(fields);
  return selectFields(source, visible, fields).map((field) => {
    // What was asked for by name is not left out for want of room.
    const asked = !(relative && visible.includes(field));
    return columnOf(field, asked ? { expendable: false } : {});
  });
}

/**
 * The fields that a user chose, as of `selectColumns`; `usual` are those that are shown otherwise.
 * Throws as it does.
 */
export function selectFields(source: DataSource, usual: readonly Field[], choice?: string): Field[] {
  if (choice === undefined) return [...usual];
  const items = splitFields(choice);
  if (isRelative(items[0]!)) return changed(source, usual, items);
  return unique(items.map((item) => resolveField(source, item)));
}

/** The items of `--fields`: names of fields, all with a sign or none. Throws OutputError. */
export function splitFields(choice: string): string[] {
  const items = choice
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  if (items.length === 0) throw new OutputError('--fields names no field; give some, like proc.comm,args');
  const relative = items.filter(isRelative);
  if (relative.length > 0 && relative.length < items.length) {
    throw new OutputError(
      `--fields ${choice} mixes fields to add or remove with plain ones; put + or - before all of them or none`,
    );
  }
  return items;
}

function isRelative(item: string): boolean {
  return /^[+-]/.test(item);
}

function changed(source: DataSource, usual: readonly Field[], items: readonly string[]): Field[] {
  const fields = new Set(usual);
  for (const item of items) {
    const field = resolveField(source, item.slice(1).trim());
    if (item.startsWith('+')) fields.add(field);
    else fields.delete(field);
  }
  if (fields.size === 0)
    throw new OutputError(`--fields removes every field of ${source.name}; leave at least one`);
  return [...fields];
}

function unique(fields: readonly Field[]): Field[] {
  return [...new Set(fields)];
}

/**
 * The field a user means: by full name, else by alias (`pid`), else by the last part of its name.
 * Throws OutputError.
 */
export function resolveField(source: DataSource, name: string): Field {
  const matches = source.fieldsMeant(name);
  if (matches.length === 1) return matches[0]!;
  if (matches.length > 1) {
    const names = matches.map((field) => field.fullName).join(', ');
    throw new OutputError(`field ${name} of ${source.name} could be any of ${names}; give the full name`);
  }
  throw unknownField([source], name);
}

/** Says that none of the data sources has a field that a user may mean by `name`. */
export function unknownField(sources: readonly DataSource[], name: string): OutputError {
  for (const source of sources) {
    const children = childrenOf(source, name);
    if (children.length > 0) {
      const names = children.map((field) => field.fullName).join(', ');
      return new OutputError(`${name} of ${source.name} is a group of fields; choose from ${names}`);
    }
  }
  const known = sources.flatMap((source) => source.valueFields().map((field) => field.fullName));
  const hint = didYouMean(name, known) || '; the help of the gadget lists its fields (-h)';
  const none =
    sources.length > 1
      ? `none of the data sources ${sources.map((source) => source.name).join(', ')} has a`
      : `data source ${sources[0]?.name} has no`;
  return new OutputError(`${none} field ${name}${hint}`);
}

function childrenOf(source: DataSource, name: string): Field[] {
  const group = `${source.field(name)?.fullName ?? name}.`;
  return source.valueFields().filter((field) => field.fullName.startsWith(group));
}
