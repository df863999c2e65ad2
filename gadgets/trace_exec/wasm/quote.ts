// Quotes words for a POSIX shell; with bash's $'…' where only that can say it in visible characters.

import { Bytes, BytesColumn } from 'ig';

const SPACE: u8 = 0x20;
const QUOTE: u8 = 0x27;
const BACKSLASH: u8 = 0x5c;
const HEX_DIGITS = memory.data<u8>([
  0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66,
]);

/** What a word needs; each holds for words of the ones before, too. */
const PLAIN: u8 = 0;
const SINGLE_QUOTES: u8 = 1;
const ESCAPES: u8 = 2;

/** What each ASCII character makes a word need: plain are the letters, the digits, and %+,-./:=@_ */
const NEEDS = new StaticArray<u8>(128);
for (let c = 0; c < 128; c++) {
  const letter = (c | 0x20) >= 0x61 && (c | 0x20) <= 0x7a;
  const plain = letter || (c >= 0x2b && c <= 0x3a) || c == 0x25 || c == 0x3d || c == 0x40 || c == 0x5f;
  NEEDS[c] = plain ? PLAIN : c < 0x20 || c == 0x7f ? ESCAPES : SINGLE_QUOTES;
}

/** Words that bash takes for its own grammar when they come first. */
const RESERVED: StaticArray<string> = [
  'if', 'then', 'elif', 'else', 'fi', 'time', 'for', 'in', 'until', 'while', 'do', 'done', 'case', 'esac',
  'coproc', 'select', 'function',
];
/** A bit for each letter that one of them begins with, which spares most words the comparisons. */
let RESERVED_LETTERS: u32 = 0;
for (let i = 0; i < RESERVED.length; i++) RESERVED_LETTERS |= 1 << (RESERVED[i].charCodeAt(0) - 0x61);

/** Words that need nothing, one after the other. */
const plain = new Bytes();
/** One that may need more. */
const word = new Bytes();

/** Writes a list of words with spaces between them. Those that need nothing, mostly all of them, go in one piece. */
export function writeQuoted(out: BytesColumn, list: Bytes): void {
  if (isPlainList(list)) out.join(list, SPACE);
  else writeWords(out, list);
}

/** Whether no word needs anything, and none is empty. For lists of 16 bytes or more; shorter ones are not looked at. */
function isPlainList(list: Bytes): bool {
  if (list.size < 16 || load<u8>(list.start) == 0) return false;
  const end = list.start + list.size;
  /** Whether the byte before ended a word. */
  let ended: i32 = 0;
  for (let at = list.start; at < end; at += 16) {
    if (at + 16 > end) {
      at = end - 16;
      ended = 0;
    }
    const bytes = v128.load(at);
    if (!i8x16.all_true(plainOrEnd(bytes))) return false;
    const ends = i8x16.bitmask(i8x16.eq(bytes, i8x16.splat(0)));
    if (ends & ((ends << 1) | ended)) return false;
    ended = (ends >> 15) & 1;
  }
  word.start = list.start;
  word.size = list.size;
  const first = word.indexOf(0);
  if (first >= 0) word.size = first;
  return !isGrammar(word);
}

/**
 * What is not 0 where a byte is NUL or plain. A byte is one of them if the bit of its upper half, which stands for one row
 * of the ASCII table, is among the bits of its lower half.
 */
@inline
function plainOrEnd(bytes: v128): v128 {
  // The rows 0x0_ (64: NUL), 0x2_ (1: %+,-./), 0x3_ (2: digits, : and =), 0x4_ (4), 0x5_ (8: to Z, and _), 0x6_ (16), 0x7_ (32: to z).
  const rows = i8x16(64, 0, 1, 2, 4, 8, 16, 32, 0, 0, 0, 0, 0, 0, 0, 0);
  const lower = i8x16(110, 62, 62, 62, 62, 63, 62, 62, 62, 62, 62, 21, 21, 23, 21, 29);
  return v128.and(
    i8x16.swizzle(rows, i8x16.shr_u(bytes, 4)),
    i8x16.swizzle(lower, v128.and(bytes, i8x16.splat(15))),
  );
}

function writeWords(out: BytesColumn, list: Bytes): void {
  const end = list.start + list.size;
  out.copy(list.start, 0);
  plain.start = list.start;
  for (let at = list.start; at < end; at++) {
    word.start = at;
    while (at < end && isPlain(load<u8>(at))) at++;
    const first = word.start == list.start;
    if (at > word.start && (at == end || load<u8>(at) == 0)) {
      word.size = <u32>(at - word.start);
      if (!first || !isGrammar(word)) continue;
    }
    while (at < end && load<u8>(at) != 0) at++;
    word.size = <u32>(at - word.start);
    writePlain(out, list, word.start);
    if (!first) out.byte(SPACE);
    writeWord(out, word, first);
    plain.start = at + 1;
  }
  writePlain(out, list, end);
}

