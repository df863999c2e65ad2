// The kinds of value a field can hold, and what each kind is on the wire.

/** Kinds of a field's value. `cstring` is a fixed char array that ends at its first NUL; `strings` is a list
 *  of NUL-terminated strings; `none` is a container (a struct) whose children hold the values. */
export const KINDS = [
  'none',
  'bool',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'float32',
  'float64',
  'string',
  'cstring',
  'bytes',
  'strings',
] as const;

export type Kind = (typeof KINDS)[number];

/** Kinds whose every value has the same size. */
export type FixedKind = Exclude<Kind, 'none' | 'string' | 'cstring' | 'bytes' | 'strings'>;

const WIDTHS: Record<FixedKind, 1 | 2 | 4 | 8> = {
  bool: 1,
  int8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  uint8: 1,
  uint16: 2,
  uint32: 4,
  uint64: 8,
  float32: 4,
  float64: 8,
};

/** Size in bytes of one value of a fixed kind. */
export function widthOf(kind: FixedKind): 1 | 2 | 4 | 8 {
  return WIDTHS[kind];
}

export function isFixed(kind: Kind): kind is FixedKind {
  return kind in WIDTHS;
}

/** Whether the kind is text in an output: escaped, truncated and matched as a string. */
export function isText(kind: Kind): boolean {
  return kind === 'string' || kind === 'cstring' || kind === 'strings';
}
