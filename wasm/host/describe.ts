// What a module gets to know of data sources and their fields, in the words of the WIT.

import type { DataSource } from '../../runtime/data/data-source.js';
import { type Field, UNDEFINED_VALUE } from '../../runtime/data/field.js';
import type { Kind } from '../../runtime/data/kind.js';
import type { GuestField, GuestSource, WitKind } from './guest.js';

const WIT_KINDS: Record<Kind, WitKind> = {
  none: 'none',
  bool: 'boolean',
  int8: 's8',
  int16: 's16',
  int32: 's32',
  int64: 's64',
  uint8: 'u8',
  uint16: 'u16',
  uint32: 'u32',
  uint64: 'u64',
  float32: 'f32',
  float64: 'f64',
  string: 'text',
  cstring: 'cstring',
  bytes: 'bytes',
  strings: 'text-list',
};
const KINDS = new Map(Object.entries(WIT_KINDS).map(([kind, wit]) => [wit, kind as Kind]));

/** Our name of a kind. */
export function kindOf(kind: WitKind): Kind {
  return KINDS.get(kind)!;
}

/** Size in bytes of what stands in the record for a value in its tail: u32 offset, u32 size. */
const TAIL_REFERENCE_SIZE = 8;

/** A data source as a module sees it, and the field that each of the described ones is. */
export interface DescribedSource {
  readonly source: GuestSource;
  readonly fields: readonly Field[];
}

/**
 * Describes all fields that hold values, or those of them whose full names in lower case are among `names`; those that
 * are not in the record have place `column`.
 */
export function describeSource(source: DataSource, id: number, names?: ReadonlySet<string>): DescribedSource {
  const fields = source.fields.filter(
    ({ kind, location, fullName }) =>
      kind !== 'none' && location.in !== 'nowhere' && (names?.has(fullName.toLowerCase()) ?? true),
  );
  return { source: { id, name: source.name, fields: fields.map(describeField) }, fields };
}

function describeField(field: Field): GuestField {
  const { fullName, kind, length, location, tags } = field;
  const annotations = Object.entries(field.annotations);
  const common = { name: fullName, kind: WIT_KINDS[kind], length, tags, annotations };
  if (location.in === 'record')
    return { ...common, place: 'fixed', offset: location.offset, size: location.size };
  if (location.in === 'tail')
    return { ...common, place: 'tail', offset: location.offset, size: TAIL_REFERENCE_SIZE };
  return {
    ...common,
    // A column's texts have no fixed size.
    kind: kind === 'cstring' ? 'text' : common.kind,
    // A column says of each value whether it is defined.
    annotations: annotations.filter(([key]) => key !== UNDEFINED_VALUE),
    place: 'column',
    offset: 0,
    size: 0,
  };
}
