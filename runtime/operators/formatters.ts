// Operator `formatters`: beside numbers of the kernel it puts their text (`error_raw` 2 → `error` ENOENT).

import { Batch, type Span } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { type Field, type Locator, locatorOf } from '../data/field.js';
import { type Kind, isFixed } from '../data/kind.js';
import { bytes, duration } from './formatters/amount.js';
import { fileFlags, fileMode } from './formatters/file.js';
import type { Format, Formatter, FormatterOptions } from './formatters/formatter.js';
import { errno, signal, syscall } from './formatters/named.js';
import { timestamp } from './formatters/timestamp.js';

const FORMATTERS: readonly Formatter[] = [
  timestamp,
  errno,
  signal,
  syscall,
  bytes,
  duration,
  fileMode,
  fileFlags,
];

const RAW_SUFFIX = '_raw';

/**
 * Adds a text field for each number that a formatter knows by its type or by annotation
 * `formatters.NAME.target`, and hides the number. Texts are computed only when something reads them.
 * A field of the text's name that is there already (a Wasm module's) is left alone, and so is its number.
 */
export function addFormatters(source: DataSource, options: FormatterOptions): void {
  for (const field of [...source.fields]) {
    if (!isInteger(field.kind) || field.length !== 1) continue;
    for (const formatter of FORMATTERS) {
      const target = targetOf(field, formatter);
      if (target === undefined || source.field(target) !== undefined) continue;
      addText(source, field, target, formatter, options);
      break;
    }
  }
}

function isInteger(kind: Kind): boolean {
  return isFixed(kind) && kind !== 'bool' && kind !== 'float32' && kind !== 'float64';
}

/** The full name of the text field; undefined when the formatter is not for this field. */
function targetOf(field: Field, formatter: Formatter): string | undefined {
  if (formatter.kind !== undefined && formatter.kind !== field.kind) return undefined;
  const parent = field.fullName.slice(0, -field.name.length);
  const asked = field.annotations[`formatters.${formatter.name}.target`];
  if (asked !== undefined && asked !== '') return parent + asked;
  if (!field.tags.includes(`type:${formatter.type}`) || !field.name.endsWith(RAW_SUFFIX)) return undefined;
  return field.fullName.slice(0, -RAW_SUFFIX.length);
}

function addText(
  source: DataSource,
  raw: Field,
  target: string,
  formatter: Formatter,
  options: FormatterOptions,
): void {
  const locate = rawLocator(source, raw, formatter, options);
  source.fields[raw.index]!.hidden = true;
  source.addField({
    fullName: target,
    kind: 'string',
    location: { in: 'derived', locate: formatted(locate, formatter.create(raw)), from: raw },
    annotations: annotationsOf(raw, formatter),
    order: raw.order + 1,
  });
}

function rawLocator(
  source: DataSource,
  raw: Field,
  formatter: Formatter,
  options: FormatterOptions,
): Locator {
  if (formatter.rawLocator === undefined) return locatorOf(raw);
  const locate = formatter.rawLocator(locatorOf(raw), options);
  source.replaceField(raw, { kind: raw.kind, location: { in: 'derived', locate, from: raw } });
  return locate;
}

function formatted(locate: Locator, format: Format): Locator {
  return (batch: Batch, row: number, span: Span) => locate(batch, row, span) && format(span);
}

/** The number's alias goes on to the text, without `_raw`. */
function annotationsOf(raw: Field, formatter: Formatter): Record<string, string> {
  const alias = raw.annotations['columns.alias'];
  return {
    ...(formatter.template === undefined ? {} : { template: formatter.template }),
    ...(raw.annotations['description'] === undefined ? {} : { description: raw.annotations['description'] }),
    ...(alias === undefined ? {} : { 'columns.alias': alias.replace(/_raw$/, '') }),
  };
}
