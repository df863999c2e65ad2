// Decodes UTF-8 character by character without allocating, and tells invalid bytes.

/** A decoded character is one number, its code point plus its length in bytes times this. */
const LENGTH_UNIT = 0x20_0000;
const CODE_POINT_MASK = LENGTH_UNIT - 1;
const LENGTH_SHIFT = 21;

export const INVALID = -1;

export function codePointOf(decoded: number): number {
  return decoded & CODE_POINT_MASK;
}

/** Length of a decoded character in bytes. */
export function lengthOf(decoded: number): number {
  return decoded >> LENGTH_SHIFT;
}

/**
 * Decodes the UTF-8 character at `at`: code point + length · 2^21, or `INVALID` when the byte there begins no valid
 * character (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
 */
export function decode(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return first + LENGTH_UNIT;
  if (first < 0xc2 || first > 0xf4) return INVALID;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (at + length > end) return INVALID;
  let codePoint = first & (0xff >> (length + 1));
  for (let i = 1; i < length; i++) {
    const next = bytes[at + i]!;
    if ((next & 0xc0) !== 0x80) return INVALID;
    codePoint = (codePoint << 6) | (next & 0x3f);
  }
  if (length === 3 && (codePoint < 0x800 || (codePoint >= 0xd800 && codePoint < 0xe000))) return INVALID;
  if (length === 4 && (codePoint < 0x1_0000 || codePoint > 0x10_ffff)) return INVALID;
  return codePoint + length * LENGTH_UNIT;
}
