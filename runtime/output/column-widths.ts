// Fits the widths of columns to the width of a terminal.

import { isText } from '../data/kind.js';
import type { ColumnSpec } from './column-spec.js';

/**
 * Widths in cells for a terminal of `total` cells, one cell kept between columns; 0 = the column is left out.
 * Expendable columns go, the last first, until the others are readable. Then all grow or shrink in proportion, none
 * beyond its limits while there is room for those, and the last column takes what is left.
 */
export function fitWidths(specs: readonly ColumnSpec[], total: number): number[] {
  const shown = [...specs.keys()];
  const columns = (): ColumnSpec[] => shown.map((i) => specs[i]!);
  while (!fits(columns().map(readable), total)) {
    const last = shown.findLastIndex((i) => specs[i]!.expendable);
    if (last < 0) break;
    shown.splice(last, 1);
  }
  const anyWidth = (spec: ColumnSpec): ColumnSpec => ({ ...spec, minWidth: 1 });
  const limits = [readable, withTitle, (spec: ColumnSpec) => spec, anyWidth]
    .map((limit) => columns().map(limit))
    .find((list) => fits(list, total));
  const widths = fit(limits ?? columns().map(anyWidth), total);
  return specs.map((_, i) => widths[shown.indexOf(i)] ?? 0);
}

function fits(specs: readonly ColumnSpec[], total: number): boolean {
  return specs.reduce((cells, spec) => cells + (spec.fixed ? spec.width : spec.minWidth) + 1, -1) <= total;
}

/** Titles up to this length stay whole while there is room. */
const SHORT_TITLE = 8;
/** More of a text need not be seen to make something of it. */
const READABLE_TEXT = 20;

function withTitle(spec: ColumnSpec): ColumnSpec {
  return atLeast(spec, Math.min(spec.title.length, SHORT_TITLE));
}

/** The column with the least width at which a person still makes something of its values. */
function readable(spec: ColumnSpec): ColumnSpec {
  const text = isText(spec.field.kind) ? Math.min(Math.ceil(spec.width / 2), READABLE_TEXT) : 0;
  return atLeast(withTitle(spec), text);
}

function atLeast(spec: ColumnSpec, cells: number): ColumnSpec {
  return { ...spec, minWidth: Math.min(Math.max(spec.minWidth, cells), spec.maxWidth) };
}

function fit(specs: readonly ColumnSpec[], total: number): number[] {
  const widths = specs.map((spec) => spec.width);
  let left = total - (specs.length - 1);
  const open = new Set<number>();
  specs.forEach((spec, i) => {
    if (spec.fixed) left -= spec.width;
    else open.add(i);
  });
  while (open.size > 0) {
    const ratio = Math.max(left, 0) / sum(open, (i) => specs[i]!.width);
    for (const i of open) widths[i] = limited(specs[i]!, specs[i]!.width * ratio);
    const excess = sum(open, (i) => widths[i]!) - Math.max(left, 0);
    const settled = [...open].filter((i) =>
      isSettled(specs[i]!, widths[i]!, specs[i]!.width * ratio, excess),
    );
    for (const i of settled) {
      open.delete(i);
      left -= widths[i]!;
    }
  }
  return wholeCells(specs, widths, total);
}

function limited(spec: ColumnSpec, width: number): number {
  return Math.min(Math.max(width, spec.minWidth), spec.maxWidth);
}

/**
 * Whether a column's width is final in this round. Those stopped by a limit are, if all together are too wide
 * for the lower one or too narrow for the upper one; without such a conflict all are.
 */
function isSettled(spec: ColumnSpec, width: number, wanted: number, excess: number): boolean {
  if (Math.abs(excess) < 1e-9) return true;
  return excess > 0 ? width > wanted : width < wanted;
}

/** Rounds down and gives what remains to the last column, unless its values stand to the right. */
function wholeCells(specs: readonly ColumnSpec[], widths: readonly number[], total: number): number[] {
  const whole = widths.map((width) => Math.max(Math.floor(width), 1));
  const last = whole.length - 1;
  if (last >= 0 && specs[last]!.alignment === 'left') {
    const before = whole.slice(0, last).reduce((cells, width) => cells + width + 1, 0);
    whole[last] = Math.max(total - before, Math.min(specs[last]!.minWidth, specs[last]!.width));
  }
  return whole;
}

function sum(indexes: Iterable<number>, of: (index: number) => number): number {
  let total = 0;
  for (const index of indexes) total += of(index);
  return total;
}
