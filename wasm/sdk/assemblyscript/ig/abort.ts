// What the compiler calls when a program throws, or breaks a rule such as the bounds of an array.

/** In UTF-16 units. */
const MAX_REASON = 512;
const MAX_FILE = 128;

/** Room for both texts, the words between them and a number. */
const text: usize = memory.data((MAX_REASON + MAX_FILE) * 3 + 32);

/** Where the host looks for the address and the size of what a module that trapped has to say. */
export const ig_last_words: usize = memory.data(8);

/** Leaves the reason and, if it is one of the program's, the line to the host, and traps. Allocates nothing: memory may be used up. */
export function abort(reason: string | null, file: string | null, line: u32, _column: u32): void {
  let end = put(text, reason === null ? 'it was aborted' : reason, MAX_REASON);
  if (file !== null && !file.startsWith('~lib/')) {
    end = put(end, ' (', 2);
    end = put(end, file, MAX_FILE);
    store<u8>(end++, 0x3a);
    end = putNumber(end, line);
    store<u8>(end++, 0x29);
  }
  store<usize>(ig_last_words, text);
  store<usize>(ig_last_words, end - text, 4);
  unreachable();
}

function put(at: usize, words: string, most: i32): usize {
  return at + String.UTF8.encodeUnsafe(changetype<usize>(words), min(words.length, most), at);
}

function putNumber(at: usize, number: u32): usize {
  if (number >= 10) at = putNumber(at, number / 10);
  store<u8>(at, 0x30 + (number % 10));
  return at + 1;
}
