// What a column looks like: its title, width, alignment and how it is cut.

import type { Field } from '../data/field.js';
import { type Kind, isFixed } from '../data/kind.js';
import { columnAnnotations } from './templates.js';

export type Alignment = 'left' | 'right';
/** Where the sign that something was cut stands; `none`: cut without a sign. */
export type Ellipsis = 'none' | 'start' | 'middle' | 'end';

/** One column of output mode `columns`. Widths are in cells of a terminal. */
export interface ColumnSpec {
  readonly field: Field;
  readonly title: string;
  readonly width: number;
  readonly minWidth: number;
  readonly maxWidth: number;
  readonly alignment: Alignment;
  readonly ellipsis: Ellipsis;
  /** Keeps its width whatever the terminal's is. */
  readonly fixed: boolean;
  /** Left out when the terminal is too narrow to show all columns readably. */
  readonly expendable: boolean;
  /** Integers in hexadecimal. */
  readonly hex: boolean;
  /** Digits behind the point of floating-point numbers. */
  readonly precision: number;
}

const DEFAULT_WIDTH = 16;
const DEFAULT_MIN_WIDTH = 1;
const DEFAULT_PRECISION = 2;
/** No terminal is wider; a larger annotation would only cost memory. */
const WIDEST = 4096;

/** Widths that hold every value of a kind, for `columns.width: type`. */
const TYPE_WIDTHS: Partial<Record<Kind, number>> = {
  bool: 5,
  int8: 4,
  int16: 6,
  int32: 11,
  int64: 20,
  uint8: 3,
  uint16: 5,
  uint32: 10,
  uint64: 20,
};

/** The name a column goes by: annotation `columns.alias`, else the field's full name. */
function aliasOf(field: Field): string {
  return field.annotations['columns.alias'] ?? field.fullName;
}

/** Whether a field has no column unless the user asks for it. */
export function isHidden(field: Field): boolean {
  return field.hidden || columnAnnotations(field)['columns.hidden'] === 'true';
}

/** The column of a field as its annotations describe it, changed by `overrides`, which a fixed view gives. */
export function columnOf(field: Field, overrides: Partial<Omit<ColumnSpec, 'field'>> = {}): ColumnSpec {
  const annotations = columnAnnotations(field);
  const cells = (name: string): number | undefined => widthFrom(annotations[`columns.${name}`], field.kind);
  const maxWidth = overrides.maxWidth ?? cells('maxwidth') ?? WIDEST;
  const minWidth = Math.min(overrides.minWidth ?? cells('minwidth') ?? DEFAULT_MIN_WIDTH, maxWidth);
  const width = overrides.width ?? cells('width') ?? DEFAULT_WIDTH;
  return {
    title: aliasOf(field).toUpperCase(),
    alignment: annotations['columns.alignment'] === 'right' ? 'right' : 'left',
    ellipsis: ellipsisFrom(annotations['columns.ellipsis']),
    fixed: annotations['columns.fixed'] === 'true',
    expendable: annotations['columns.expendable'] === 'true',
    hex: annotations['columns.hex'] === 'true',
    precision: Math.min(wholeNumber(annotations['columns.precision']) ?? DEFAULT_PRECISION, 20),
    ...overrides,
    field,
    maxWidth,
    minWidth,
    width: Math.min(Math.max(width, minWidth), maxWidth),
  };
}

function widthFrom(text: string | undefined, kind: Kind): number | undefined {
  if (text === 'type') return isFixed(kind) ? TYPE_WIDTHS[kind] : undefined;
  const width = wholeNumber(text);
  return width === undefined || width === 0 ? undefined : Math.min(width, WIDEST);
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) : undefined;
}

function ellipsisFrom(text: string | undefined): Ellipsis {
  return text === 'none' || text === 'start' || text === 'middle' ? text : 'end';
}