@inline
function isPlain(byte: u8): bool {
  return byte < 0x80 && unchecked(NEEDS[byte]) == PLAIN;
}

/** Writes the plain words that end before `end`, if there are any. */
function writePlain(out: BytesColumn, list: Bytes, end: usize): void {
  if (plain.start >= end) return;
  if (plain.start > list.start) out.byte(SPACE);
  plain.size = <u32>(end - plain.start);
  out.join(plain, SPACE);
}

/** `first` is whether a shell would look for a command, an assignment or a reserved word in it. */
function writeWord(out: BytesColumn, word: Bytes, first: bool): void {
  const needs = needsOf(word, first);
  if (needs == SINGLE_QUOTES) writeSingleQuoted(out, word);
  else if (needs == ESCAPES) writeEscaped(out, word);
  else out.bytes(word);
}

function needsOf(word: Bytes, first: bool): u8 {
  const end = word.start + word.size;
  let needs = word.size == 0 || (first && isGrammar(word)) ? SINGLE_QUOTES : PLAIN;
  for (let at = word.start; at < end; ) {
    const byte = load<u8>(at);
    if (byte < 0x80) {
      const need = unchecked(NEEDS[byte]);
      if (need == ESCAPES) return ESCAPES;
      needs = max(needs, need);
      at++;
    } else {
      const size = visibleSize(at, end);
      if (size == 0) return ESCAPES;
      needs = SINGLE_QUOTES;
      at += size;
    }
  }
  return needs;
}

/** Whether the shell would not take the word, which is not empty, for a command's name. */
function isGrammar(word: Bytes): bool {
  for (let i: u32 = 0; i < word.size; i++) if (word[i] == 0x3d) return true; // `=`: an assignment
  const letter = load<u8>(word.start) - 0x61;
  if (letter > 25 || ((RESERVED_LETTERS >> letter) & 1) == 0) return false;
  for (let i = 0; i < RESERVED.length; i++) if (word.equals(unchecked(RESERVED[i]))) return true;
  return false;
}

/** Size of the UTF-8 character at `at`; 0 if it is not valid there, or a control character. */
function visibleSize(at: usize, end: usize): usize {
  const lead = <u32>load<u8>(at);
  const size: usize = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (size == 0 || size > end - at) return 0;
  let code = lead & (0x7f >> <u32>size);
  for (let i: usize = 1; i < size; i++) {
    const byte = <u32>load<u8>(at + i);
    if ((byte & 0xc0) != 0x80) return 0;
    code = (code << 6) | (byte & 0x3f);
  }
  if (code < 0xa0) return 0; // C1 controls
  if (size == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) return 0; // overlong, surrogates
  if (size == 4 && (code < 0x10000 || code > 0x10ffff)) return 0;
  return isInvisible(code) ? 0 : size;
}

/** Line separators, and characters that turn the direction of the text: what is shown would not be what was run. */
function isInvisible(code: u32): bool {
  return code == 0x061c || code == 0x200e || code == 0x200f ||
    (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

function writeSingleQuoted(out: BytesColumn, word: Bytes): void {
  const end = word.start + word.size;
  out.byte(QUOTE);
  let from = word.start;
  for (let at = from; at < end; at++) {
    if (load<u8>(at) != QUOTE) continue;
    out.copy(from, <u32>(at - from));
    out.byte(QUOTE);
    out.byte(BACKSLASH);
    out.byte(QUOTE);
    out.byte(QUOTE);
    from = at + 1;
  }
  out.copy(from, <u32>(end - from));
  out.byte(QUOTE);
}

function writeEscaped(out: BytesColumn, word: Bytes): void {
  const end = word.start + word.size;
  out.byte(0x24);
  out.byte(QUOTE);
  for (let at = word.start; at < end; ) {
    const byte = load<u8>(at);
    const size: usize = byte < 0x80 ? 1 : visibleSize(at, end);
    if (byte < 0x80) writeAscii(out, byte);
    else if (size == 0) writeHex(out, byte);
    else out.copy(at, <u32>size);
    at += max<usize>(size, 1);
  }
  out.byte(QUOTE);
}

function writeAscii(out: BytesColumn, byte: u8): void {
  if (byte == QUOTE || byte == BACKSLASH) out.byte(BACKSLASH);
  if (unchecked(NEEDS[byte]) != ESCAPES) {
    out.byte(byte);
    return;
  }
  const letter: u8 = byte == 0x0a ? 0x6e : byte == 0x09 ? 0x74 : byte == 0x1b ? 0x65 : 0;
  if (letter == 0) {
    writeHex(out, byte);
    return;
  }
  out.byte(BACKSLASH);
  out.byte(letter);
}

function writeHex(out: BytesColumn, byte: u8): void {
  out.byte(BACKSLASH);
  out.byte(0x78);
  out.byte(load<u8>(HEX_DIGITS + (byte >> 4)));
  out.byte(load<u8>(HEX_DIGITS + (byte & 15)));
}
