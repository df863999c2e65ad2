// How many cells of a terminal a character takes, 0, 1 or 2, and where a text has to be cut to fit.

import { codePointOf, decode, lengthOf } from './utf8.js';

/**
 * Blocks whose characters are wide or full-width (Unicode Standard Annex #11), first and last code point.
 * Wide symbols outside them are emoji, which the JavaScript engine's own Unicode tables know.
 */
const WIDE_BLOCKS: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f], // Hangul Jamo, initial consonants
  [0x2e80, 0x303e], // CJK radicals, symbols and punctuation
  [0x3041, 0x33ff], // Kana, Bopomofo, Hangul compatibility, enclosed CJK
  [0x3400, 0x4dbf],
  [0x4e00, 0xa4cf], // CJK ideographs, Yi
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3], // Hangul syllables
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60], // full-width forms
  [0xffe0, 0xffe6],
  [0x1_6fe0, 0x1_b2ff], // Tangut, Kana supplements
  [0x2_0000, 0x3_fffd], // CJK extensions
];

/** Marks that sit on the character before them, and characters that only steer layout. */
const WITHOUT_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
const EMOJI = /^\p{Emoji_Presentation}$/u;

/** Widths of 256 neighbouring characters, made when the first of them is seen; at most 4352 pages exist. */
const pages = new Map<number, Uint8Array>();

/** The width of one character in cells. Controls must have been escaped before. */
export function cellWidth(codePoint: number): number {
  if (codePoint < 0x300) return 1;
  const number = codePoint >> 8;
  let page = pages.get(number);
  if (page === undefined) {
    page = Uint8Array.from({ length: 256 }, (_, i) => lookUp((number << 8) | i));
    pages.set(number, page);
  }
  return page[codePoint & 0xff]!;
}

function lookUp(codePoint: number): number {
  if (codePoint >= 0xd800 && codePoint < 0xe000) return 1;
  const character = String.fromCodePoint(codePoint);
  if (WITHOUT_WIDTH.test(character)) return 0;
  if (EMOJI.test(character)) return 2;
  return WIDE_BLOCKS.some(([first, last]) => codePoint >= first && codePoint <= last) ? 2 : 1;
}

/** How many cells valid UTF-8 takes. */
export function countCells(bytes: Uint8Array, start: number, end: number): number {
  let cells = 0;
  for (let i = start; i < end;) {
    const decoded = decode(bytes, i, end);
    cells += cellWidth(codePointOf(decoded));
    i += lengthOf(decoded);
  }
  return cells;
}

/** Where the longest beginning of valid UTF-8 ends that takes at most `cells` cells. */
export function headEnd(bytes: Uint8Array, start: number, end: number, cells: number): number {
  let left = cells;
  let i = start;
  while (i < end) {
    const decoded = decode(bytes, i, end);
    left -= cellWidth(codePointOf(decoded));
    if (left < 0) break;
    i += lengthOf(decoded);
  }
  return i;
}

/** Where the rest of valid UTF-8 begins once at least `cells` cells, and the marks on them, are taken off. */
export function tailStart(bytes: Uint8Array, start: number, end: number, cells: number): number {
  let left = cells;
  let i = start;
  while (i < end) {
    const decoded = decode(bytes, i, end);
    const width = cellWidth(codePointOf(decoded));
    if (left <= 0 && width > 0) break;
    left -= width;
    i += lengthOf(decoded);
  }
  return i;
}
