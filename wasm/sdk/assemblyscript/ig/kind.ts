// The kinds of value and where values stand, as numbered by wasm/wit/post-processor.wit.

export namespace Kind {
  export const BOOLEAN: u8 = 1;
  export const S8: u8 = 2;
  export const U8: u8 = 6;
  export const F32: u8 = 10;
  export const F64: u8 = 11;
  export const TEXT: u8 = 12;
  export const CSTRING: u8 = 13;
  export const BYTES: u8 = 14;
  export const TEXT_LIST: u8 = 15;
}

export namespace Place {
  export const FIXED: u8 = 0;
  export const TAIL: u8 = 1;
  export const COLUMN: u8 = 2;
  /** Of a field that the gadget does not have. */
  export const NOWHERE: u8 = 255;
}

const NAMES: StaticArray<string> = [
  'none', 'boolean', 's8', 's16', 's32', 's64', 'u8', 'u16', 'u32', 'u64', 'f32', 'f64',
  'text', 'cstring', 'bytes', 'text-list',
];

/** The kind's name in the WIT. */
export function kindName(kind: u8): string {
  return kind < <u8>NAMES.length ? NAMES[kind] : kind.toString();
}

/** The kind of a number type. */
export function kindOf<T extends number>(): u8 {
  if (isBoolean<T>()) return Kind.BOOLEAN;
  if (isFloat<T>()) return sizeof<T>() == 4 ? Kind.F32 : Kind.F64;
  return (isSigned<T>() ? Kind.S8 : Kind.U8) + <u8>ctz<u32>(sizeof<T>());
}
